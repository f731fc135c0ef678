//! Spare hosts: one is woken when the cell will need more than its awake hosts have, so early that it has booted by then.
//!
//! What is needed is the sum of the awake hosts' forecasts for the nearest horizon that the boot does not outlast (the
//! farthest where none reaches so far), each at the policy's quantile: more than the quantile of the sum, so rather too
//! early than too late. What is not forecast counts as it is used now. One host wakes at a time.

use std::collections::BTreeMap;

use serde::Serialize;
use shadow::{HOST_WORKLOAD, Resource};

use crate::policy::Spare;

use super::{
    HostInput, Unmet,
    claim::is_silent,
    explain,
    need::{self, Question, needs},
    round::Round,
    state::{self, Key, Reservation},
};

/// The longest time between two requests to the same host.
const LONGEST_MS: i64 = 3_600_000;

/// A spare host that is to wake, and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Wake {
    /// Which.
    pub host: String,
    /// Of what there will be too little.
    pub resource: Resource,
    /// How much will be needed, in the resource's unit of allocation.
    pub needed: f64,
    /// What the awake hosts have.
    pub has: f64,
    /// In words.
    pub text: String,
}

/// What a round decides of spare hosts.
#[derive(Debug, Default)]
pub(super) struct Waking {
    pub(super) wakes: Vec<Wake>,
    pub(super) unmet: Vec<Unmet>,
    pub(super) under_way: BTreeMap<String, state::Waking>,
}

/// Too little of a resource.
struct Want {
    resource: Resource,
    needed: f64,
    has: f64,
}

impl Round<'_> {
    /// Asks for a spare host, where one will be needed.
    pub(super) fn wake(&mut self) {
        let inputs = self.inputs;
        let is_up = |spare: &&Spare| inputs.hosts.get(&spare.host).is_some_and(|host| self.is_awake(host));
        let off: Vec<&Spare> = inputs.policy.spares.iter().filter(|spare| !is_up(spare)).collect();
        let asked = off.iter().map(|spare| &spare.host);
        let under_way = asked.filter_map(|name| Some((name.clone(), *inputs.state.waking.get(name)?)));
        self.waking.under_way = under_way.collect();
        for spare in off {
            let last = self.waking.under_way.get(&spare.host).copied();
            let boot_ms = i64::try_from(spare.boot_ms).unwrap_or(i64::MAX);
            let patience_ms = |times: u32| boot_ms.saturating_mul(1 << times.min(8)).min(LONGEST_MS.max(boot_ms));
            let waits = |last: state::Waking| inputs.now_ms.saturating_sub(last.asked_ms) < patience_ms(last.times);
            if last.is_some_and(waits) {
                // It is on its way: no other is woken for the same need.
                return;
            }
            if let Some(want) = self.want(spare) {
                self.wake_one(spare, &want, last.map_or(1, |last| last.times.saturating_add(1)));
                if !self.waking.wakes.is_empty() {
                    return;
                }
            }
        }
    }

    fn is_awake(&self, host: &HostInput) -> bool {
        !is_silent(&self.inputs, host) && need::present(host, Resource::Cpu).is_some()
    }

    /// Of what there will be too little by the time that `spare` could have booted, first cpu, then memory.
    fn want(&self, spare: &Spare) -> Option<Want> {
        let wants = [Resource::Cpu, Resource::Memory].into_iter().filter_map(|resource| {
            let mut want = Want {
                resource,
                needed: 0.0,
                has: 0.0,
            };
            for host in self.inputs.hosts.values().filter(|host| self.is_awake(host)) {
                let told = host.capacity.of(resource);
                let Some(capacity) = told.filter(|capacity| capacity.is_finite() && *capacity > 0.0) else {
                    continue;
                };
                want.has += capacity;
                want.needed += self.expected(host, (resource, capacity), spare).min(capacity);
            }
            (want.needed > self.inputs.policy.wake.above * want.has).then_some(want)
        });
        let mut wants = wants;
        wants.next()
    }

    /// What `host` will need when `spare` could have booted.
    fn expected(&self, host: &HostInput, (resource, capacity): (Resource, f64), spare: &Spare) -> f64 {
        let oldest = i64::try_from(self.inputs.policy.safety.silent_after_ms).unwrap_or(i64::MAX);
        let needs = needs(&Question {
            host,
            resource,
            capacity,
            used: None,
            not_before_ms: self.inputs.now_ms.saturating_sub(oldest),
        });
        let reaches = needs
            .iter()
            .find(|need| u64::from(need.horizon_s) * 1_000 >= spare.boot_ms);
        let quantile = self.inputs.policy.wake.quantile;
        reaches.or(needs.last()).map_or_else(
            || need::present(host, resource).unwrap_or(0.0) * need::to_amount(resource, capacity),
            |need| need.at(quantile),
        )
    }

    fn wake_one(&mut self, spare: &Spare, want: &Want, times: u32) {
        let key = Key::new(&spare.host, HOST_WORKLOAD, Resource::Power);
        let promised = self.held(&key);
        let power_w = (spare.power_w - promised).max(0.0);
        let free_w = self.pool.free_in_cell(Resource::Power);
        let amount = |value| explain::amount(want.resource, value);
        let because = format!(
            "{} of the cell: p{:.0} in {} is {}, more than {:.0} % of the {} that the awake hosts have",
            want.resource,
            self.inputs.policy.wake.quantile * 100.0,
            runtime::Span::from_secs(spare.boot_ms.div_ceil(1_000)),
            amount(want.needed),
            self.inputs.policy.wake.above * 100.0,
            amount(want.has),
        );
        if power_w > free_w {
            let text = format!(
                "{because}; the spare host {} would be woken, but it may draw {power_w:.0} W and {free_w:.0} W of the \
                 cell's power are free",
                spare.host
            );
            self.waking.unmet.push(Unmet {
                key,
                needed: spare.power_w,
                held: promised,
                text,
            });
            return;
        }
        // One whose BMC tells of it has a claim, which rises as it draws more.
        if power_w > 0.0 && !self.claims.contains_key(&key) {
            let reservation = Reservation {
                amount: spare.power_w,
                since_ms: self.inputs.now_ms,
            };
            self.pool.shift(&key, power_w);
            self.others.insert(key, reservation);
        }
        let again = if times > 1 {
            format!("; it was asked {} time(s) before", times - 1)
        } else {
            String::new()
        };
        self.waking.wakes.push(Wake {
            host: spare.host.clone(),
            resource: want.resource,
            needed: want.needed,
            has: want.has,
            text: format!("wake {}: {because}{again}", spare.host),
        });
        let waking = state::Waking {
            asked_ms: self.inputs.now_ms,
            times,
        };
        self.waking.under_way.insert(spare.host.clone(), waking);
    }
}
