//! Frames of the recent window to columns, on the reader's side and without a lock.

use std::sync::Arc;

use shadow::{Birth, Block, Catalogue, Reading, UnixMs, codec::Decoder};

use super::recent::Chain;

/// Values of some metrics at full rate. Each second's maximum of a key metric is the exact one, and so is the minimum
/// where the metric asks for it: the codec tells them with the samples that hold them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Columns {
    /// When each sample was taken, in the order of epochs and within each rising.
    pub times_ms: Vec<UnixMs>,
    /// One column a metric that was asked for, each as long as `times_ms`; absent where an epoch does not have it.
    pub columns: Vec<Vec<Reading>>,
}

/// The samples of `chains` from `since_ms` on, before `until_ms`. A frame that cannot be read is left out.
pub(crate) fn read(chains: &[Arc<Chain>], metrics: &[&str], (since_ms, until_ms): (UnixMs, UnixMs)) -> Columns {
    let mut told = Columns {
        times_ms: Vec::new(),
        columns: vec![Vec::new(); metrics.len()],
    };
    let mut block = Block::default();
    for chain in chains {
        let birth = chain.birth();
        let places = places(birth, metrics);
        // What a chain is read against is within it.
        let mut decoder = Decoder::new(&birth.catalogue);
        for frame in chain.frames() {
            if frame.start_ms >= until_ms {
                break;
            }
            match decoder.read(&frame, &mut block) {
                Ok(()) => told.append(&block, &places, (since_ms, until_ms)),
                Err(error) => tracing::debug!(sequence = frame.sequence, %error, "a recent frame is left out"),
            }
        }
    }
    told
}

fn places(birth: &Birth, metrics: &[&str]) -> Vec<Option<usize>> {
    let catalogue: &Catalogue = &birth.catalogue;
    metrics.iter().map(|metric| catalogue.column(metric)).collect()
}

impl Columns {
    fn append(&mut self, block: &Block, places: &[Option<usize>], (since_ms, until_ms): (UnixMs, UnixMs)) {
        let times = &block.times_ms;
        let begin = times.partition_point(|&time_ms| time_ms < since_ms);
        let end = times.partition_point(|&time_ms| time_ms < until_ms).max(begin);
        self.times_ms.extend(times.get(begin..end).unwrap_or_default());
        for (told, place) in self.columns.iter_mut().zip(places) {
            let column = place.and_then(|place| block.columns.get(place)?.get(begin..end));
            match column {
                Some(column) => told.extend(column),
                None => told.resize(told.len() + end - begin, Reading::ABSENT),
            }
        }
    }
}
