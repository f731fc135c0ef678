//! What a claim asks for: the strategies of its class in turn, then its bounds.

use limits::Decision;
use shadow::{Resource, Rung};

use crate::policy::{Class, Strategy};

use super::{bounds, dynamic, explain, need::Need, preemptive, priority};

/// How long a decision of the books holds, in seconds.
const INTERVAL_S: u32 = 300;

/// What a strategy proposes, before margin and bounds.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pick {
    /// Which strategy.
    pub(super) strategy: Strategy,
    /// The amount without margin.
    pub(super) forecast: f64,
    /// The quantile of it; 0 is the present use.
    pub(super) quantile: f64,
    /// How far ahead it is; 0 is now.
    pub(super) horizon_s: u32,
    /// Which step of the ladder says so; `None` is the present use.
    pub(super) rung: Option<Rung>,
    /// The coverage of the forecast's p95.
    pub(super) coverage: Option<f64>,
    /// The decision of the host's books that it follows; `None` when it is a forecast's quantile or the present use.
    pub(super) booked: Option<Booked>,
}

/// What books have decided, and what that is to somebody.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Booked {
    /// Of the host.
    pub(super) decision: Decision,
    /// In the unit of allocation.
    pub(super) amount: f64,
    /// Whether it is what the rule makes of a workload's own peaks, and not its part of the host's limit.
    pub(super) is_own: bool,
}

impl Pick {
    /// `need` at the quantile of `class`.
    pub(super) fn of(strategy: Strategy, need: &Need, class: &Class) -> Self {
        Self {
            strategy,
            forecast: need.at(class.quantile),
            quantile: class.quantile,
            horizon_s: need.horizon_s,
            rung: Some(need.rung),
            coverage: need.coverage,
            booked: None,
        }
    }

    /// What the books of the host's rules have decided; trusted as far as the nearest of `needs`.
    pub(super) fn by_books(strategy: Strategy, booked: Booked, needs: &[Need]) -> Self {
        let nearest = needs.first();
        Self {
            strategy,
            forecast: booked.amount,
            quantile: 1.0 - booked.decision.chosen.book.violations,
            horizon_s: INTERVAL_S,
            rung: Some(nearest.map_or(Rung::Lstm, |need| need.rung)),
            coverage: nearest.and_then(|need| need.coverage),
            booked: Some(booked),
        }
    }

    /// The present use.
    pub(super) fn of_present(used: f64) -> Self {
        Self {
            strategy: Strategy::Priority,
            forecast: used,
            quantile: 0.0,
            horizon_s: 0,
            rung: None,
            coverage: None,
            booked: None,
        }
    }
}

/// What a claim asks for, and why.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ask {
    /// What was decided on.
    pub(super) pick: Pick,
    /// What goes on top, as a share of the pick.
    pub(super) margin: f64,
    /// What is used now, where it is known.
    pub(super) used: Option<f64>,
    /// What is needed: the pick, or the present use where that is more. Without margin, not bounded.
    pub(super) needed: f64,
    /// What is asked for: with margin, within floor, ceiling and capacity.
    pub(super) wanted: f64,
    /// The bound that holds it: `floor`, `ceiling` or `capacity`; empty when none does.
    pub(super) clamp: &'static str,
    /// What was considered and not taken; where books decide, they tell it.
    pub(super) rejected: String,
    /// Why it may not be lowered on this word; `None` when it may.
    pub(super) doubt: Option<String>,
}

/// What [`ask`] rests on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ground<'a> {
    /// The class that rules.
    pub(super) class: &'a Class,
    /// Of what.
    pub(super) resource: Resource,
    /// What the host has of it.
    pub(super) capacity: f64,
    /// What is used now.
    pub(super) used: Option<f64>,
    /// What the host's books have decided.
    pub(super) booked: Option<Booked>,
    /// What feedback puts on top of the class's margin.
    pub(super) learnt: f64,
    /// The least coverage on whose word anything is lowered.
    pub(super) min_coverage: f64,
}

/// The amount that is asked for. It is never below the present use: a forecast may say that use will fall, and then
/// it is waited for. `None` when neither a forecast nor the present use is known.
pub(super) fn ask(needs: &[Need], ground: &Ground<'_>) -> Option<Ask> {
    let Ground { class, used, .. } = *ground;
    let (pick, rejected) = choose(needs, ground)?;
    // Books know what margin pays.
    let own = pick.booked.map_or(class.margin.of(ground.resource), |_| 0.0);
    let margin = own + ground.learnt;
    let needed = pick.forecast.max(used.unwrap_or(0.0));
    let asked = (pick.forecast * (1.0 + margin)).max(needed);
    let (wanted, clamp) = bounds::clamp(asked, class, ground.resource, ground.capacity);
    let doubt = doubt(&pick, ground);
    wanted.is_finite().then_some(Ask {
        pick,
        margin,
        used,
        needed,
        wanted,
        clamp,
        rejected,
        doubt,
    })
}

/// The pick of the class's strategies and what was rejected for it, in words.
fn choose(needs: &[Need], ground: &Ground<'_>) -> Option<(Pick, String)> {
    let Ground { class, used, .. } = *ground;
    if let Some(by_books) = by_books(needs, ground) {
        return Some(by_books);
    }
    let near = dynamic::pick(needs, class);
    let follow = near.clone().filter(|_| class.uses(Strategy::Dynamic));
    if class.uses(Strategy::Preemptive) {
        match (preemptive::pick(needs, class), follow) {
            (Ok(far), Some(near)) if near.forecast > far.forecast => {
                let rejected = explain::alternative(&far, ground.resource);
                return Some((near, rejected));
            }
            (Ok(far), _) => {
                let rejected = near.filter(|near| near.horizon_s != far.horizon_s);
                let rejected = rejected.map(|near| explain::alternative(&near, ground.resource));
                return Some((far, rejected.unwrap_or_default()));
            }
            (Err(doubt), Some(near)) => return Some((near, doubt)),
            (Err(doubt), None) => return Some((priority::pick(used).or(near)?, doubt)),
        }
    }
    let follow = follow.map(|near| (near, String::new()));
    follow.or_else(|| Some((priority::pick(used).or(near)?, String::new())))
}

/// The decision of the books, where there is one and the class looks ahead. The next best rule is put into words where a change
/// is: most claims change nothing.
fn by_books(needs: &[Need], ground: &Ground<'_>) -> Option<(Pick, String)> {
    let booked = ground.booked.filter(|booked| booked.amount.is_finite())?;
    let looks = [Strategy::Preemptive, Strategy::Dynamic]
        .into_iter()
        .find(|of| ground.class.uses(*of))?;
    Some((Pick::by_books(looks, booked, needs), String::new()))
}

fn doubt(pick: &Pick, ground: &Ground<'_>) -> Option<String> {
    let least = ground.min_coverage;
    let class = ground.class;
    let looks_ahead = class.uses(Strategy::Preemptive) || class.uses(Strategy::Dynamic);
    match (pick.rung, pick.coverage) {
        (None, _) if looks_ahead => Some("there is no forecast that is trusted".to_owned()),
        (Some(_), None) => Some("the coverage of the forecast is not known yet".to_owned()),
        (Some(_), Some(coverage)) if coverage.is_nan() || coverage < least => Some(format!(
            "the p95 held {:.0} % of the values lately, {:.0} % are asked",
            coverage * 100.0,
            least * 100.0
        )),
        (None, _) | (Some(_), Some(_)) => None,
    }
}
