//! Proposals: changes that wait for somebody's word, and what became of those before. Pure, and it can be stored.
//!
//! There is at most one open proposal of a workload and resource. Each round judges it anew: it stays as it was shown while
//! the plan asks for nearly the same, and lapses when the plan asks for something else, for nothing, or when its time is
//! over. What has lapsed is told as such and is never made.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, VecDeque},
};

use serde::{Deserialize, Serialize};
use shadow::{Change, Outcome, UnixMs};
use utoipa::ToSchema;

use super::{Plan, amount, pairs, state::Key};
use crate::policy::ProposalRules;

/// The most that are open at a time; more are made as these are decided. Nobody decides on more, and each is some 2 KB.
pub const MOST_OPEN: usize = 200;
/// The most that are remembered after they were decided or have lapsed.
const MOST_DECIDED: usize = 500;
/// The most of these that are shown.
const MOST_SHOWN: usize = 100;

/// A target that is off by at most this share is the same proposal: forecasts always move a little.
const SAME: f64 = 0.1;
/// More than was declined by this share is asked for again at once.
const CLEARLY_MORE: f64 = 0.25;

/// What became of a proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It waits.
    Open,
    /// It was commanded.
    Approved,
    /// Somebody said no.
    Declined,
    /// Nobody decided while it held.
    Lapsed,
}

impl Fate {
    /// The word for people and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Approved => "approved",
            Self::Declined => "declined",
            Self::Lapsed => "lapsed",
        }
    }
}

/// One change that waits, or waited, for somebody's word.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Proposal {
    /// Unique for ever: issuer epoch, host and number.
    pub id: String,
    /// Of which host.
    pub host: String,
    /// When it was made.
    pub made_ms: UnixMs,
    /// When it lapses at the latest.
    pub expires_ms: UnixMs,
    /// What is commanded when it is approved.
    pub change: Change,
    /// What became of it.
    pub fate: Fate,
    /// When; `None` while it is open.
    pub decided_ms: Option<UnixMs>,
    /// Who has decided, by their own word; empty when it lapsed.
    pub by: String,
    /// Why it was declined or has lapsed, or empty.
    pub reason: String,
    /// The command that was made of it.
    pub command_id: Option<String>,
    /// What the agent answered to that last.
    pub outcome: Option<Outcome>,
}

impl Proposal {
    /// Whose reservation of what.
    pub fn key(&self) -> Key {
        Key::new(&self.host, &self.change.workload, self.change.resource)
    }

    /// What became of it, in words: `approved by ann`.
    pub fn told(&self) -> String {
        let by = if self.by.is_empty() {
            String::new()
        } else {
            format!(" by {}", self.by)
        };
        let why = if self.reason.is_empty() {
            String::new()
        } else {
            format!(": {}", self.reason)
        };
        format!("{}{by}{why}", self.fate.as_str())
    }
}

/// Why nothing came of somebody's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such proposal, or it is long past.
    Unknown,
    /// It has lapsed, for this reason.
    Lapsed(String),
    /// It was decided otherwise.
    Decided(String),
    /// It cannot be made now, for this reason; it stays open.
    Unfit(String),
}

/// All proposals: those that are open, and those before.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Proposals {
    #[serde(with = "pairs")]
    open: BTreeMap<Key, Proposal>,
    /// Oldest first.
    decided: VecDeque<Proposal>,
    /// How many were ever made.
    made: u64,
    /// Those that were made or have ended since it was asked last, in this order.
    #[serde(skip)]
    changed: Vec<Proposal>,
    /// Whether something has changed since it was asked last.
    #[serde(skip)]
    is_news: bool,
}

impl Proposals {
    /// Judges what is open by `plan`, which takes everybody to agree, and proposes what is new there.
    pub fn round(&mut self, plan: &Plan, rules: ProposalRules, issuer_epoch: u64) {
        let now_ms = plan.time_ms;
        self.expire(now_ms);
        let content = &plan.asking.content;
        let eased: Vec<Key> = self.open.keys().filter(|key| content.contains(key)).cloned().collect();
        for key in eased {
            self.lapse(&key, now_ms, "the plan asks for it no more");
        }
        for key in &plan.asking.wanted {
            let mut changes = plan.changes.get(&key.host).into_iter().flatten();
            let of_key = |change: &&Change| (&change.workload, change.resource) == (&key.workload, key.resource);
            let Some(change) = changes.find(of_key) else { continue };
            if self.open.get(key).is_some_and(|open| is_same(&open.change, change)) {
                continue;
            }
            self.lapse(key, now_ms, "the plan has changed");
            if self.open.len() < MOST_OPEN && !self.is_declined(key, change, (now_ms, rules)) {
                self.make(key, change.clone(), (now_ms, rules, issuer_epoch));
            }
        }
    }

    /// What is open past its time lapses.
    pub fn expire(&mut self, now_ms: UnixMs) {
        let over = self.open.iter().filter(|(_, open)| open.expires_ms <= now_ms);
        let over: Vec<Key> = over.map(|(key, _)| key.clone()).collect();
        for key in over {
            self.lapse(&key, now_ms, "nobody decided in time");
        }
    }

    /// The clock was set back to `now_ms`: what was told by another clock is not decided on.
    pub fn rewind(&mut self, now_ms: UnixMs) {
        let open: Vec<Key> = self.open.keys().cloned().collect();
        for key in open {
            self.lapse(&key, now_ms, "the clock was set back");
        }
        for known in &mut self.decided {
            known.decided_ms = known.decided_ms.map(|ms| ms.min(now_ms));
        }
    }

    /// The proposal called `id`, if it is open or was decided as `wanted` before: who asks twice is told the same.
    ///
    /// # Errors
    /// [`Refusal`] for all others.
    pub fn find(&mut self, id: &str, wanted: Fate, now_ms: UnixMs) -> Result<&Proposal, Refusal> {
        self.expire(now_ms);
        let all = self.open.values().chain(self.decided.iter().rev());
        let known = all.into_iter().find(|known| known.id == id).ok_or(Refusal::Unknown)?;
        match known.fate {
            Fate::Lapsed => Err(Refusal::Lapsed(known.reason.clone())),
            fate if fate == Fate::Open || fate == wanted => Ok(known),
            _ => Err(Refusal::Decided(known.told())),
        }
    }

    /// Somebody says no to the proposal called `id`.
    ///
    /// # Errors
    /// [`Refusal`], but that it was declined before.
    pub fn decline(&mut self, id: &str, (by, reason): (&str, &str), now_ms: UnixMs) -> Result<Proposal, Refusal> {
        let known = self.find(id, Fate::Declined, now_ms)?.clone();
        if known.fate == Fate::Declined {
            return Ok(known);
        }
        let declined = Proposal {
            fate: Fate::Declined,
            by: by.to_owned(),
            reason: reason.to_owned(),
            ..known
        };
        Ok(self.end(declined, now_ms))
    }

    /// The open `proposal` was approved, and became the command called `command_id`.
    pub fn approved(&mut self, proposal: Proposal, (by, command_id): (&str, &str), now_ms: UnixMs) -> Proposal {
        let approved = Proposal {
            fate: Fate::Approved,
            by: by.to_owned(),
            command_id: Some(command_id.to_owned()),
            ..proposal
        };
        self.end(approved, now_ms)
    }

    /// The proposal called `id` was decided on just now, and nothing came of that: it is open as it was.
    pub fn reopen(&mut self, id: &str) {
        let Some(at) = self.decided.iter().rposition(|known| known.id == id) else {
            return;
        };
        let Some(decided) = self.decided.remove(at) else { return };
        let open = Proposal {
            fate: Fate::Open,
            decided_ms: None,
            by: String::new(),
            reason: String::new(),
            command_id: None,
            ..decided
        };
        self.changed.push(open.clone());
        self.open.insert(open.key(), open);
        self.is_news = true;
    }

    /// An agent has answered: noted where that is of a command that somebody has approved.
    pub fn answered(&mut self, outcome: &Outcome) {
        let mut all = self.decided.iter_mut().rev();
        if let Some(known) = all.find(|known| known.command_id.as_ref() == Some(&outcome.command_id)) {
            known.outcome = Some(outcome.clone());
            self.is_news = true;
        }
    }

    /// What each open proposal would have its holder hold: so much is reserved at most.
    pub fn targets(&self) -> BTreeMap<Key, f64> {
        let target = |(key, open): (&Key, &Proposal)| (key.clone(), open.change.target);
        self.open.iter().map(target).collect()
    }

    /// Whether the one called `id` is open.
    pub fn is_open(&self, id: &str) -> bool {
        self.open.values().any(|open| open.id == id)
    }

    /// How many are open.
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// Those that are open, then those before, the newest first.
    pub fn shown(&self) -> Vec<Proposal> {
        let mut open: Vec<&Proposal> = self.open.values().collect();
        open.sort_by_key(|open| Reverse(open.made_ms));
        let before = self.decided.iter().rev().take(MOST_SHOWN);
        open.into_iter().chain(before).cloned().collect()
    }

    /// Every one that is remembered.
    pub fn all(&self) -> impl Iterator<Item = &Proposal> {
        self.open.values().chain(&self.decided)
    }

    /// Whether [`take_news`](Self::take_news) would say yes.
    pub fn is_news(&self) -> bool {
        self.is_news
    }

    /// Whether something has changed since this was asked last.
    pub fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.is_news)
    }

    /// Those that were made or have ended since this was asked last, each as it was then.
    pub fn take_changed(&mut self) -> Vec<Proposal> {
        std::mem::take(&mut self.changed)
    }

    fn make(&mut self, key: &Key, mut change: Change, (now_ms, rules, issuer_epoch): (UnixMs, ProposalRules, u64)) {
        self.made += 1;
        if let Some(no) = self.last_declined(key) {
            let minutes = now_ms.saturating_sub(no.decided_ms.unwrap_or(now_ms)) / 60_000;
            let (to, told) = (amount(key.resource, no.change.target), no.told());
            let before = format!("; {to} was {told}, {minutes} min ago");
            change.explanation.text.push_str(&before);
        }
        let proposal = Proposal {
            id: format!("{issuer_epoch}-{}-p{}", key.host, self.made),
            host: key.host.clone(),
            made_ms: now_ms,
            expires_ms: now_ms.saturating_add_unsigned(rules.open_for_ms),
            change,
            fate: Fate::Open,
            decided_ms: None,
            by: String::new(),
            reason: String::new(),
            command_id: None,
            outcome: None,
        };
        self.changed.push(proposal.clone());
        self.open.insert(key.clone(), proposal);
        self.is_news = true;
    }

    fn lapse(&mut self, key: &Key, now_ms: UnixMs, reason: &str) {
        if let Some(open) = self.open.get(key).cloned() {
            let lapsed = Proposal {
                fate: Fate::Lapsed,
                reason: reason.to_owned(),
                ..open
            };
            self.end(lapsed, now_ms);
        }
    }

    /// Moves `proposal` to those that are past. Of too many the oldest that has merely lapsed is forgotten.
    fn end(&mut self, proposal: Proposal, now_ms: UnixMs) -> Proposal {
        let proposal = Proposal {
            decided_ms: Some(now_ms),
            ..proposal
        };
        self.open.remove(&proposal.key());
        self.decided.push_back(proposal.clone());
        if self.decided.len() > MOST_DECIDED {
            let lapsed = self.decided.iter().position(|known| known.fate == Fate::Lapsed);
            self.decided.remove(lapsed.unwrap_or(0));
        }
        self.changed.push(proposal.clone());
        self.is_news = true;
        proposal
    }

    fn last_declined(&self, key: &Key) -> Option<&Proposal> {
        let declined = |known: &&Proposal| known.fate == Fate::Declined && known.key() == *key;
        self.decided.iter().rev().find(declined)
    }

    /// Whether somebody has said no to as much lately.
    fn is_declined(&self, key: &Key, change: &Change, (now_ms, rules): (UnixMs, ProposalRules)) -> bool {
        let lately = |known: &&Proposal| {
            let ago_ms = now_ms.saturating_sub(known.decided_ms.unwrap_or(UnixMs::MIN));
            u64::try_from(ago_ms).is_ok_and(|ago_ms| ago_ms < rules.declined_for_ms)
        };
        let Some(no) = self.last_declined(key).filter(lately) else {
            return false;
        };
        let is_more = rises(change) && change.target > no.change.target * (1.0 + CLEARLY_MORE);
        rises(change) == rises(&no.change) && !is_more
    }
}

/// Whether what is held does not fall by it.
fn rises(change: &Change) -> bool {
    change.before.is_none_or(|before| change.target >= before)
}

/// Whether what is asked for is nearly what is shown.
fn is_same(shown: &Change, asked: &Change) -> bool {
    let begins = match (shown.before, asked.before) {
        (Some(one), Some(other)) => super::state::is_same(one, other),
        (one, other) => one.is_none() && other.is_none(),
    };
    let off = (shown.target - asked.target).abs();
    begins && rises(shown) == rises(asked) && off <= SAME * shown.target.abs()
}

#[cfg(test)]
mod tests;
