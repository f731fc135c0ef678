//! Why the broker ends a connection.

use rumqttd::protocol::DisconnectReasonCode;

/// Why the broker ends a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Close {
    /// A newer connection has the same client id.
    TakenOver,
    /// It does not read fast enough.
    TooSlow,
    /// The broker stops.
    Stopping,
    /// It may no longer do what it could.
    Unwelcome,
}

impl Close {
    /// For a client that speaks MQTT 5.
    pub(crate) const fn code(self) -> DisconnectReasonCode {
        match self {
            Self::TakenOver => DisconnectReasonCode::SessionTakenOver,
            Self::TooSlow => DisconnectReasonCode::QuotaExceeded,
            Self::Stopping => DisconnectReasonCode::ServerShuttingDown,
            Self::Unwelcome => DisconnectReasonCode::NotAuthorized,
        }
    }
}
