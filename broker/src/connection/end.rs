//! Why a connection ended.

use std::fmt;

use rumqttd::protocol::DisconnectReasonCode;

use crate::{outbox::Close, packet::PacketError, router::Gone};

/// Why a connection ended.
#[derive(Debug)]
pub(crate) enum End {
    /// The client said goodbye.
    Said,
    /// The client said goodbye and wants its will published (MQTT 5).
    WithWill,
    /// The broker ends it.
    Closed(Close),
    /// The client is gone.
    Lost(String),
    /// The client broke a rule.
    Broken(DisconnectReasonCode, String),
    /// The router is gone, and with it the broker.
    Router,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Said => f.write_str("said goodbye"),
            Self::WithWill => f.write_str("said goodbye and left its will"),
            Self::Closed(close) => write!(f, "ended by the broker: {close:?}"),
            Self::Lost(why) => write!(f, "lost: {why}"),
            Self::Broken(_, why) => write!(f, "broke a rule: {why}"),
            Self::Router => f.write_str("router is gone"),
        }
    }
}

impl From<PacketError> for End {
    fn from(error: PacketError) -> Self {
        let code = match error {
            PacketError::TooLarge(_) => DisconnectReasonCode::PacketTooLarge,
            PacketError::Malformed(_) => DisconnectReasonCode::MalformedPacket,
        };
        Self::Broken(code, error.to_string())
    }
}

impl From<Gone> for End {
    fn from(_: Gone) -> Self {
        Self::Router
    }
}

impl End {
    /// For the counter of ended connections.
    pub(crate) const fn reason(&self) -> &'static str {
        match self {
            Self::Said | Self::WithWill => "said",
            Self::Closed(close) => close.reason(),
            Self::Lost(_) => "lost",
            Self::Broken(DisconnectReasonCode::KeepAliveTimeout, _) => "silent",
            Self::Broken(DisconnectReasonCode::PacketTooLarge, _) => "too_large",
            Self::Broken(DisconnectReasonCode::MalformedPacket, _) => "malformed",
            Self::Broken(DisconnectReasonCode::QuotaExceeded, _) => "quota",
            Self::Broken(..) => "broke_rule",
            Self::Router => "router",
        }
    }

    /// Whether it was a packet that is too large or malformed.
    pub(crate) const fn is_bad_packet(&self) -> bool {
        use DisconnectReasonCode::{MalformedPacket, PacketTooLarge};
        matches!(self, Self::Broken(PacketTooLarge | MalformedPacket, _))
    }

    /// What a client of version 5 is told.
    pub(crate) const fn code(&self) -> Option<DisconnectReasonCode> {
        match self {
            Self::Closed(close) => Some(close.code()),
            Self::Broken(code, _) => Some(*code),
            Self::Said | Self::WithWill | Self::Lost(_) | Self::Router => None,
        }
    }
}
