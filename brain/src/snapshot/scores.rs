//! How good forecasts are and were, for people.

use std::sync::Arc;

use forecast::{Compared, Loss, ScoreRow, ScoreTable, Target};
use serde::{Deserialize, Serialize};
use shadow::{Resource, UnixMs};
use utoipa::ToSchema;

/// How good forecasts are.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct ScoresView {
    /// Since the brain started, by resource and horizon.
    pub since_start: Vec<ScoreView>,
    /// Of the network in service on rows that it was not trained on.
    pub held_out: Vec<ScoreView>,
    /// In five-minute steps, at most the last two days, oldest first.
    #[schema(value_type = Vec<QualityView>)]
    #[serde(serialize_with = "super::shared")]
    pub lately: Arc<Vec<QualityView>>,
}

/// Who forecast one resource at one horizon how well, over all hosts.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ScoreView {
    /// Of what: a resource, or one channel of it.
    pub target: &'static str,
    /// How far ahead, in seconds.
    pub horizon_s: u32,
    /// How many values came.
    pub values: u64,
    /// Pinball losses by who forecast, in the unit of the target; what was published is `served`. The network's are over
    /// those moments alone at which it forecast too.
    pub losses: Vec<LossView>,
    /// Share of values at or below the published p50, p90, p95 and p99.
    pub coverage: [f64; 4],
}

/// What one expert lost.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct LossView {
    /// `served`, `last`, `ewma`, `hour`, `four_hours`, `day` or `lstm`.
    pub expert: &'static str,
    /// Mean pinball loss over p50, p90, p95 and p99.
    pub pinball: f64,
    /// 1 - loss / loss of the last value over the same moments; `None` where that lost nothing.
    pub skill: Option<f64>,
}

/// How good the forecasts of one resource were at a moment, at the farthest horizon: medians over all hosts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct QualityView {
    /// When.
    pub time_ms: UnixMs,
    /// Of what.
    pub resource: Resource,
    /// Hosts with a forecast.
    pub hosts: u32,
    /// 1 - loss / loss of the last value.
    pub skill: Option<f64>,
    /// Share of values at or below the p95.
    pub coverage: Option<f64>,
    /// Share of hosts whose forecast the network counts most in.
    pub by_network: f64,
}

impl ScoreView {
    /// All rows of `table`.
    pub(crate) fn of(table: &ScoreTable) -> Vec<Self> {
        table.rows.iter().map(Self::row).collect()
    }

    fn row(row: &ScoreRow) -> Self {
        let Compared { last, .. } = row.all;
        let by_all = [
            ("served", row.all.served),
            ("last", last),
            ("ewma", row.all.ewma),
            ("hour", row.all.hour),
            ("four_hours", row.all.four_hours),
            ("day", row.all.day),
        ];
        let mut losses: Vec<LossView> = by_all.map(|(expert, loss)| LossView::of(expert, loss, last)).into();
        if let Some(with) = &row.with_lstm {
            losses.extend(with.lstm.map(|loss| LossView::of("lstm", loss, with.last)));
        }
        Self {
            target: name(&row.target),
            horizon_s: row.horizon_s,
            values: row.all.n,
            losses,
            coverage: row.coverage,
        }
    }
}

/// A resource by its own name, also where it is one channel.
fn name(target: &Target) -> &'static str {
    if *target == Target::whole(target.resource) {
        target.resource.as_str()
    } else {
        target.name()
    }
}

impl LossView {
    fn of(expert: &'static str, loss: Loss, last: Loss) -> Self {
        let skill = 1.0 - loss.pinball / last.pinball;
        Self {
            expert,
            pinball: loss.pinball,
            skill: skill.is_finite().then_some(skill),
        }
    }
}
