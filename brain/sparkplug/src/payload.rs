//! Sparkplug's protobuf (`org.eclipse.tahu.protobuf.Payload`), as far as it is used: the same numbers and types; what is left
//! out here is skipped when it comes.

use prost::{Message, Oneof};

/// Data types, by their numbers.
pub mod datatype {
    /// 64 bits without a sign.
    pub const UINT64: u32 = 8;
    /// A double.
    pub const DOUBLE: u32 = 10;
    /// True or false.
    pub const BOOLEAN: u32 = 11;
    /// UTF-8.
    pub const STRING: u32 = 12;
}

/// What one message says.
#[derive(Clone, PartialEq, Message)]
pub struct Payload {
    /// When it was made, in milliseconds of the unix clock.
    #[prost(uint64, optional, tag = "1")]
    pub timestamp: Option<u64>,
    /// What it tells.
    #[prost(message, repeated, tag = "2")]
    pub metrics: Vec<Metric>,
    /// 0 to 255, one more with each message of the edge node; a birth begins with 0.
    #[prost(uint64, optional, tag = "3")]
    pub seq: Option<u64>,
}

/// One metric.
#[derive(Clone, PartialEq, Message)]
pub struct Metric {
    /// Its name; told at birth.
    #[prost(string, optional, tag = "1")]
    pub name: Option<String>,
    /// What it is called after its birth; of one edge node each once.
    #[prost(uint64, optional, tag = "2")]
    pub alias: Option<u64>,
    /// When it was so, in milliseconds of the unix clock.
    #[prost(uint64, optional, tag = "3")]
    pub timestamp: Option<u64>,
    /// Of [`datatype`]; told at birth.
    #[prost(uint32, optional, tag = "4")]
    pub datatype: Option<u32>,
    /// There is no value.
    #[prost(bool, optional, tag = "7")]
    pub is_null: Option<bool>,
    /// More of it; told at birth.
    #[prost(message, optional, tag = "9")]
    pub properties: Option<PropertySet>,
    /// What it is.
    #[prost(oneof = "Value", tags = "11, 13, 14, 15")]
    pub value: Option<Value>,
}

/// A value.
#[derive(Clone, PartialEq, Oneof)]
pub enum Value {
    /// 64 bits.
    #[prost(uint64, tag = "11")]
    Long(u64),
    /// A double.
    #[prost(double, tag = "13")]
    Double(f64),
    /// True or false.
    #[prost(bool, tag = "14")]
    Boolean(bool),
    /// UTF-8.
    #[prost(string, tag = "15")]
    String(String),
}

/// Keys and, in the same order, values.
#[derive(Clone, PartialEq, Message)]
pub struct PropertySet {
    /// Names.
    #[prost(string, repeated, tag = "1")]
    pub keys: Vec<String>,
    /// What they have.
    #[prost(message, repeated, tag = "2")]
    pub values: Vec<PropertyValue>,
}

/// The value of a property: text alone.
#[derive(Clone, PartialEq, Message)]
pub struct PropertyValue {
    /// Of [`datatype`].
    #[prost(uint32, optional, tag = "1")]
    pub kind: Option<u32>,
    /// UTF-8.
    #[prost(string, optional, tag = "8")]
    pub string: Option<String>,
}
