//! Frames to samples, with the births that went by.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use serde::{Serialize, Serializer};
use shadow::{Birth, Block, Catalogue, Frame, Reading, UnixMs, codec::Decoder};

/// The most metrics of all births together: some ten thousand hosts, in some hundred megabytes. Past it the births that
/// came first are forgotten.
const MAX_METRICS: usize = 1_000_000;

/// Who tells a frame, and in which of its lives.
type Epoch = (String, u64);

/// The births that went by, and what their frames are read with.
#[derive(Debug, Default)]
pub(super) struct Samples {
    known: BTreeMap<Epoch, Known>,
    /// Oldest first; the same epochs as in `known`.
    order: VecDeque<Epoch>,
    metrics: usize,
}

#[derive(Debug)]
struct Known {
    catalogue: Arc<Catalogue>,
    decoder: Decoder,
}

/// The samples of a frame.
#[derive(Debug, Serialize)]
pub(super) struct Values {
    times_ms: Vec<UnixMs>,
    metrics: Columns,
}

/// A list of readings a metric, by its name.
#[derive(Debug)]
struct Columns {
    catalogue: Arc<Catalogue>,
    columns: Vec<Vec<Reading>>,
}

impl Samples {
    /// Takes in a birth of `agent`. One that is told again changes nothing.
    pub(super) fn birth(&mut self, agent: &str, birth: &Birth) {
        self.birth_within(agent, birth, MAX_METRICS);
    }

    fn birth_within(&mut self, agent: &str, birth: &Birth, most: usize) {
        let epoch = (agent.to_owned(), birth.epoch);
        if self
            .known
            .get(&epoch)
            .is_some_and(|known| *known.catalogue == birth.catalogue)
        {
            return;
        }
        self.forget(&epoch);
        while self.metrics + birth.catalogue.len() > most {
            let Some(oldest) = self.order.front().cloned() else {
                break;
            };
            self.forget(&oldest);
        }
        self.metrics += birth.catalogue.len();
        self.order.push_back(epoch.clone());
        let known = Known {
            decoder: Decoder::new(&birth.catalogue),
            catalogue: Arc::new(birth.catalogue.clone()),
        };
        self.known.insert(epoch, known);
    }

    fn forget(&mut self, epoch: &Epoch) {
        if let Some(known) = self.known.remove(epoch) {
            self.metrics -= known.catalogue.len();
            self.order.retain(|kept| kept != epoch);
        }
    }

    /// The samples of a frame of `agent`, or in words why they cannot be read.
    pub(super) fn read(&mut self, agent: &str, frame: &Frame) -> Result<Values, String> {
        let Some(known) = self.known.get_mut(&(agent.to_owned(), frame.epoch)) else {
            return Err(format!("no birth of epoch {} has been seen", frame.epoch));
        };
        let mut block = Block::default();
        known
            .decoder
            .read(frame, &mut block)
            .map_err(|error| error.to_string())?;
        Ok(Values {
            times_ms: block.times_ms,
            metrics: Columns {
                catalogue: Arc::clone(&known.catalogue),
                columns: block.columns,
            },
        })
    }
}

impl Serialize for Columns {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let names = self.catalogue.metrics().iter().map(|metric| &metric.name);
        serializer.collect_map(names.zip(&self.columns))
    }
}

#[cfg(test)]
mod tests {
    use shadow::{Metric, codec::Encoder};

    use super::*;

    fn birth(epoch: u64, metrics: &[&str]) -> Birth {
        Birth {
            epoch,
            catalogue: Catalogue::new(metrics.iter().map(|name| Metric::share(*name)).collect()),
            ..Birth::default()
        }
    }

    fn frame(birth: &Birth) -> Frame {
        let mut block = Block::new(&birth.catalogue);
        block.push(1_000, &[Reading::new(0.25), Reading::STALE]);
        block.push(1_100, &[Reading::new(0.5), Reading::FAILED]);
        Encoder::new(&birth.catalogue).frame(birth.epoch, 0, &block).unwrap()
    }

    #[test]
    fn samples_have_the_names_of_their_metrics_and_reasons() {
        let birth = birth(7, &["host.cpu", "host.memory"]);
        let mut samples = Samples::default();
        samples.birth("web-1/inband", &birth);
        let told = samples.read("web-1/inband", &frame(&birth)).unwrap();
        let expected = r#"{"times_ms":[1000,1100],"metrics":{"host.cpu":[0.25,0.5],"host.memory":["stale","failed"]}}"#;
        assert_eq!(serde_json::to_string(&told).unwrap(), expected);
    }

    #[test]
    fn a_frame_is_read_with_the_birth_of_its_epoch_and_agent() {
        let birth = birth(7, &["a", "b"]);
        let mut samples = Samples::default();
        samples.birth("web-1/inband", &birth);
        let other = Frame {
            epoch: 8,
            ..frame(&birth)
        };
        for (agent, frame, fault) in [
            ("web-1/oob", frame(&birth), "no birth of epoch 7"),
            ("web-1/inband", other, "no birth of epoch 8"),
            (
                "web-1/inband",
                Frame {
                    codec: 99,
                    ..frame(&birth)
                },
                "codec 99",
            ),
        ] {
            let told = samples.read(agent, &frame).unwrap_err();
            assert!(told.contains(fault), "{told}");
        }
    }

    #[test]
    fn the_oldest_births_are_forgotten_past_the_bound() {
        let mut samples = Samples::default();
        for epoch in 0..4 {
            let birth = birth(epoch, &["a", "b"]);
            samples.birth_within("web-1", &birth, 5);
            samples.birth_within("web-1", &birth, 5);
            assert!(samples.read("web-1", &frame(&birth)).is_ok(), "the newest is there");
        }
        let kept: Vec<u64> = samples.known.keys().map(|(_, epoch)| *epoch).collect();
        assert_eq!((kept, samples.metrics), (vec![2, 3], 4));
        samples.birth_within("web-1", &birth(3, &["c"]), 5);
        assert_eq!(
            (samples.order.len(), samples.metrics),
            (2, 3),
            "told anew, with another catalogue"
        );
    }
}
