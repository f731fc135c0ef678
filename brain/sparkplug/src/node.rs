//! An edge node: what it has told, and what is to be told next.
//!
//! Numbers that the specification asks for: `bdSeq` joins a birth to the will of its connection, `seq` counts the messages since
//! the birth, so that whoever has missed one asks for all of it again.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message as _;
use shadow::UnixMs;

use crate::{
    payload::{self, Payload, PropertySet, PropertyValue, datatype},
    picture::{Device, Metric, Picture, Value, finite},
};

/// The namespace of Sparkplug B.
const NAMESPACE: &str = "spBv1.0";
/// What joins a birth to a death.
const BD_SEQ: &str = "bdSeq";
/// Written as true by whoever wants everything told again.
const REBIRTH: &str = "Node Control/Rebirth";
/// The most bytes of a command that are looked at.
const MAX_COMMAND_BYTES: usize = 64 << 10;
/// Aliases of one device.
const ALIASES: u64 = 1 << 16;

/// One message, to be published at QoS 0 and not retained.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Where.
    pub topic: String,
    /// A [`Payload`].
    pub payload: Bytes,
}

/// Who tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The group: a topic level.
    pub group: String,
    /// The edge node in it: a topic level.
    pub node: String,
}

impl Name {
    fn topic(&self, kind: &str) -> String {
        format!("{NAMESPACE}/{}/{kind}/{}", self.group, self.node)
    }

    fn topic_of(&self, kind: &str, device: &str) -> String {
        format!("{}/{device}", self.topic(kind))
    }

    /// Where commands to it come.
    pub fn commands(&self) -> String {
        self.topic("NCMD")
    }

    /// Its death, as the will of a connection and as its last word on it.
    pub fn death(&self, bd_seq: u8) -> Message {
        let payload = Payload {
            metrics: vec![bd_seq_metric(bd_seq, None)],
            ..Payload::default()
        };
        Message {
            topic: self.topic("NDEATH"),
            payload: payload.encode_to_vec().into(),
        }
    }
}

/// What was told on one connection.
#[derive(Debug)]
pub struct Node {
    name: Name,
    bd_seq: u8,
    /// That of the next message.
    seq: u8,
    own: Known,
    devices: BTreeMap<String, Known>,
    /// How many devices were born.
    born: u64,
}

/// What is known of one that lives.
#[derive(Debug, Default)]
struct Known {
    /// The alias of its first metric.
    first: u64,
    /// As they were told last, in the order of their aliases.
    metrics: Vec<Metric>,
}

impl Node {
    /// Nothing was told yet on a connection whose will is [`Name::death`] of `bd_seq`.
    pub const fn new(name: Name, bd_seq: u8) -> Self {
        Self {
            name,
            bd_seq,
            seq: 0,
            own: Known {
                first: 0,
                metrics: Vec::new(),
            },
            devices: BTreeMap::new(),
            born: 0,
        }
    }

    /// Tells everything anew.
    pub fn birth(&mut self, picture: &Picture) -> Vec<Message> {
        self.seq = 0;
        self.devices.clear();
        self.born = 0;
        self.own.metrics.clone_from(&picture.metrics);
        let mut metrics = vec![bd_seq_metric(self.bd_seq, Some(stamp(picture.time_ms)))];
        metrics.push(payload::Metric {
            name: Some(REBIRTH.to_owned()),
            timestamp: Some(stamp(picture.time_ms)),
            datatype: Some(datatype::BOOLEAN),
            value: Some(payload::Value::Boolean(false)),
            ..payload::Metric::default()
        });
        metrics.extend(born(&self.own, picture.time_ms));
        let birth = self.message(self.name.topic("NBIRTH"), picture.time_ms, metrics);
        let mut messages = vec![birth];
        messages.extend(self.news(picture));
        messages
    }

    /// Tells what is other than it was told.
    pub fn news(&mut self, picture: &Picture) -> Vec<Message> {
        let time_ms = picture.time_ms;
        if !is_like(&self.own.metrics, &picture.metrics) {
            return self.birth(picture);
        }
        let mut messages = Vec::new();
        let changed = changed(&mut self.own, &picture.metrics, time_ms);
        if !changed.is_empty() {
            messages.push(self.message(self.name.topic("NDATA"), time_ms, changed));
        }
        let mut before = std::mem::take(&mut self.devices);
        for device in &picture.devices {
            let known = before.remove(&device.name);
            let known = self.device(device, known, time_ms, &mut messages);
            self.devices.insert(device.name.clone(), known);
        }
        for gone in before.into_keys() {
            let topic = self.name.topic_of("DDEATH", &gone);
            messages.push(self.message(topic, time_ms, Vec::new()));
        }
        messages
    }

    /// Tells of one device that lives.
    fn device(&mut self, device: &Device, known: Option<Known>, time_ms: UnixMs, messages: &mut Vec<Message>) -> Known {
        match known {
            Some(mut known) if is_like(&known.metrics, &device.metrics) => {
                let changed = changed(&mut known, &device.metrics, time_ms);
                if !changed.is_empty() {
                    let topic = self.name.topic_of("DDATA", &device.name);
                    messages.push(self.message(topic, time_ms, changed));
                }
                known
            }
            _ => {
                self.born += 1;
                let known = Known {
                    first: self.born * ALIASES,
                    metrics: device.metrics.clone(),
                };
                let topic = self.name.topic_of("DBIRTH", &device.name);
                messages.push(self.message(topic, time_ms, born(&known, time_ms)));
                known
            }
        }
    }

    fn message(&mut self, topic: String, time_ms: UnixMs, metrics: Vec<payload::Metric>) -> Message {
        let seq = self.seq;
        self.seq = seq.wrapping_add(1);
        let payload = Payload {
            timestamp: Some(stamp(time_ms)),
            metrics,
            seq: Some(seq.into()),
        };
        Message {
            topic,
            payload: payload.encode_to_vec().into(),
        }
    }
}

/// Whether a command asks for everything to be told again.
///
/// # Errors
/// In words, when it is too long or no payload of Sparkplug.
pub fn asks_for_rebirth(command: &[u8]) -> Result<bool, String> {
    if command.len() > MAX_COMMAND_BYTES {
        return Err(format!(
            "{} bytes, and {MAX_COMMAND_BYTES} are looked at",
            command.len()
        ));
    }
    let command = Payload::decode(command).map_err(|error| error.to_string())?;
    let asks = |metric: &payload::Metric| {
        metric.name.as_deref() == Some(REBIRTH) && metric.value == Some(payload::Value::Boolean(true))
    };
    Ok(command.metrics.iter().any(asks))
}

/// Whether metrics are called and typed alike, in one order.
fn is_like(known: &[Metric], now: &[Metric]) -> bool {
    known.len() == now.len()
        && known
            .iter()
            .zip(now)
            .all(|(known, now)| known.name == now.name && known.unit == now.unit && known.value.is_like(&now.value))
}

/// What is told of all metrics at a birth.
fn born(known: &Known, time_ms: UnixMs) -> Vec<payload::Metric> {
    let aliases = known.first..;
    let metrics = known.metrics.iter().zip(aliases);
    metrics
        .map(|(metric, alias)| payload::Metric {
            name: Some(metric.name.clone().into_owned()),
            datatype: Some(match metric.value {
                Value::Number(_) => datatype::DOUBLE,
                Value::Text(_) => datatype::STRING,
                Value::Flag(_) => datatype::BOOLEAN,
            }),
            properties: (!metric.unit.is_empty()).then(|| unit(metric.unit)),
            ..told(&metric.value, alias, time_ms)
        })
        .collect()
}

/// What is told of those metrics that are other than they were, and keeps in mind that it was.
fn changed(known: &mut Known, now: &[Metric], time_ms: UnixMs) -> Vec<payload::Metric> {
    let aliases = known.first..;
    let metrics = known.metrics.iter_mut().zip(now).zip(aliases);
    let news = metrics.filter(|((known, now), _)| known.value.is_old_against(&now.value));
    news.map(|((known, now), alias)| {
        known.value.clone_from(&now.value);
        told(&now.value, alias, time_ms)
    })
    .collect()
}

fn told(value: &Value, alias: u64, time_ms: UnixMs) -> payload::Metric {
    let value = match value {
        Value::Number(value) => finite(*value).map(payload::Value::Double),
        Value::Text(text) => Some(payload::Value::String(text.clone())),
        Value::Flag(flag) => Some(payload::Value::Boolean(*flag)),
    };
    payload::Metric {
        alias: Some(alias),
        timestamp: Some(stamp(time_ms)),
        is_null: value.is_none().then_some(true),
        value,
        ..payload::Metric::default()
    }
}

/// The property by which units are told.
fn unit(unit: &str) -> PropertySet {
    PropertySet {
        keys: vec!["engUnit".to_owned()],
        values: vec![PropertyValue {
            kind: Some(datatype::STRING),
            string: Some(unit.to_owned()),
        }],
    }
}

fn bd_seq_metric(bd_seq: u8, timestamp: Option<u64>) -> payload::Metric {
    payload::Metric {
        name: Some(BD_SEQ.to_owned()),
        timestamp,
        datatype: Some(datatype::UINT64),
        value: Some(payload::Value::Long(bd_seq.into())),
        ..payload::Metric::default()
    }
}

/// Times before 1970 are told as 1970.
fn stamp(time_ms: UnixMs) -> u64 {
    u64::try_from(time_ms).unwrap_or(0)
}

#[cfg(test)]
mod tests;
