//! The connection: each has a will of its own and begins with a birth.

use std::{sync::Arc, time::Duration};

use bus::{Broker, Client, Event, Qos, Will};
use runtime::Shutdown;
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{self, MissedTickBehavior},
};

use crate::{
    node::{Message, Name, Node, asks_for_rebirth},
    picture::Source,
};

/// How long to wait between a connection that has ended and the next.
const AGAIN_AFTER: Duration = Duration::from_secs(2);
/// How long the last word may take.
const GOODBYE: Duration = Duration::from_millis(500);
/// Messages that may wait: more than a birth has at most hosts would only wait longer.
const QUEUE: usize = 4_096;

/// Where and how often.
#[derive(Debug, Clone)]
pub struct Config {
    /// How the broker is reached, and as whom.
    pub broker: Broker,
    /// Unique at the broker.
    pub client_id: String,
    /// The group and the edge node in it.
    pub name: Name,
    /// How often changes are told.
    pub every: Duration,
}

/// Why a connection has ended.
enum End {
    /// It is to end for good.
    Stopped,
    /// It was lost, or did not keep up; the next one begins with a birth.
    Lost,
}

/// Tells what `source` shows, in a task of its own, until `shutdown`.
pub fn start(config: Config, source: Arc<dyn Source>, shutdown: &Shutdown) -> JoinHandle<()> {
    let shutdown = shutdown.clone();
    tokio::spawn(async move {
        let mut bd_seq = 0_u8;
        loop {
            let end = connection(&config, bd_seq, &*source, &shutdown).await;
            if matches!(end, End::Stopped) {
                break;
            }
            bd_seq = bd_seq.wrapping_add(1);
            tokio::select! {
                () = shutdown.wait() => break,
                () = time::sleep(AGAIN_AFTER) => {}
            }
        }
    })
}

/// One connection, from its will to its end.
async fn connection(config: &Config, bd_seq: u8, source: &dyn Source, shutdown: &Shutdown) -> End {
    let death = config.name.death(bd_seq);
    let mut bus = bus::Config::at(config.broker.clone(), config.client_id.clone());
    bus.will = Some(Will {
        topic: death.topic.clone(),
        payload: death.payload.clone(),
        retain: false,
    });
    bus.subscriptions = vec![(config.name.commands(), Qos::AtLeastOnce)];
    bus.queue = QUEUE;
    let (client, events) = bus::connect(bus);
    let session = Session {
        client,
        events,
        node: Node::new(config.name.clone(), bd_seq),
        every: config.every,
    };
    session.run(source, shutdown, death).await
}

struct Session {
    client: Client,
    events: mpsc::Receiver<Event>,
    node: Node,
    every: Duration,
}

impl Session {
    async fn run(mut self, source: &dyn Source, shutdown: &Shutdown, death: Message) -> End {
        let mut ticks = time::interval(self.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut connected, mut due) = (false, false);
        loop {
            tokio::select! {
                () = shutdown.wait() => break,
                event = self.events.recv() => match event {
                    // A second one of the same connection would have its will again.
                    Some(Event::Connected) if connected => return End::Lost,
                    Some(Event::Connected) => {
                        connected = true;
                        due = true;
                        ticks.reset_immediately();
                    }
                    Some(Event::Disconnected { reason }) if connected => {
                        tracing::info!(reason, "the connection of Sparkplug was lost");
                        return End::Lost;
                    }
                    Some(Event::Disconnected { reason }) => tracing::warn!(reason, "no connection for Sparkplug yet"),
                    Some(Event::Message { payload, .. }) => due |= is_rebirth(&payload),
                    None => return End::Lost,
                },
                // A flood of commands makes one birth a tick.
                _ = ticks.tick(), if connected => {
                    let picture = source.picture();
                    let messages = if std::mem::take(&mut due) { self.node.birth(&picture) } else { self.node.news(&picture) };
                    // Whoever has missed one could not go on; all of it is told anew on the next connection.
                    if !self.publish(messages, shutdown).await {
                        return End::Lost;
                    }
                }
            }
        }
        if connected {
            self.publish(vec![death], &Shutdown::new()).await;
        }
        self.client.disconnect(GOODBYE).await;
        End::Stopped
    }

    /// Publishes in order; false where one was not taken.
    async fn publish(&self, messages: Vec<Message>, shutdown: &Shutdown) -> bool {
        for Message { topic, payload } in messages {
            let taken = tokio::select! {
                () = shutdown.wait() => return true,
                taken = self.client.publish(topic, payload, Qos::AtMostOnce, false) => taken,
            };
            if let Err(error) = taken {
                tracing::warn!(%error, "Sparkplug begins anew");
                return false;
            }
        }
        true
    }
}

/// Whether a message asks for a birth; what is no command is told and left.
fn is_rebirth(command: &[u8]) -> bool {
    asks_for_rebirth(command).unwrap_or_else(|error| {
        tracing::warn!(error, "a command to the edge node cannot be read");
        false
    })
}
