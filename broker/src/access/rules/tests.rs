use proptest::{collection::vec, prelude::*, sample::select};

use super::*;
use crate::subscriptions::{matches, valid_filter};

fn permit(rules: &[(Effect, &str)]) -> Permit {
    let mut all = Rules::default();
    for (effect, filter) in rules {
        all.add(*effect, filter);
    }
    Permit::Rules(all)
}

const READ: Effect = Effect::Allow(Access::Read);
const WRITE: Effect = Effect::Allow(Access::Write);

#[test]
fn what_is_not_allowed_is_refused_and_what_is_denied_too() {
    let permit = permit(&[(READ, "a/#"), (Effect::Deny, "a/secret/#"), (WRITE, "a/+/c")]);
    assert!(permit.may_read("a") && permit.may_read("a/b") && permit.may_read("a/secre"));
    assert!(!permit.may_read("a/secret") && !permit.may_read("a/secret/x") && !permit.may_read("b"));
    assert!(permit.may_write("a/b/c") && !permit.may_write("a/secret/c") && !permit.may_write("a/b"));
    assert!(!Permit::Rules(Rules::default()).may_read("a"));
}

#[test]
fn the_brokers_own_tree_is_read_where_it_is_named_and_written_by_nobody() {
    let all = permit(&[(Effect::Allow(Access::ReadWrite), "#"), (WRITE, "$SYS/#")]);
    assert!(!all.may_read("$SYS/x") && !all.may_write("$SYS/x") && !all.may_subscribe("$SYS/#"));
    assert!(!Permit::Everything.may_write("$SYS/x") && Permit::Everything.may_read("$SYS/x"));
    let named = permit(&[(READ, "$SYS/#")]);
    assert!(named.may_read("$SYS/x") && named.may_subscribe("$SYS/#") && !named.may_subscribe("#"));
}

#[test]
fn a_filter_is_taken_where_it_may_match_something() {
    let viewer = permit(&[(READ, "p/+/+/view/#"), (READ, "p/+/+/status/#"), (READ, "$SYS/#")]);
    for taken in [
        "#",
        "+/#",
        "p/lab/web-1/#",
        "p/lab/+/+/cpu",
        "$SYS/#",
        "p/lab/a/view",
        "$share/g/p/#",
        "+/+/+/+",
    ] {
        assert!(viewer.may_subscribe(taken), "{taken}");
    }
    for refused in [
        "p/lab/a/bin/#",
        "p/lab/+/bin/inband/delta",
        "q/#",
        "p",
        "+/+",
        "$share/g/p/lab/a/bin/#",
        "$other/#",
    ] {
        assert!(!viewer.may_subscribe(refused), "{refused}");
    }
    let but = permit(&[(READ, "#"), (Effect::Deny, "a/+/#")]);
    assert!(but.may_subscribe("#") && but.may_subscribe("a/#") && !but.may_subscribe("a/b/#"));
    assert!(!but.may_subscribe("a/+") && !but.may_subscribe("a/b"));
}

fn filter() -> impl Strategy<Value = String> {
    let level = select(vec!["a", "b", "$S", "+", "#", ""]);
    vec(level, 1..5)
        .prop_map(|levels| levels.join("/"))
        .prop_filter("valid", |filter| valid_filter(filter))
}

fn topic() -> impl Strategy<Value = String> {
    vec(select(vec!["a", "b", "$S", "c", ""]), 1..5)
        .prop_map(|levels| levels.join("/"))
        .prop_filter("valid", |topic| crate::subscriptions::valid_topic(topic))
}

fn effect() -> impl Strategy<Value = Effect> {
    let allow = [Access::Read, Access::Write, Access::ReadWrite].map(Effect::Allow);
    select([&allow[..], &[Effect::Deny]].concat())
}

proptest! {
    /// The same answers as a list that is gone through from front to end.
    #[test]
    fn decisions_are_those_of_the_naive_matcher(rules in vec((effect(), filter()), 0..8), topic in topic()) {
        let borrowed: Vec<_> = rules.iter().map(|(effect, filter)| (*effect, filter.as_str())).collect();
        let permit = permit(&borrowed);
        let found = |wanted: fn(Effect) -> bool| rules.iter().any(|(e, f)| wanted(*e) && matches(f, &topic));
        let denied = found(|effect| effect == Effect::Deny);
        let reads = found(|effect| matches!(effect, Effect::Allow(access) if access.reads()));
        let writes = found(|effect| matches!(effect, Effect::Allow(access) if access.writes()));
        prop_assert_eq!(permit.may_read(&topic), reads && !denied);
        prop_assert_eq!(permit.may_write(&topic), writes && !denied && !topic.starts_with('$'));
    }

    /// No subscription is refused that something could be delivered for.
    #[test]
    fn what_may_be_read_may_be_subscribed_to(
        rules in vec((effect(), filter()), 0..8), subscribed in filter(), topic in topic(),
    ) {
        let borrowed: Vec<_> = rules.iter().map(|(effect, filter)| (*effect, filter.as_str())).collect();
        let permit = permit(&borrowed);
        if matches(&subscribed, &topic) && permit.may_read(&topic) {
            prop_assert!(permit.may_subscribe(&subscribed), "{} is read by {}", topic, subscribed);
        }
    }

    /// And none is taken that nothing can be delivered for, where nothing is denied.
    #[test]
    fn a_subscription_that_is_taken_has_a_topic(rule in filter(), subscribed in filter()) {
        let permit = permit(&[(READ, &rule)]);
        let topics = all_topics(4);
        let has = topics.iter().any(|topic| matches(&rule, topic) && matches(&subscribed, topic));
        prop_assert_eq!(permit.may_subscribe(&subscribed), has, "{} {}", rule, subscribed);
    }
}

/// Every topic of up to `depth` levels of a small alphabet.
fn all_topics(depth: usize) -> Vec<String> {
    let levels = ["a", "b", "$S", "c", ""].map(str::to_owned);
    let mut last: Vec<String> = levels.to_vec();
    let mut all = last.clone();
    for _ in 1..depth {
        last = last
            .iter()
            .flat_map(|topic| levels.iter().map(move |level| format!("{topic}/{level}")))
            .collect();
        all.extend(last.clone());
    }
    // The empty one among them, which nobody can publish to: `/#` matches it.
    all
}
