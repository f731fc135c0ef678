//! What is unusual: minutes are judged, incidents ended, and somebody takes notice of one.

use std::sync::Arc;

use anomaly::Acknowledged;
use shadow::{Channel, UnixMs};

use super::{Engine, intake::At};
use crate::{
    store::memory::Window,
    watch::{Acknowledgement, Attention, Notice},
};

/// What the states of hosts are taken of.
pub(super) const MINUTE_MS: i64 = 60_000;

impl Engine {
    /// If a minute is over at `end_ms`, or a row that is longer, the states of all hosts in it are judged.
    pub(super) fn minute(&mut self, end_ms: UnixMs, attention: Attention) {
        let step_ms = self.config.grid.step_ms();
        if end_ms.rem_euclid(MINUTE_MS.max(step_ms)) != 0 {
            return;
        }
        let end = end_ms.div_euclid(step_ms);
        let rows = (MINUTE_MS / step_ms).max(1);
        let hosts = self.hot.read_windows(end, rows, |windows| {
            let mean = |window: &Window<'_>| (Arc::<str>::from(window.host), means(window.rows));
            windows.iter().map(mean).collect::<Vec<_>>()
        });
        for (host, means) in hosts {
            self.watch.minute(&host, end_ms, &means, attention);
            self.watch
                .forecast(&host, end_ms, self.foresight.latest(&host), attention);
        }
        // Without room it is stored at the next turn.
        if attention == Attention::Tell && self.has_room() {
            self.batch.detectors.extend(self.watch.take_learnt(end_ms));
        }
    }

    /// Ends incidents that have been quiet.
    pub(super) fn end_quiet(&mut self) {
        self.watch.pass(self.now_ms);
        self.watch_changed();
    }

    /// Hands over what changed of incidents.
    fn watch_changed(&mut self) {
        self.figures.incidents.add(self.watch.take_alarms());
        self.batch.incidents.extend(self.watch.take_changed());
    }

    /// Somebody takes notice of an incident, or may not.
    pub(super) fn noticed(&mut self, told: Notice, at: At) {
        match told {
            Notice::Taken(told) => self.acknowledged(told, at),
            Notice::Entered {
                who,
                from,
                how,
                suppressed,
            } => {
                tracing::info!(who, from, how, suppressed, "page: login");
                self.tell_entered(&who, how, (&from, suppressed), at);
            }
            Notice::Refused { from, why, suppressed } => {
                tracing::warn!(from, why, suppressed, "request refused");
                self.tell_refusal("page", &why, (&from, suppressed), at);
            }
        }
    }

    fn acknowledged(&mut self, told: Acknowledgement, at: At) {
        let Acknowledgement {
            host,
            since_ms,
            by,
            done,
        } = told;
        let acknowledged = Acknowledged {
            time_ms: at.now_ms,
            by: by.clone(),
        };
        let known = self.watch.acknowledge(&host, since_ms, acknowledged);
        tracing::info!(host, since_ms, by, known, "incident acknowledged");
        self.tell_acknowledgement(&by, (&host, since_ms), known, at);
        self.watch_changed();
        // Nobody waits any more when this fails.
        done.send(known).unwrap_or_default();
    }
}

/// Means of rows of a minute; NaN where nothing was read in any.
fn means(rows: &[[f32; Channel::COUNT]]) -> [f32; Channel::COUNT] {
    let mut sums = [(0.0, 0.0); Channel::COUNT];
    for row in rows {
        for ((sum, count), value) in sums.iter_mut().zip(row).filter(|(_, value)| value.is_finite()) {
            *sum += value;
            *count += 1.0;
        }
    }
    sums.map(|(sum, count)| sum / count)
}
