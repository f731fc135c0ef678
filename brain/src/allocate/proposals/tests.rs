//! What becomes of proposals, round by round.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{collection::vec, prelude::*, sample::select};
use shadow::{Explanation, OutcomeState, Resource};

use super::*;
use crate::allocate::Asking;

const RULES: ProposalRules = ProposalRules {
    open_for_ms: 900_000,
    declined_for_ms: 3_600_000,
};
const MINUTE_MS: i64 = 60_000;

fn key(workload: &str) -> Key {
    Key::new("a", workload, Resource::Cpu)
}

fn change(workload: &str, before: Option<f64>, target: f64) -> Change {
    Change {
        workload: workload.to_owned(),
        resource: Resource::Cpu,
        before,
        target,
        ceiling: None,
        explanation: Explanation {
            text: "because".to_owned(),
            ..Explanation::default()
        },
    }
}

/// A plan that asks for `wanted`, and says that `content` need nothing.
fn plan(time_ms: UnixMs, wanted: Vec<Change>, content: &[&str]) -> Plan {
    Plan {
        time_ms,
        asking: Asking {
            wanted: wanted.iter().map(|change| key(&change.workload)).collect(),
            content: content.iter().map(|workload| key(workload)).collect(),
        },
        changes: BTreeMap::from([("a".to_owned(), wanted)]),
        ..Plan::default()
    }
}

fn raise(time_ms: UnixMs, target: f64) -> Plan {
    plan(time_ms, vec![change("web", Some(2.0), target)], &[])
}

fn first_of(plan: &Plan) -> (Proposals, Proposal) {
    let mut book = Proposals::default();
    book.round(plan, RULES, 7);
    let first = book.shown().remove(0);
    (book, first)
}

/// Fate and reason of what is shown, by id.
fn fates(book: &Proposals) -> BTreeMap<String, (Fate, String)> {
    let each = book.shown().into_iter();
    each.map(|known| (known.id, (known.fate, known.reason))).collect()
}

#[test]
fn one_stands_as_it_was_shown_until_the_plan_wants_something_else() {
    let (mut book, first) = first_of(&raise(0, 3.0));
    assert_eq!(
        (first.id.as_str(), first.fate, first.expires_ms),
        ("7-a-p1", Fate::Open, 900_000)
    );
    book.round(&raise(MINUTE_MS, 3.29), RULES, 7);
    assert_eq!(book.shown(), [first], "forecasts always move a little");
    book.round(&raise(2 * MINUTE_MS, 3.31), RULES, 7);
    assert_eq!(
        fates(&book),
        BTreeMap::from([
            ("7-a-p1".to_owned(), (Fate::Lapsed, "the plan has changed".to_owned())),
            ("7-a-p2".to_owned(), (Fate::Open, String::new())),
        ])
    );
    // From another amount, or the other way, it is another.
    book.round(
        &plan(3 * MINUTE_MS, vec![change("web", Some(2.5), 3.31)], &[]),
        RULES,
        7,
    );
    book.round(
        &plan(4 * MINUTE_MS, vec![change("web", Some(3.4), 3.31)], &[]),
        RULES,
        7,
    );
    assert_eq!(book.targets(), BTreeMap::from([(key("web"), 3.31)]));
    assert_eq!(book.shown()[0].id, "7-a-p4");
    // Who is held back for a moment keeps it; who needs nothing does not.
    book.round(&plan(5 * MINUTE_MS, Vec::new(), &[]), RULES, 7);
    assert_eq!(book.open(), 1);
    book.round(&plan(6 * MINUTE_MS, Vec::new(), &["web"]), RULES, 7);
    assert_eq!((book.open(), book.targets()), (0, BTreeMap::new()));
    assert_eq!(
        fates(&book)["7-a-p4"],
        (Fate::Lapsed, "the plan asks for it no more".to_owned())
    );
    let changed = book.take_changed();
    let told: Vec<(&str, Fate)> = changed.iter().map(|known| (&*known.id, known.fate)).collect();
    let all = ["7-a-p1", "7-a-p2", "7-a-p3", "7-a-p4"];
    assert_eq!(told, all.map(|id| [(id, Fate::Open), (id, Fate::Lapsed)]).concat());
    assert!(book.take_news() && !book.take_news() && book.take_changed().is_empty());
}

#[test]
fn what_nobody_decides_on_lapses_and_is_never_made() {
    let (mut book, first) = first_of(&raise(0, 3.0));
    assert!(book.find(&first.id, Fate::Approved, 899_999).is_ok());
    let late = Refusal::Lapsed("nobody decided in time".to_owned());
    assert_eq!(book.find(&first.id, Fate::Approved, 900_000), Err(late.clone()));
    assert_eq!(book.decline(&first.id, ("ann", ""), 900_000), Err(late));
    // The need goes on: it is proposed anew, on a new forecast.
    book.round(&raise(900_000, 3.0), RULES, 7);
    assert_eq!(book.shown()[0].id, "7-a-p2");
    book.rewind(60_000);
    assert_eq!(book.open(), 0, "told by another clock");
    assert_eq!(book.find("7-a-p9", Fate::Approved, 0), Err(Refusal::Unknown));
}

#[test]
fn what_came_to_nothing_is_open_as_it_was() {
    let (mut book, first) = first_of(&raise(0, 3.0));
    book.approved(first.clone(), ("ann", "7-a-1"), MINUTE_MS);
    book.reopen(&first.id);
    assert!(book.take_news());
    assert_eq!(book.shown(), std::slice::from_ref(&first));
    book.decline(&first.id, ("ann", "too dear"), MINUTE_MS).unwrap();
    book.reopen(&first.id);
    book.reopen("7-a-p9");
    assert_eq!(book.shown(), std::slice::from_ref(&first));
    let fates: Vec<Fate> = book.take_changed().iter().map(|known| known.fate).collect();
    assert_eq!(
        fates,
        [Fate::Open, Fate::Approved, Fate::Open, Fate::Declined, Fate::Open]
    );
    // Its time goes on.
    assert_eq!(book.find(&first.id, Fate::Approved, 899_999), Ok(&first));
    assert!(book.find(&first.id, Fate::Approved, 900_000).is_err());
}

#[test]
fn what_was_declined_does_not_come_again_at_once_and_then_says_so() {
    let (mut book, first) = first_of(&raise(0, 3.0));
    let declined = book.decline(&first.id, ("ann", "too dear"), MINUTE_MS).unwrap();
    assert_eq!(declined.told(), "declined by ann: too dear");
    assert_eq!(
        book.decline(&first.id, ("bob", ""), 2 * MINUTE_MS),
        Ok(declined),
        "twice is once"
    );
    let refused = book.find(&first.id, Fate::Approved, MINUTE_MS);
    assert_eq!(refused, Err(Refusal::Decided("declined by ann: too dear".to_owned())));
    for (minute, target) in [(2, 3.0), (3, 2.5), (4, 3.7), (60, 3.0)] {
        book.round(&raise(minute * MINUTE_MS, target), RULES, 7);
        assert_eq!(book.open(), 0, "after {minute} min: {target}");
    }
    // The other way is another question, and so is clearly more.
    let mut other = book.clone();
    other.round(&plan(5 * MINUTE_MS, vec![change("web", Some(2.0), 1.0)], &[]), RULES, 7);
    assert_eq!(other.open(), 1);
    let mut more = book.clone();
    more.round(&raise(5 * MINUTE_MS, 3.8), RULES, 7);
    let text = &more.shown()[0].change.explanation.text;
    assert_eq!(text, "because; 3 cores was declined by ann: too dear, 4 min ago");
    book.round(&raise(61 * MINUTE_MS, 3.0), RULES, 7);
    assert_eq!(book.open(), 1, "an hour later");
}

#[test]
fn what_was_approved_keeps_its_command_and_its_answer() {
    let (mut book, first) = first_of(&raise(0, 3.0));
    let approved = book.approved(first.clone(), ("ann", "7-a-4"), MINUTE_MS);
    assert_eq!(
        (approved.told().as_str(), approved.command_id.as_deref()),
        ("approved by ann", Some("7-a-4"))
    );
    assert_eq!(
        book.find(&first.id, Fate::Approved, 2 * MINUTE_MS),
        Ok(&approved),
        "asked again"
    );
    let no = book.decline(&first.id, ("bob", ""), 2 * MINUTE_MS);
    assert_eq!(no, Err(Refusal::Decided("approved by ann".to_owned())));
    let outcome = |id: &str| Outcome {
        command_id: id.to_owned(),
        state: OutcomeState::Applied,
        reason: String::new(),
        time_ms: MINUTE_MS,
        changes: Vec::new(),
        actions: Vec::new(),
    };
    book.answered(&outcome("7-a-5"));
    assert_eq!(book.shown()[0].outcome, None);
    book.answered(&outcome("7-a-4"));
    assert_eq!(book.shown()[0].outcome, Some(outcome("7-a-4")));
    let stored = serde_json::to_string(&book).unwrap();
    let mut again: Proposals = serde_json::from_str(&stored).unwrap();
    assert_eq!(again.shown(), book.shown());
    again.round(&raise(3 * MINUTE_MS, 3.0), RULES, 8);
    assert_eq!(again.shown()[0].id, "8-a-p2", "names go on");
}

#[test]
fn there_are_never_more_than_people_can_look_at() {
    let many = |time_ms, target| {
        let each = (0..300).map(|at| change(&format!("w{at:03}"), None, target));
        plan(time_ms, each.collect(), &[])
    };
    let mut book = Proposals::default();
    book.round(&many(0, 1.0), RULES, 7);
    assert_eq!(book.open(), MOST_OPEN);
    assert_eq!(book.decline("7-a-p1", ("ann", ""), 0).unwrap().change.workload, "w000");
    for minute in 1..20 {
        book.round(&many(minute * MINUTE_MS, 1.0 + minute as f64), RULES, 7);
    }
    assert_eq!((book.open(), book.decided.len()), (MOST_OPEN, MOST_DECIDED));
    let kept = book.find("7-a-p1", Fate::Declined, 20 * MINUTE_MS);
    assert!(kept.is_ok(), "what somebody has said outlives what has merely lapsed");
}

#[derive(Debug, Clone)]
enum Step {
    Round(Vec<(u8, f64)>, Vec<u8>),
    Approve(usize),
    Decline(usize),
    Later(i64),
}

fn step() -> impl Strategy<Value = Step> {
    let wanted = vec((0..4_u8, select(vec![1.0, 2.0, 2.1, 3.0])), 0..4);
    prop_oneof![
        4 => (wanted, vec(0..4_u8, 0..3)).prop_map(|(wanted, content)| Step::Round(wanted, content)),
        1 => any::<usize>().prop_map(Step::Approve),
        1 => any::<usize>().prop_map(Step::Decline),
        2 => (0..1_200_000_i64).prop_map(Step::Later),
    ]
}

proptest! {
    #[test]
    fn a_proposal_ends_once_and_there_is_one_of_a_kind(steps in vec(step(), 1..60)) {
        let mut book = Proposals::default();
        let mut ended: BTreeMap<String, Fate> = BTreeMap::new();
        let mut now_ms = 0;
        for step in steps {
            let some = |at: usize| book.shown().get(at % book.shown().len().max(1)).cloned();
            match step {
                Step::Later(ms) => now_ms += ms,
                Step::Approve(at) => if let Some(known) = some(at)
                    && book.find(&known.id, Fate::Approved, now_ms).is_ok_and(|found| found.fate == Fate::Open) {
                    book.approved(known, ("ann", "7-a-1"), now_ms);
                },
                Step::Decline(at) => if let Some(known) = some(at) {
                    drop(book.decline(&known.id, ("ann", ""), now_ms));
                },
                Step::Round(wanted, content) => {
                    let names: BTreeMap<String, f64> = wanted.iter().map(|(at, target)| (format!("w{at}"), *target)).collect();
                    let content: Vec<String> = content.iter().map(|at| format!("w{at}")).filter(|name| !names.contains_key(name)).collect();
                    let content: Vec<&str> = content.iter().map(String::as_str).collect();
                    let wanted = names.iter().map(|(name, target)| change(name, Some(2.0), *target)).collect();
                    book.round(&plan(now_ms, wanted, &content), RULES, 7);
                    for known in book.shown().iter().filter(|known| known.fate == Fate::Open) {
                        prop_assert!(known.made_ms <= now_ms && now_ms < known.expires_ms, "{known:?}");
                        let asked = names.get(&known.change.workload);
                        prop_assert!(asked.is_none_or(|target| (target - known.change.target).abs() <= 0.1 * known.change.target));
                        prop_assert!(!content.contains(&known.change.workload.as_str()));
                    }
                }
            }
            let shown = book.shown();
            let open: Vec<Key> = shown.iter().filter(|known| known.fate == Fate::Open).map(Proposal::key).collect();
            prop_assert_eq!(open.iter().collect::<BTreeSet<_>>().len(), open.len(), "one of a kind");
            let ids: BTreeSet<&String> = shown.iter().map(|known| &known.id).collect();
            prop_assert_eq!(ids.len(), shown.len());
            for known in &shown {
                prop_assert_eq!(known.fate == Fate::Open, known.decided_ms.is_none());
                prop_assert_eq!(known.fate == Fate::Approved, known.command_id.is_some());
                if known.fate != Fate::Open {
                    let before = ended.insert(known.id.clone(), known.fate);
                    prop_assert!(before.is_none_or(|fate| fate == known.fate), "it has ended twice: {known:?}");
                }
            }
        }
    }
}
