//! Changes that hurt: what a lowering did to those whom it was taken from, and how long that is remembered.
//!
//! After a lowering that an agent has really written, the workload is watched for ten minutes. A kill for want of memory,
//! or pressure or throttling that has jumped against the time before, is a hurt, found here or told by the agent. What was
//! held before is then the least that is asked for, so the next plan undoes the change, and nothing is lowered below it for
//! an hour, and twice as long each time, up to a week.

use serde::{Deserialize, Serialize};
use shadow::{Resource, UnixMs};

use crate::allocate::Key;

use super::{Feedback, Lesson};

/// How long a lowering is watched.
pub(crate) const WATCHED_MS: i64 = 600_000;

/// How long the first hurt is remembered, and how long the last.
const FIRST_MS: i64 = 3_600_000;
const LONGEST_MS: i64 = 7 * 24 * 3_600_000;

/// What a hurt adds to the margin, as a share of the forecast.
const MORE: f64 = 0.05;

/// How much more of the time somebody waits, or is throttled, than before: a jump.
const PRESSURE: f64 = 0.1;
const THROTTLED: f64 = 0.05;

/// How many more pages a second are needed again that were thrown out, and how many times as many: a jump. A page is back
/// after a tenth of a millisecond from a fast disk, so a thousand cost a tenth of the time, as [`PRESSURE`] does.
const REFAULTS: f64 = 1_000.0;
const REFAULTS_TIMES: f64 = 3.0;

/// The most lowerings that are watched.
const MOST_WATCHED: usize = 20_000;

/// What a workload went through in some time; `None` where it is not measured.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Strain {
    /// Share of the time in which some task waited for the resource, 0 to 1.
    pub pressure: Option<f64>,
    /// Share of the time in which it was throttled, 0 to 1.
    pub throttled: Option<f64>,
    /// Processes killed for want of memory.
    pub kills: Option<f64>,
    /// Pages a second of its host that were thrown out and were needed again; they are not told by workload.
    #[serde(default)]
    pub refaults: Option<f64>,
}

impl Strain {
    /// What has become worse since `before`, in words; `None` when nothing has.
    pub fn worse(&self, before: &Self) -> Option<String> {
        let kills = self.kills.filter(|kills| *kills >= 0.5);
        if let Some(kills) = kills {
            return Some(format!("{kills:.0} process(es) were killed for want of memory"));
        }
        let jumped = |now: Option<f64>, then: Option<f64>, by: f64| {
            let (now, then) = (now?, then.unwrap_or(0.0));
            (now - then >= by).then_some((100.0 * then, 100.0 * now))
        };
        if let Some((then, now)) = jumped(self.throttled, before.throttled, THROTTLED) {
            return Some(format!("throttled {now:.0} % of the time, {then:.0} % before"));
        }
        if let Some((then, now)) = jumped(self.pressure, before.pressure, PRESSURE) {
            return Some(format!("pressure {now:.0} % of the time, {then:.0} % before"));
        }
        // Without a time before it is not known whether it is more.
        let (now, then) = (self.refaults?, before.refaults?);
        let jumped = now - then >= REFAULTS && now >= REFAULTS_TIMES * then;
        jumped.then(|| format!("{now:.0} pages a second were needed again on its host, {then:.0} before"))
    }
}

/// A lowering that is watched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Watch {
    /// When it was written.
    since_ms: UnixMs,
    /// What was held before.
    before: f64,
    /// What it was like before; `None` until it is looked at.
    base: Option<Strain>,
    /// When it was last looked at.
    looked_ms: Option<UnixMs>,
}

/// A hurt that is remembered.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Scar {
    /// The least that is asked for.
    least: f64,
    until_ms: UnixMs,
    /// How often it hurt.
    times: u32,
    said: String,
}

/// What is to be looked at of a lowering.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Look {
    /// Whose.
    pub(crate) key: Key,
    /// When it was lowered.
    pub(crate) since_ms: UnixMs,
    /// Whether it is not known what it was like before.
    pub(crate) needs_base: bool,
}

impl Feedback {
    /// An agent has lowered `key` from `before` at `time_ms`, or, with `None`, has raised it: then nothing is watched.
    pub(super) fn lowered(&mut self, key: &Key, time_ms: UnixMs, before: Option<f64>) {
        let Some(before) = before else {
            self.watched.remove(key);
            return;
        };
        // Of several in a row the first is the one that it was well before.
        let known = self.watched.get(key).map(|watch| (watch.before, watch.base));
        if known.is_none() && self.watched.len() >= MOST_WATCHED {
            return;
        }
        let (before, base) = known.unwrap_or((before, None));
        let watch = Watch {
            since_ms: time_ms,
            before,
            base,
            looked_ms: None,
        };
        self.watched.insert(key.clone(), watch);
    }

    /// What is to be looked at at `now_ms`, at most `most`, those first that were looked at longest ago.
    pub(crate) fn looks(&mut self, now_ms: UnixMs, most: usize) -> Vec<Look> {
        let is_young = |watch: &Watch| (0..=WATCHED_MS).contains(&now_ms.saturating_sub(watch.since_ms));
        self.watched.retain(|_, watch| is_young(watch));
        let mut due: Vec<(&Key, &mut Watch)> = self.watched.iter_mut().collect();
        due.sort_by_key(|(_, watch)| watch.looked_ms);
        due.truncate(most);
        let look = |(key, watch): (&Key, &mut Watch)| {
            watch.looked_ms = Some(now_ms);
            Look {
                key: key.clone(),
                since_ms: watch.since_ms,
                needs_base: watch.base.is_none(),
            }
        };
        due.into_iter().map(look).collect()
    }

    /// What `key` went through before its lowering, where that was asked for, and lately. Tells what hurt.
    pub(crate) fn strained(&mut self, key: &Key, time_ms: UnixMs, strain: (Option<Strain>, Strain)) -> Option<String> {
        let (base, now) = strain;
        let watch = self.watched.get_mut(key)?;
        let base = *watch.base.get_or_insert(base.unwrap_or_default());
        let worse = now.worse(&base)?;
        let before = watch.before;
        self.hurt(key, time_ms, (before, &worse));
        Some(worse)
    }

    /// A lowering of `key` from `before` has hurt.
    pub(super) fn hurt(&mut self, key: &Key, time_ms: UnixMs, (before, said): (f64, &str)) {
        self.watched.remove(key);
        if !(before.is_finite() && before >= 0.0) {
            return;
        }
        self.moments.note(&key.host, time_ms);
        let lesson = self.lessons.entry(key.clone()).or_default();
        let scar = lesson.scar.get_or_insert_default();
        let longer_ms = (FIRST_MS << scar.times.min(16)).min(LONGEST_MS);
        scar.least = before;
        scar.times = scar.times.saturating_add(1);
        scar.until_ms = time_ms.saturating_add(longer_ms);
        scar.said = said.chars().take(200).collect();
        lesson.more(MORE);
        lesson.last_ms = lesson.last_ms.max(Some(time_ms));
    }

    /// The least that may be held of `key` at `now_ms`, and why; `None` where nothing hurt lately.
    pub fn least(&self, key: &Key, now_ms: UnixMs) -> Option<(f64, String)> {
        let scar = self.lessons.get(key)?.scar.as_ref()?;
        let left_ms = scar.until_ms.saturating_sub(now_ms);
        let holds = (1..=LONGEST_MS).contains(&left_ms) && scar.least.is_finite() && scar.least >= 0.0;
        let minutes = left_ms / 60_000 + 1;
        holds.then(|| {
            let text = format!(
                "a lowering hurt {} time(s), last: {}; not lowered below that for {minutes} min",
                scar.times, scar.said
            );
            (scar.least, text)
        })
    }
}

impl Lesson {
    /// Whether what was learnt of hurts is still to be remembered.
    pub(super) fn remembers(&self, now_ms: UnixMs) -> bool {
        let scar = self.scar.as_ref();
        // As long again as it held: who hurts at once after it is hurt for longer.
        scar.is_some_and(|scar| now_ms.saturating_sub(scar.until_ms) < LONGEST_MS)
    }
}

/// The metrics that tell of strain of a workload on `resource`: pressure, throttling, kills, and refaults of its host.
pub(crate) fn metrics(workload: &str, resource: Resource) -> [Option<String>; 4] {
    let named = |what: &str| Some(format!("workload.{workload}.{what}"));
    match resource {
        Resource::Cpu => [named("pressure.cpu"), named("throttled"), None, None],
        Resource::Memory => [
            named("pressure.memory"),
            None,
            named("oom_kills"),
            Some("memory.refaults".to_owned()),
        ],
        Resource::Disk => [named("pressure.io"), None, None, None],
        Resource::Network | Resource::Power => [const { None }; 4],
    }
}
