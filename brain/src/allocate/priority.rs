//! Priority: who is served first, who has to give, and who must not be touched.

use std::cmp::Reverse;

use shadow::UnixMs;

use crate::policy::Strategy;

use super::{
    Inputs,
    ask::Pick,
    claim::Claim,
    state::{Key, State},
};

/// What is asked for without looking ahead: the present use.
pub(super) fn pick(used: Option<f64>) -> Option<Pick> {
    used.map(Pick::of_present)
}

/// Where `claim` stands in line: the more critical first, who waits gaining points as it does; then whose deadline comes
/// first, then who waits longest, then by name. The points count in the line alone: nobody may take more from others for
/// having waited.
pub(super) fn rank<'c>(claim: &'c Claim<'_>, inputs: &Inputs<'_>) -> (Reverse<u64>, UnixMs, UnixMs, &'c Key) {
    let since = waits_since(&claim.key, inputs.state, inputs.now_ms);
    let hours = inputs.now_ms.saturating_sub(since) as f64 / 3_600_000.0;
    let queue = inputs.policy.queue;
    let points = f64::from(claim.criticality) + (queue.ageing_per_hour * hours).min(queue.ageing_most);
    // Points are not negative, and the bits of such numbers rise with them.
    (Reverse(points.to_bits()), deadline(claim, since), since, &claim.key)
}

/// Since when `key` waits; who asks for the first time begins now.
pub(super) fn waits_since(key: &Key, state: &State, now_ms: UnixMs) -> UnixMs {
    state.waiting.get(key).map_or(now_ms, |since| (*since).min(now_ms))
}

/// Until when a request that waits since `since_ms` is to be met.
pub(super) fn deadline(claim: &Claim<'_>, since_ms: UnixMs) -> UnixMs {
    since_ms.saturating_add(i64::try_from(claim.class.deadline_ms).unwrap_or(i64::MAX))
}

/// In which order others give to a claim: the least critical first, then who got its reservation last.
pub(super) fn donor_rank<'c>(donor: &'c Claim<'_>) -> (u8, Reverse<UnixMs>, &'c Key) {
    let since = donor.before.map_or(UnixMs::MAX, |held| held.since_ms);
    (donor.criticality, Reverse(since), &donor.key)
}

/// Whether `taker` may push `donor` below what it asks for.
pub(super) fn may_throttle(taker: &Claim<'_>, donor: &Claim<'_>) -> bool {
    taker.class.uses(Strategy::Priority) && donor.criticality < taker.criticality
}
