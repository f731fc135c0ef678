//! Priority: who is served first, who has to give, and who must not be touched.

use std::cmp::Reverse;

use shadow::UnixMs;

use crate::policy::Strategy;

use super::{
    ask::Pick,
    claim::Claim,
    state::{Key, State},
};

/// What is asked for without looking ahead: the present use.
pub(super) fn pick(used: Option<f64>) -> Option<Pick> {
    used.map(Pick::of_present)
}

/// Where `claim` stands in line: the more critical first, then who waits longest, then by name.
pub(super) fn rank<'c>(claim: &'c Claim<'_>, state: &State, now_ms: UnixMs) -> (Reverse<u8>, UnixMs, &'c Key) {
    let since = state.waiting.get(&claim.key).copied().unwrap_or(now_ms);
    (Reverse(claim.criticality), since.min(now_ms), &claim.key)
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
