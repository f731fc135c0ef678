//! A client of the broker under test that remembers what it was told.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use rumqttc::{Client, Event, MqttOptions, Packet, QoS};

use crate::harness::{PATIENCE, until};

type Messages = BTreeMap<String, Vec<Vec<u8>>>;

/// Makes each a client of its own.
static OBSERVERS: AtomicUsize = AtomicUsize::new(0);

/// Subscribed from its start; reconnects by itself.
pub(crate) struct Observer {
    client: Client,
    messages: Arc<Mutex<Messages>>,
    retained: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    stop: Arc<AtomicBool>,
}

impl Observer {
    /// Subscribed to everything of ours.
    pub(crate) fn new(port: u16) -> Self {
        Self::of(port, &["foreshadow/#"])
    }

    /// Subscribed to `filters`.
    pub(crate) fn of(port: u16, filters: &'static [&'static str]) -> Self {
        let number = OBSERVERS.fetch_add(1, Ordering::Relaxed);
        let mut options = MqttOptions::new(format!("observer-{port}-{number}"), "127.0.0.1", port);
        options.set_max_packet_size(8 << 20, 8 << 20);
        let (client, mut connection) = Client::new(options, 64);
        let messages = Arc::new(Mutex::new(Messages::new()));
        let retained = Arc::new(Mutex::new(BTreeMap::new()));
        let kept = Arc::clone(&retained);
        let stop = Arc::new(AtomicBool::new(false));
        let (seen, ended, again) = (Arc::clone(&messages), Arc::clone(&stop), client.clone());
        thread::spawn(move || {
            for event in connection.iter() {
                match event {
                    Ok(Event::Incoming(Packet::ConnAck(_))) => {
                        for filter in filters {
                            drop(again.try_subscribe(*filter, QoS::AtLeastOnce));
                        }
                    }
                    Ok(Event::Incoming(Packet::Publish(message))) => {
                        if message.retain {
                            let payload = message.payload.to_vec();
                            kept.lock().unwrap().insert(message.topic.clone(), payload);
                        }
                        seen.lock()
                            .unwrap()
                            .entry(message.topic)
                            .or_default()
                            .push(message.payload.to_vec());
                    }
                    Ok(_) => {}
                    Err(_) => thread::sleep(Duration::from_millis(100)),
                }
                if ended.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        Self {
            client,
            messages,
            retained,
            stop,
        }
    }

    /// Publishes as anybody could.
    pub(crate) fn publish(&self, topic: &str, payload: &[u8]) {
        self.client.publish(topic, QoS::AtLeastOnce, false, payload).unwrap();
    }

    /// Everything seen on topics that `matches`.
    pub(crate) fn seen(&self, matches: impl Fn(&str) -> bool) -> Messages {
        let messages = self.messages.lock().unwrap();
        messages
            .iter()
            .filter(|(topic, _)| matches(topic))
            .map(|(topic, all)| (topic.clone(), all.clone()))
            .collect()
    }

    /// What stood at the broker when this one subscribed, by topic: what comes later has no such mark.
    pub(crate) fn retained(&self) -> BTreeMap<String, Vec<u8>> {
        self.retained.lock().unwrap().clone()
    }

    /// Messages on the topic that ends in `ending` beyond the first `known`, which is raised by them.
    pub(crate) fn newer(&self, ending: &str, known: &mut usize) -> Vec<Vec<u8>> {
        let all = self.seen(|topic| topic.ends_with(ending)).into_values().next();
        let new = all.unwrap_or_default().split_off(*known);
        *known += new.len();
        new
    }

    /// Waits for a message on a topic that ends in `ending`, and gives the newest.
    pub(crate) fn expect(&self, ending: &str) -> Vec<u8> {
        let newest = || self.seen(|topic| topic.ends_with(ending)).into_values().next()?.pop();
        until(&format!("a message on .../{ending}"), PATIENCE, || newest().is_some());
        newest().unwrap()
    }

    /// The newest message on a topic that ends in `ending` as JSON, if there was one.
    pub(crate) fn newest_json(&self, ending: &str) -> Option<serde_json::Value> {
        let newest = self.seen(|topic| topic.ends_with(ending)).into_values().next()?.pop()?;
        serde_json::from_slice(&newest).ok()
    }

    /// The newest message on such a topic as JSON.
    pub(crate) fn expect_json(&self, ending: &str) -> serde_json::Value {
        let payload = self.expect(ending);
        serde_json::from_slice(&payload)
            .unwrap_or_else(|e| panic!("{ending}: {e}: {}", String::from_utf8_lossy(&payload)))
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        drop(self.client.try_disconnect());
    }
}
