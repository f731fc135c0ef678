//! Who an agent is to the broker.

use std::{path::PathBuf, sync::Arc};

use bus::Topics;
use bytes::Bytes;
use runtime::Clock;
use shadow::Vantage;
use trust::Trust;

use crate::{
    config::{Act, Codec},
    guard::Limit,
};

/// Who speaks, for whom, and to which broker.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The host spoken for.
    pub host: String,
    /// From where it is seen.
    pub vantage: Vantage,
    /// Of the cell.
    pub topics: Topics,
    /// How the broker is reached, and as whom.
    pub broker: bus::Broker,
    /// A frame is cut when its samples span this many milliseconds.
    pub frame_ms: i64,
    /// How samples are coded.
    pub codec: Codec,
    /// What frames that are not durable may take in memory, in bytes.
    pub spool_bytes: usize,
    /// Floors and ceilings that no command gets past.
    pub limits: Vec<Limit>,
    /// What commands may change.
    pub act: Act,
    /// Who this agent is and whom it believes; `None` seals nothing and believes every command.
    pub trust: Option<Arc<Trust>>,
    /// The file with the number of the newest command that was obeyed.
    pub fence: Option<PathBuf>,
    /// By which resends are timed, where that is not the clock of the samples: on virtual time the network is as slow as
    /// ever.
    pub link_clock: Option<Clock>,
}

impl Settings {
    /// Frames of a second, a spool of 16 MiB, no limits.
    pub fn new(topics: Topics, host: impl Into<String>, broker: bus::Broker) -> Self {
        Self {
            host: host.into(),
            vantage: Vantage::Inband,
            topics,
            broker,
            frame_ms: 1_000,
            codec: Codec::default(),
            spool_bytes: 16 << 20,
            limits: Vec::new(),
            act: Act::default(),
            trust: None,
            fence: None,
            link_clock: None,
        }
    }
}

/// The connection of an agent with `settings`: its will, and what it subscribes to.
pub(super) fn bus_config(settings: &Settings) -> bus::Config {
    let Settings {
        host, vantage, topics, ..
    } = settings;
    let will = bus::Will {
        topic: topics.status(host, *vantage),
        payload: Bytes::from_static(br#"{"state":"offline","reason":"connection lost"}"#),
        retain: true,
    };
    bus::Config {
        will: Some(will),
        subscriptions: vec![
            (topics.watermark(host, *vantage), bus::Qos::AtLeastOnce),
            (topics.command(host, *vantage), bus::Qos::AtLeastOnce),
        ],
        ..bus::Config::at(
            settings.broker.clone(),
            topics.client_id(&format!("agent-{host}-{vantage}")),
        )
    }
}
