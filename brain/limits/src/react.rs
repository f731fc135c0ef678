//! The reaction of an agent within an interval: who reaches its limit is given more at once.

/// What a limit is set to in a reaction: so many times the use ...
const TIMES: f64 = 1.2;
/// ... and so much of the capacity.
const PLUS: f64 = 0.02;

/// By how little a use may lie above its limit without violating it: less than any counter tells.
pub(crate) const SLACK: f64 = 1e-9;

/// The limit after a sample, which a reaction may have raised.
pub(crate) fn after(limit: f64, used: f64) -> f64 {
    if limit < used { used * TIMES + PLUS } else { limit }
}

/// The limit at each of an interval's samples and after the last of them. Without reaction it stands.
pub fn path(limit: f64, samples: &[f64], reacts: bool) -> (Vec<f64>, f64) {
    let mut now = limit;
    let path = samples.iter().map(|used| step(&mut now, *used, reacts)).collect();
    (path, now)
}

/// The limit at a sample; `now` is the one after it.
pub(crate) fn step(now: &mut f64, used: f64, reacts: bool) -> f64 {
    let at = *now;
    if reacts {
        *now = after(at, used);
    }
    at
}
