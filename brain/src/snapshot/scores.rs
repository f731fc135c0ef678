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
    /// How many values came of what the losses are over.
    pub values: u64,
    /// Pinball losses by who forecast, in the unit of the target; what was published is `served`. All over the same moments:
    /// where the network has forecast, over those alone at which it did.
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
        let over = row.with_lstm.as_ref().filter(|with| with.n > 0).unwrap_or(&row.all);
        let Compared { n, last, .. } = *over;
        let by_all = [
            ("served", Some(over.served)),
            ("last", Some(last)),
            ("ewma", Some(over.ewma)),
            ("hour", Some(over.hour)),
            ("four_hours", Some(over.four_hours)),
            ("day", Some(over.day)),
            ("lstm", over.lstm),
        ];
        let lost = |(expert, loss): (_, Option<Loss>)| loss.map(|loss| LossView::of(expert, loss, last));
        Self {
            target: name(&row.target),
            horizon_s: row.horizon_s,
            values: n,
            losses: by_all.into_iter().filter_map(lost).collect(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_is_judged_over_the_moments_at_which_the_network_forecast() {
        let loss = |pinball| Loss {
            pinball,
            ..Loss::default()
        };
        let all = Compared {
            n: 1_000,
            last: loss(4.0),
            served: loss(3.0),
            ..Compared::default()
        };
        let with = Compared {
            n: 100,
            last: loss(2.0),
            served: loss(1.0),
            lstm: Some(loss(1.5)),
            ..Compared::default()
        };
        let view = |with_lstm| {
            ScoreView::row(&ScoreRow {
                target: Target::whole(Resource::Cpu),
                horizon_s: 300,
                all,
                with_lstm,
                coverage: [0.5; 4],
                served_share: [0.0; 3],
            })
        };
        let skill = |view: &ScoreView, expert| view.losses.iter().find(|loss| loss.expert == expert)?.skill;
        let compared = view(Some(with));
        assert_eq!((compared.values, skill(&compared, "served")), (100, Some(0.5)));
        assert_eq!(
            (skill(&compared, "lstm"), skill(&compared, "last")),
            (Some(0.25), Some(0.0))
        );
        for none in [None, Some(Compared::default())] {
            let alone = view(none);
            assert_eq!((alone.values, skill(&alone, "served")), (1_000, Some(0.25)));
            assert_eq!(skill(&alone, "lstm"), None);
        }
    }
}
