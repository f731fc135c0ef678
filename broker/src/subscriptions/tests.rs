use proptest::prelude::*;

use super::*;

const WANTS: Wants = Wants {
    qos: Qos::AtMostOnce,
    no_local: false,
    keep_retain: false,
};

#[test]
fn filters_match_as_the_specification_says() {
    for (filter, topic, expected) in [
        ("a/b", "a/b", true),
        ("a/b", "a/b/c", false),
        ("a/b/c", "a/b", false),
        ("a/+", "a/b", true),
        ("a/+", "a", false),
        ("a/+", "a/", true),
        ("a/+/c", "a/b/c", true),
        ("+/+", "/a", true),
        ("/+", "/a", true),
        ("+", "/a", false),
        ("a/#", "a", true),
        ("a/#", "a/b/c", true),
        ("a/#", "ab", false),
        ("#", "a/b", true),
        ("#", "/", true),
        ("#", "$SYS/x", false),
        ("+/x", "$SYS/x", false),
        ("$SYS/#", "$SYS/x", true),
        ("$SYS/+", "$SYS/x", true),
        ("a/#", "a/$b", true),
    ] {
        assert_eq!(matches(filter, topic), expected, "{filter} {topic}");
        let mut subscriptions = Subscriptions::default();
        subscriptions.add(filter, 1, WANTS);
        assert_eq!(
            !subscriptions.matching(topic).is_empty(),
            expected,
            "tree: {filter} {topic}"
        );
    }
}

#[test]
fn filters_and_topics_are_checked() {
    for good in ["a", "/", "#", "+", "a/+/b/#", "+/+", "$SYS/#", "//"] {
        assert!(valid_filter(good), "{good}");
    }
    for bad in ["", "a#", "#/a", "a/#/b", "a+", "+a/b", "a/++", "a\0"] {
        assert!(!valid_filter(bad), "{bad}");
    }
    assert!(valid_topic("a/b") && valid_topic("/"));
    for bad in ["", "a/+", "#", "a\0", &"/".repeat(MAX_LEVELS)] {
        assert!(!valid_topic(bad), "{bad}");
    }
}

#[test]
fn a_client_with_two_filters_gets_a_message_once_at_the_higher_qos() {
    let mut subscriptions = Subscriptions::default();
    let sure = Wants {
        qos: Qos::AtLeastOnce,
        ..WANTS
    };
    assert!(subscriptions.add("a/#", 1, WANTS));
    assert!(subscriptions.add("a/+", 1, sure));
    assert!(subscriptions.add("a/b", 2, WANTS));
    let found: Vec<_> = subscriptions.matching("a/b").into_iter().collect();
    assert_eq!(found, [(1, sure), (2, WANTS)]);
}

#[test]
fn what_is_removed_leaves_nothing_behind() {
    let mut subscriptions = Subscriptions::default();
    let filters = ["a/b/c", "a/+/c", "a/b/#", "#"];
    for filter in filters {
        assert!(subscriptions.add(filter, 1, WANTS));
        assert!(!subscriptions.add(filter, 1, WANTS));
    }
    assert_eq!(subscriptions.len(), 4);
    assert!(!subscriptions.remove("a/b", 1));
    assert!(!subscriptions.remove("a/b/c", 2));
    for filter in filters {
        assert!(subscriptions.remove(filter, 1), "{filter}");
    }
    assert_eq!(subscriptions.len(), 0);
    assert!(subscriptions.root.is_empty());
}

fn level() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "", "$x"])
}

fn topics() -> impl Strategy<Value = String> {
    let topic = prop::collection::vec(level(), 1..5).prop_map(|levels| levels.join("/"));
    topic.prop_filter("a topic", |topic| valid_topic(topic))
}

fn filters() -> impl Strategy<Value = String> {
    let level = prop_oneof![level(), Just("+")];
    let filter = (prop::collection::vec(level, 1..4), prop::bool::ANY).prop_map(|(mut levels, all)| {
        levels.extend(all.then_some("#"));
        levels.join("/")
    });
    filter.prop_filter("a filter", |filter| valid_filter(filter))
}

proptest! {
    /// The tree agrees with matching one by one, whatever came and went before.
    #[test]
    fn the_tree_finds_what_matches(
        kept in prop::collection::vec(filters(), 0..8),
        gone in prop::collection::vec(filters(), 0..8),
        topic in topics(),
    ) {
        let mut subscriptions = Subscriptions::default();
        for (client, filter) in (100..).zip(&gone) {
            subscriptions.add(filter, client, WANTS);
        }
        for (client, filter) in (0..).zip(&kept) {
            subscriptions.add(filter, client, WANTS);
        }
        for (client, filter) in (100..).zip(&gone) {
            prop_assert!(subscriptions.remove(filter, client));
        }
        let found: Vec<_> = subscriptions.matching(&topic).into_keys().collect();
        let expected: Vec<_> = (0..).zip(&kept).filter(|(_, f)| matches(f, &topic)).map(|(client, _)| client).collect();
        prop_assert_eq!(found, expected);
        prop_assert_eq!(subscriptions.len(), kept.len());
    }
}

#[test]
fn a_level_counts_for_what_it_takes() {
    // The least table has four places, of which three may be taken.
    let least = 3 * size_of::<(Box<str>, Node)>();
    assert!((least..2 * least).contains(&LEVEL), "{least}");
    assert_eq!(cost("a/+/#"), 5 + 3 * LEVEL);
}
