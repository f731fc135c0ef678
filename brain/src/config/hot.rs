//! How much the hot store keeps of a host.

use runtime::{Faults, Span};
use serde::{Deserialize, Serialize};

use super::{Config, DAY_S, between};
use crate::store::memory::{Shape, recent::Bounds};

/// What is kept in memory of a host besides the rows of the grid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Hot {
    /// Frames as they came, at full rate.
    pub recent: Span,
    /// Bytes that these frames may take; past it the oldest go.
    pub recent_bytes: usize,
    /// Rows of a minute.
    pub minutes: Span,
}

impl Default for Hot {
    fn default() -> Self {
        Self {
            recent: Span::from_secs(900),
            recent_bytes: 256 << 10,
            minutes: Span::from_secs(DAY_S),
        }
    }
}

impl Hot {
    pub(super) fn validate(&self, faults: &mut Faults) {
        between(faults, "recent", self.recent, 0, DAY_S);
        let sound = self.recent_bytes <= 64 << 20;
        faults.require(sound, "recent_bytes", "must be at most 67108864");
        between(faults, "minutes", self.minutes, 3_600, 7 * DAY_S);
    }
}

impl Config {
    /// How much the hot store keeps of a host.
    pub(crate) fn shape(&self) -> Shape {
        let rows =
            |length: Span, step_ms: i64| usize::try_from(length.as_millis() / step_ms).map_or(1, |rows| rows.max(1));
        let step_ms = self.grid.step_ms();
        Shape {
            step_ms,
            rows: rows(self.grid.length, step_ms),
            minutes: rows(self.hot.minutes, step_ms.max(60_000)),
            recent: Bounds {
                span_ms: self.hot.recent.as_millis(),
                bytes: self.hot.recent_bytes,
            },
        }
    }
}
