//! What goes over a broker now.

use std::{fs::File, path::PathBuf, time::Duration};

use anyhow::{Context, bail};
use bus::{Broker, Event, Qos, topics};
use runtime::{Clock, Shutdown, Span};
use shadow::capture::{self, CaptureError, Captured};
use tokio::time::sleep;

use super::{Filter, More, Teller, line::Reader};

/// The prefix where none is named.
const PREFIX: &str = "foreshadow";

/// Messages that may wait for the output, of at most 4 MiB each. When it is full the broker waits, and at last ends the
/// connection: that is told, a silent gap would not be.
const QUEUE: usize = 64;

/// How long the goodbye may take.
const GOODBYE: Duration = Duration::from_millis(500);

/// What to listen to, for how long, and where to keep it.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) broker: Broker,
    pub(super) filter: Filter,
    pub(super) length: Option<Span>,
    pub(super) record: Option<PathBuf>,
}

impl Watch {
    /// Tells each message that comes, until the time is over, enough is told, or `shutdown`.
    ///
    /// # Errors
    /// When the broker cannot be reached at first, or output or capture cannot be written. A connection that is lost
    /// later is made again.
    pub(super) async fn tell(
        self,
        mut reader: Reader,
        mut teller: Teller,
        clock: &Clock,
        shutdown: &Shutdown,
    ) -> anyhow::Result<()> {
        let mut record = self.record.as_ref().map(create).transpose()?;
        self.broker.check()?;
        let (client, mut events) = bus::connect(self.config(clock)?);
        let over = self.length.map_or(Duration::MAX, Span::duration);
        let over = sleep(over);
        tokio::pin!(over);
        let mut connected = false;
        loop {
            let event = tokio::select! {
                biased;
                () = shutdown.wait() => break,
                () = &mut over => break,
                event = events.recv() => event,
            };
            match event {
                None => break,
                Some(Event::Connected) => connected = true,
                Some(Event::Disconnected { reason }) if connected => {
                    tracing::warn!(reason, "the broker is away; messages are missed");
                }
                Some(Event::Disconnected { reason }) => {
                    bail!("broker {}:{}: {reason}", self.broker.host, self.broker.port);
                }
                Some(Event::Message {
                    topic,
                    payload,
                    retained,
                }) => {
                    let time_ms = clock.now_ms();
                    let message = Captured {
                        time_ms,
                        retained,
                        topic,
                        payload,
                    };
                    if let Some(record) = &mut record {
                        keep(record, &message)?;
                    }
                    if teller.tell(&reader.message(message))? == More::Enough {
                        break;
                    }
                }
            }
        }
        client.disconnect(GOODBYE).await;
        Ok(())
    }

    fn config(&self, clock: &Clock) -> anyhow::Result<bus::Config> {
        // Two that look on at once must not end each other's connection.
        let id = format!("inspect-{}-{}", std::process::id(), clock.now_ms());
        let mut config = bus::Config::at(self.broker.clone(), id);
        config.events = QUEUE;
        let Filter { prefix, cell, hosts } = &self.filter;
        let prefix = prefix.as_deref().unwrap_or(PREFIX);
        let mut hosts: Vec<_> = hosts.iter().map(|host| Some(host.as_str())).collect();
        if hosts.is_empty() {
            hosts.push(None);
        }
        for host in hosts {
            let filters = topics::filters(prefix, cell.as_deref(), host)?;
            config
                .subscriptions
                .extend(filters.map(|filter| (filter, Qos::AtLeastOnce)));
        }
        Ok(config)
    }
}

fn create(file: &PathBuf) -> anyhow::Result<File> {
    let fault = || format!("cannot write {}", file.display());
    let mut created = File::create(file).with_context(fault)?;
    capture::begin(&mut created).with_context(fault)?;
    Ok(created)
}

/// Keeps a message; one that a capture cannot hold is told and left out.
fn keep(record: &mut File, message: &Captured) -> anyhow::Result<()> {
    match message.write(record) {
        Err(fault @ CaptureError::Refused { .. }) => tracing::error!(topic = message.topic, %fault, "left out"),
        written => written.context("cannot write the capture")?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_host_is_subscribed_to() {
        let watch = |hosts: &[&str]| Watch {
            broker: Broker::new("localhost", 1_883),
            filter: Filter {
                prefix: None,
                cell: Some("lab".to_owned()),
                hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            },
            length: None,
            record: None,
        };
        let filters = |hosts: &[&str]| {
            let config = watch(hosts).config(&Clock::manual(5)).unwrap();
            let filters = config.subscriptions.into_iter().map(|(filter, _)| filter);
            filters.collect::<Vec<_>>()
        };
        assert_eq!(filters(&[]), ["foreshadow/lab/+/bin/+/+", "foreshadow/lab/+/status/+"]);
        let two = filters(&["a", "b"]);
        assert_eq!(two.len(), 4);
        assert_eq!(two[2], "foreshadow/lab/b/bin/+/+");
    }
}
