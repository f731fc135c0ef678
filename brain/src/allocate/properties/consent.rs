//! What holds while some changes wait for somebody's word, whatever is approved, declined or forgotten.

use super::*;
use crate::{
    allocate::{
        admit,
        proposals::{Fate, Proposal, Proposals},
    },
    policy::ProposalRules,
};

const RULES: ProposalRules = ProposalRules {
    open_for_ms: 900_000,
    declined_for_ms: 3_600_000,
};

/// Some classes ask, the others act, on everything.
fn asking() -> World {
    let act =
        "[act]\n\"*\" = [\"cpu\", \"memory\", \"network\", \"disk\", \"power\"]\n[class.host]\nmode = \"recommend\"\n";
    let policy = POLICY.replace("[class.batch]", "[class.batch]\nmode = \"recommend\"");
    let policy = policy.replace("[class.eager]", "[class.eager]\nmode = \"recommend\"");
    World {
        policy: Policy::parse(&format!("{act}{policy}")).unwrap(),
        ..World::new()
    }
}

impl World {
    fn asks(&self, hosts: &BTreeMap<String, HostInput>, key: &Key) -> bool {
        let Some(host) = hosts.get(&key.host) else { return false };
        let named = host
            .workloads
            .get(&key.workload)
            .map_or("host", |own| own.class.as_str());
        self.policy.asks(&key.host, key.resource, self.policy.class(named).1)
    }

    fn inputs<'a>(
        &'a self,
        now_ms: i64,
        (state, hosts): (&'a State, &'a BTreeMap<String, HostInput>),
        proposed: Option<&'a BTreeMap<Key, f64>>,
    ) -> Inputs<'a> {
        Inputs {
            now_ms,
            started_ms: 0,
            policy: &self.policy,
            feedback: &self.feedback,
            state,
            hosts,
            proposed,
        }
    }
}

/// What is promised of each account of hosts that are heard, and what there is.
fn promised(world: &World, state: &State, hosts: &BTreeMap<String, HostInput>) -> Vec<(String, f64, f64)> {
    let mut sums = Vec::new();
    for (name, host) in hosts.iter().filter(|(_, host)| is_heard(world, host)) {
        for resource in Resource::ALL {
            let Some(capacity) = host.capacity.of(resource).filter(|c| c.is_finite() && *c > 0.0) else {
                continue;
            };
            let own = state
                .reservations()
                .filter(|(key, _)| key.host == *name && key.resource == resource);
            sums.push((
                format!("{resource} of {name}"),
                own.map(|(_, held)| held.amount).sum(),
                capacity,
            ));
        }
    }
    sums
}

proptest! {
    #[test]
    fn the_account_adds_up_whatever_is_approved(
        state in foreign_state(),
        rounds in rounds(),
        words in vec(0..3_u8, 64),
    ) {
        let world = asking();
        let mut words = words.into_iter().cycle();
        let (mut state, mut book) = (state, Proposals::default());
        for (at, hosts) in rounds.iter().enumerate() {
            let now_ms = 1_000_000 + 700_000 * i64::try_from(at).unwrap();
            let wished = plan(&world.inputs(now_ms, (&state, hosts), None));
            for key in &wished.asking.wanted {
                prop_assert!(world.asks(hosts, key), "{key:?} needs nobody's word");
            }
            book.round(&wished, RULES, 7);
            let open = book.targets();
            let made = plan(&world.inputs(now_ms, (&state, hosts), Some(&open)));

            // Nothing is done to those who are asked, but that what there is no more is taken back.
            let mut corrected = Vec::new();
            for (host, changes) in &made.changes {
                for change in changes {
                    let key = Key::new(host, &change.workload, change.resource);
                    if world.asks(hosts, &key) {
                        let told = &change.explanation;
                        prop_assert!(told.text.contains("more was promised"), "{change:?}");
                        corrected.push(key);
                    }
                }
            }
            for (key, held) in made.state.reservations().filter(|(key, _)| world.asks(hosts, key)) {
                let before = state.reservations().find(|(known, _)| *known == key).map(|(_, held)| held.amount);
                prop_assert!(corrected.contains(key) || before == Some(held.amount), "{key:?}: {before:?}, {held:?}");
            }
            // What is reserved is what is promised and what is open, and never more than there is.
            for account in &made.pool {
                let behind = made.state.reservations().filter(|(key, _)| key.resource == account.resource);
                let behind = behind.filter(|(key, _)| account.host.as_ref().is_none_or(|host| key.host == *host));
                let held: f64 = behind.map(|(_, held)| held.amount).sum();
                let rounding = ROUNDING * account.capacity.max(held);
                prop_assert!((account.reserved - account.proposed - held).abs() <= rounding, "{account:?} but {held}");
                let asked = open.iter().filter(|(key, _)| key.resource == account.resource);
                let asked: f64 = asked.map(|(_, target)| target).sum();
                prop_assert!((0.0..=asked + rounding).contains(&account.proposed), "{account:?} of {asked}");
            }
            state = made.state;
            for (what, sum, capacity) in promised(&world, &state, hosts) {
                prop_assert!(sum <= capacity * (1.0 + ROUNDING), "{what}: {sum} of {capacity}");
            }

            for proposal in book.shown() {
                let word = words.next().unwrap();
                if proposal.fate != Fate::Open || word == 0 {
                    continue;
                }
                if word == 1 {
                    prop_assert!(book.decline(&proposal.id, ("ann", ""), now_ms).is_ok());
                    continue;
                }
                let Ok(after) = admit(&world.inputs(now_ms, (&state, hosts), None), &proposal.host, &proposal.change) else {
                    continue;
                };
                let held = after.reservation(&proposal.host, &proposal.change.workload, proposal.change.resource);
                prop_assert_eq!(held.map(|held| held.amount), Some(proposal.change.target), "exactly what was shown");
                let command = command(&proposal.host, now_ms, std::slice::from_ref(&proposal.change));
                state = after;
                state.sent(&command);
                book.approved(proposal, ("ann", &command.id), now_ms);
                for (what, sum, capacity) in promised(&world, &state, hosts) {
                    prop_assert!(sum <= capacity * (1.0 + ROUNDING), "{what}: {sum} of {capacity}");
                }
            }
        }
    }

    #[test]
    fn what_hosts_really_may_draw_stays_within_the_cell_by_approval_too(
        rounds in vec(vec((draw(), any::<bool>()), 3), 1..30),
    ) {
        let policy = "[act]\n\"*\" = [\"power\"]\n[cell]\npower_w = 500\n[class.host]\nmode = \"recommend\"\nmargin = 0\n\
             [class.host.lower]\ndwell = \"0s\"\nslew = 1";
        let world = World { policy: Policy::parse(policy).unwrap(), ..World::new() };
        let (mut state, mut book) = (State::default(), Proposals::default());
        let mut limits = [0.0; 3];
        for (round, draws) in rounds.iter().enumerate() {
            let now_ms = 3_600_000 + 60_000 * i64::try_from(round).unwrap();
            let hosts = draws.iter().enumerate().map(|(at, (draw, _))| (format!("h{at}"), draw.host(now_ms)));
            let hosts: BTreeMap<String, HostInput> = hosts.collect();
            let wished = plan(&world.inputs(now_ms, (&state, &hosts), None));
            book.round(&wished, RULES, 7);
            let open = book.targets();
            let made = plan(&world.inputs(now_ms, (&state, &hosts), Some(&open)));
            prop_assert!(made.changes.is_empty(), "nobody has said so: {:?}", made.changes);
            state = made.state;
            for (at, (draw, approves)) in draws.iter().enumerate() {
                let of_host = |known: &&Proposal| known.fate == Fate::Open && known.host == format!("h{at}");
                let Some(proposal) = book.shown().iter().find(of_host).cloned().filter(|_| *approves) else { continue };
                let Ok(after) = admit(&world.inputs(now_ms, (&state, &hosts), None), &proposal.host, &proposal.change) else {
                    continue;
                };
                let command = command(&proposal.host, now_ms, std::slice::from_ref(&proposal.change));
                state = after;
                state.sent(&command);
                book.approved(proposal, ("ann", &command.id), now_ms);
                if draw.obeys {
                    limits[at] = command.changes[0].target;
                }
                let sum: f64 = limits.iter().sum();
                prop_assert!(sum <= 500.0 * (1.0 + ROUNDING), "{limits:?} after {command:?}");
                if draw.answers {
                    state.settle(&command, &outcome(&command, draw.obeys));
                }
            }
        }
    }
}
