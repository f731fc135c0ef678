//! What waits for somebody's word: what is proposed, what is reserved for it, and whether it fits when it is approved.

use shadow::Change;

use super::*;
use crate::allocate::admit;

/// `web` asks for approval, all others are changed as the plan says.
const WEB_ASKS: &str = "[act]\n\"*\" = [\"cpu\"]\n[class.web]\nmode = \"recommend\"\n";
/// Everybody asks.
const ALL_ASK: &str = "[act]\n\"*\" = [\"cpu\"]\n[class.default]\nmode = \"recommend\"\n";

impl Scene {
    fn inputs<'a>(&'a self, proposed: Option<&'a BTreeMap<Key, f64>>) -> Inputs<'a> {
        Inputs {
            now_ms: self.now_ms,
            started_ms: self.started_ms,
            policy: &self.policy,
            feedback: &self.feedback,
            state: &self.state,
            hosts: &self.hosts,
            proposed,
        }
    }

    /// The plan while proposals with these targets are open.
    fn plan_beside(&self, open: &[(&str, f64)]) -> Plan {
        let open = open.iter().map(|(name, target)| (cpu(name), *target)).collect();
        plan(&self.inputs(Some(&open)))
    }

    /// Everything that is reserved is in force.
    fn leased(mut self) -> Self {
        let change = |(key, held): (&Key, &Reservation)| Change {
            workload: key.workload.clone(),
            resource: key.resource,
            before: None,
            target: held.amount,
            ceiling: None,
            explanation: Explanation::default(),
        };
        let command = Command {
            id: "1-a-1".to_owned(),
            host: "a".to_owned(),
            issuer_epoch: 1,
            sequence: 1,
            issued_ms: 0,
            ttl_ms: 300_000,
            dry_run: false,
            changes: self.state.reservations().map(change).collect(),
            actions: Vec::new(),
        };
        self.state.sent(&command);
        self
    }

    fn admit(&self, change: &Change) -> Result<State, String> {
        admit(&self.inputs(None), "a", change)
    }
}

fn cpu(workload: &str) -> Key {
    Key::new("a", workload, Resource::Cpu)
}

fn change_of(plan: &Plan, workload: &str) -> Change {
    let mut changes = plan.changes.values().flatten();
    changes.find(|change| change.workload == workload).unwrap().clone()
}

fn held(state: &State, workload: &str) -> f64 {
    state.reservation("a", workload, Resource::Cpu).unwrap().amount
}

/// `web` lacks 1.2 cores of 4, of which 1.02 are free; the rest would have to come from `batch`, who asks for it too.
fn contended(policy: &str) -> Scene {
    let mut scene = Scene::new(policy)
        .workload("web", 90, 2.0, Some(1.0))
        .workload("batch", 10, 1.8, Some(1.98))
        .leased();
    scene.host().present[0] = Some(0.95);
    scene.host().forecasts = vec![forecast(Resource::Cpu, 300, 0.95, 0.95)];
    scene
}

#[test]
fn an_open_proposal_reserves_what_it_would_raise_and_nothing_else_does() {
    let scene = contended(WEB_ASKS);
    let wished = scene.plan();
    assert_eq!(targets(&wished), [("batch", 1.8), ("web", 2.2)]);
    assert_eq!(wished.asking.wanted, [cpu("web")]);

    let beside = scene.plan_beside(&[("web", 2.2)]);
    assert_eq!(targets(&beside), [("batch", 1.8)], "batch makes room, web waits");
    assert_eq!(held(&beside.state, "web"), 1.0);
    let account = account(&beside, Resource::Cpu);
    assert!(
        (account.reserved - 4.0).abs() < 1e-9 && (account.proposed - 1.2).abs() < 1e-9,
        "{account:?}"
    );
    assert_eq!(beside.asking, Asking::default());

    let idle = scene.plan_beside(&[]);
    assert_eq!(
        targets(&idle),
        [],
        "what nobody has proposed takes nothing from anybody"
    );
    assert_eq!(idle.queue, []);

    // Room was made: it fits, and the account adds up.
    let mut later = scene;
    later.state = beside.state;
    let state = later.admit(&change_of(&wished, "web")).unwrap();
    let (web, batch) = (held(&state, "web"), held(&state, "batch"));
    assert!((web - 2.2).abs() < 1e-9 && (batch - 1.8).abs() < 1e-9, "{web} {batch}");
}

#[test]
fn what_others_are_to_give_is_to_be_approved_first() {
    let mut scene = contended(ALL_ASK);
    let wished = scene.plan();
    assert_eq!(
        wished.asking.wanted,
        [cpu("web"), cpu("batch")],
        "the most critical first"
    );
    let beside = scene.plan_beside(&[("web", 2.2), ("batch", 1.8)]);
    assert_eq!(targets(&beside), []);
    let account = account(&beside, Resource::Cpu);
    assert!((account.proposed - 1.02).abs() < 1e-9, "only what is free: {account:?}");

    let (web, batch) = (change_of(&wished, "web"), change_of(&wished, "batch"));
    let refused = scene.admit(&web).unwrap_err();
    assert_eq!(
        refused,
        "1.02 cores are free and 1.2 cores are needed: approve first what others are to give, or decline this"
    );
    scene.state = scene.admit(&batch).unwrap();
    scene.state = scene.admit(&web).unwrap();
    assert!((held(&scene.state, "web") + held(&scene.state, "batch") - 4.0).abs() < 1e-9);
    let again = scene.admit(&web).unwrap_err();
    assert_eq!(again, "it holds 2.2 cores by now, which is not what was to be changed");
}

#[test]
fn what_needs_nothing_is_told_and_what_is_held_back_is_not() {
    let mut scene = Scene::new(ALL_ASK).workload("web", 90, 2.0, Some(2.2)).leased();
    assert!(scene.plan().asking.content.contains(&cpu("web")));
    scene.started_ms = scene.now_ms;
    assert_eq!(
        scene.plan().asking,
        Asking::default(),
        "a young brain lets nothing fall, nor a first limit be"
    );
    let first = Scene::new(ALL_ASK).workload("web", 90, 2.0, None);
    assert_eq!(first.plan().asking.wanted, [cpu("web")]);
    let told = Scene::new("[class.default]\nmode = \"recommend\"\n").workload("web", 90, 2.0, None);
    assert_eq!(
        told.plan().asking,
        Asking::default(),
        "where nothing acts nothing is proposed"
    );
    assert_eq!(targets(&told.plan_beside(&[])), [("web", 2.2)], "but told");
}

#[test]
fn what_is_promised_beyond_what_there_is_is_taken_back_without_asking() {
    let mut scene = Scene::new(ALL_ASK).workload("web", 90, 2.0, Some(3.0));
    scene.host().capacity.cpu_cores = Some(2.0);
    let plan = scene.plan_beside(&[]);
    assert_eq!(targets(&plan), [("web", 2.0)]);
    assert_eq!(held(&plan.state, "web"), 2.0);
    assert!(plan.only_told.contains(&cpu("web")), "nobody holds it: it is only told");
    assert_eq!(scene.plan().asking, Asking::default(), "and not proposed");
}

/// What has become of the cell since.
type Spoil = fn(&mut Scene);

#[test]
fn whatever_holds_it_back_by_then_is_told() {
    let scene = || Scene::new(WEB_ASKS).workload("web", 90, 1.0, Some(2.0));
    let change = change_of(&scene().plan(), "web");
    assert_eq!((change.before, change.target), (Some(2.0), 1.5));
    assert_eq!(held(&scene().admit(&change).unwrap(), "web"), 1.5);

    let spoils: [(&str, Spoil); 8] = [
        ("its newest sample is 90 s old", |scene| {
            scene.host().age_ms = Some(90_000);
        }),
        ("nothing is known of it now", |scene| scene.host().age_ms = None),
        ("the brain runs for 0 s only", |scene| scene.started_ms = scene.now_ms),
        ("the window release allows no change", |scene| {
            let window = "[[window]]\nname = \"release\"\neffect = \"no change\"\nbegin = 1970-01-01T00:00:00Z\nend = 1970-01-02T00:00:00Z\n";
            scene.policy = Policy::parse(&format!("{WEB_ASKS}{window}")).unwrap();
        }),
        ("it holds 1.9 cores by now", |scene| {
            scene.state.reservations.get_mut(&cpu("web")).unwrap().amount = 1.9;
        }),
        ("1.8 cores is the floor of its class now", |scene| {
            scene.policy = Policy::parse(&format!("{WEB_ASKS}floor = 0.45\n")).unwrap();
        }),
        ("the changes of this minute are used up", |scene| {
            scene.policy = Policy::parse(&format!("{WEB_ASKS}[budget]\nhost_per_minute = 1\n")).unwrap();
            scene.state.changed.insert("a".to_owned(), vec![scene.now_ms - 1_000]);
        }),
        ("the policy no longer has it changed by approval", |scene| {
            scene.policy = Policy::parse("[class.web]\nmode = \"recommend\"\n").unwrap();
        }),
    ];
    for (why, spoil) in spoils {
        let mut scene = scene();
        spoil(&mut scene);
        let refused = scene.admit(&change).unwrap_err();
        assert!(refused.contains(why), "{refused:?} does not say {why:?}");
    }
    let raise = Change { target: 4.5, ..change };
    let refused = scene().admit(&raise).unwrap_err();
    assert_eq!(refused, "4 cores is the most that it may hold now");
}
