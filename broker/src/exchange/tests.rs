use bytes::BytesMut;
use rumqttd::protocol::{ConnAck, ConnectReturnCode, Filter, QoS, RetainForwardRule};

use super::*;
use crate::{
    access::{
        Known, Permit,
        rules::{Effect, Rules},
    },
    message::{Ack, Qos},
    outbox::{Capacity, Next},
    packet::{Received, Version, read_any},
    waiting::Account,
};

const CAPACITY: Capacity = Capacity {
    version: Version::V4,
    max_bytes: 100_000,
    window: 100,
    max_packet: 10_000,
};

fn exchange() -> Exchange {
    let limits = Limits {
        max_subscriptions: 3,
        max_sessions: 2,
        max_queue_bytes: 1_000,
        ..Limits::default()
    };
    Exchange::new(&limits, Journal::default(), Clock::manual(0))
}

fn message(topic: &str, payload: &str) -> Message {
    Message {
        topic: topic.into(),
        payload: payload.to_owned().into(),
        qos: Qos::AtLeastOnce,
        source: 99,
        ..Message::default()
    }
}

fn arrive(exchange: &mut Exchange, id: &str, expiry_s: u32, will: Option<Will>) -> Option<(Seat, Arc<Outbox>)> {
    arrive_as(exchange, id, expiry_s, will, Permit::Everything)
}

fn arrive_as(
    exchange: &mut Exchange,
    id: &str,
    expiry_s: u32,
    will: Option<Will>,
    permit: Permit,
) -> Option<(Seat, Arc<Outbox>)> {
    let seat_and_outbox = arrive_with(exchange, id, expiry_s, permit, CAPACITY)?;
    if let Place::Here { will: place, .. } = &mut exchange.sessions.get_mut(&seat_and_outbox.0.session)?.place {
        *place = will;
    }
    Some(seat_and_outbox)
}

fn arrive_with(
    exchange: &mut Exchange,
    id: &str,
    expiry_s: u32,
    permit: Permit,
    capacity: Capacity,
) -> Option<(Seat, Arc<Outbox>)> {
    let outbox = Arc::new(Outbox::new(
        capacity,
        Arc::new(permit),
        exchange.clock.clone(),
        Account::default(),
    ));
    let connack = ConnAck {
        session_present: false,
        code: ConnectReturnCode::Success,
    };
    let arrival = Arrival {
        connection: exchange.next_serial(),
        id: id.into(),
        clean: expiry_s == 0,
        expiry_s,
        will: None,
        outbox: outbox.clone(),
        known: None,
        connack: Packet::ConnAck(connack, None),
    };
    let seat = exchange.connect(arrival).ok()?;
    Some((seat, outbox))
}

fn join(exchange: &mut Exchange, id: &str, will: Option<Message>) -> (Seat, Arc<Outbox>) {
    let will = will.map(|message| Will {
        message,
        ..Will::default()
    });
    arrive(exchange, id, 0, will).unwrap()
}

fn filter(path: &str) -> Filter {
    Filter {
        path: path.to_owned(),
        qos: QoS::AtLeastOnce,
        nolocal: false,
        preserve_retain: false,
        retain_forward_rule: RetainForwardRule::OnEverySubscribe,
    }
}

/// Everything that waits for a client, in words; `closed: ...` when its connection ends.
async fn inbox(outbox: &Outbox) -> Vec<String> {
    // The mark of the end of what waits.
    outbox.close(Close::Stopping);
    let (mut words, mut buffer) = (Vec::new(), BytesMut::new());
    loop {
        match outbox.next(&mut buffer).await {
            Next::Write { .. } | Next::Replay => (),
            Next::End(Close::Stopping) => break,
            Next::End(reason) => {
                words.push(format!("closed: {reason:?}"));
                break;
            }
        }
        while let Some(received) = read_any(Version::V4, &mut buffer, 10_000).unwrap() {
            if let Received::Publish(publish) = &received {
                outbox.acknowledged([publish.packet_id]);
            }
            words.push(match received {
                Received::Publish(p) if p.retain => format!("{}={} retained", p.topic, text(&p.payload)),
                Received::Publish(p) => format!("{}={}", p.topic, text(&p.payload)),
                Received::Other(packet) => match *packet {
                    Packet::ConnAck(ack, _) if !ack.session_present => continue,
                    Packet::ConnAck(..) => "back".to_owned(),
                    Packet::SubAck(ack, _) => format!("suback {:?}", ack.return_codes),
                    packet => format!("{packet:?}"),
                },
            });
        }
    }
    words
}

fn text(payload: &[u8]) -> &str {
    std::str::from_utf8(payload).unwrap()
}

#[tokio::test]
async fn a_subscription_is_answered_then_retained_then_live() {
    let mut exchange = exchange();
    for (topic, payload) in [("a/1", "old"), ("a/1", "new"), ("b", "x")] {
        exchange.dispatch(Message {
            retain: true,
            ..message(topic, payload)
        });
    }
    let (serial, outbox) = join(&mut exchange, "c", None);
    exchange.subscribe(serial, 1, vec![filter("a/#")]);
    let done = exchange.dispatch(Message {
        retain: true,
        ..message("a/2", "live")
    });
    assert_eq!((done.queued, done.dropped), (1, 0));
    assert_eq!(
        inbox(&outbox).await,
        ["suback [Success(AtLeastOnce)]", "a/1=new retained", "a/2=live"]
    );
    assert_eq!(exchange.census().retained, 3);
}

#[tokio::test]
async fn options_of_version_5_are_kept() {
    let mut exchange = exchange();
    exchange.dispatch(Message {
        retain: true,
        ..message("a", "x")
    });
    let (serial, outbox) = join(&mut exchange, "c", None);
    let only_new = Filter {
        retain_forward_rule: RetainForwardRule::OnNewSubscribe,
        ..filter("a")
    };
    exchange.subscribe(serial, 1, vec![only_new.clone()]);
    exchange.subscribe(serial, 2, vec![only_new]);
    let as_published = Filter {
        nolocal: true,
        preserve_retain: true,
        retain_forward_rule: RetainForwardRule::Never,
        ..filter("b")
    };
    exchange.dispatch(Message {
        retain: true,
        ..message("b", "old")
    });
    exchange.subscribe(serial, 3, vec![as_published]);
    exchange.dispatch(Message {
        retain: true,
        ..message("b", "new")
    });
    exchange.dispatch(Message {
        source: serial.session,
        ..message("b", "own")
    });
    let ack = "suback [Success(AtLeastOnce)]";
    assert_eq!(inbox(&outbox).await, [ack, ack, ack, "a=x retained", "b=new retained"]);
}

#[tokio::test]
async fn subscriptions_that_cannot_be_are_refused_one_by_one() {
    let mut exchange = exchange();
    let (serial, outbox) = join(&mut exchange, "c", None);
    let filters = ["a", "a/#/b", "$share/g", "$SYS/#", "b", "c", "a"].map(filter);
    let refused = exchange.subscribe(serial, 1, filters.to_vec());
    assert_eq!(refused, ["a/#/b", "$share/g", "c"]);
    let words = inbox(&outbox).await;
    let (yes, no) = ("Success(AtLeastOnce)", "Failure");
    assert_eq!(
        words,
        [format!("suback [{yes}, {no}, {no}, {yes}, {yes}, {no}, {yes}]").replace('"', "")]
    );
    assert_eq!(exchange.census().subscriptions, 3);
}

#[tokio::test]
async fn filters_are_bounded_in_length_and_together() {
    let mut exchange = exchange();
    exchange.limits.max_subscriptions = 1_000_000;
    let (seat, outbox) = join(&mut exchange, "c", None);
    exchange.subscribe(seat, 1, vec![filter(&"a".repeat(1_024)), filter(&"a".repeat(1_025))]);
    assert_eq!(inbox(&outbox).await, ["suback [Success(AtLeastOnce), Failure]"]);
    // 128 levels: 8 KiB of nodes.
    let deep = |n: usize| format!("{n}{}", "/+".repeat(127));
    for n in 0..200 {
        exchange.subscribe(seat, 1, vec![filter(&deep(n))]);
    }
    let held = exchange.census().subscriptions;
    assert!((50..65).contains(&held), "{held}");
    // What it has it may subscribe to again, and there is room once it has fewer.
    exchange.subscribe(seat, 1, vec![filter(&deep(3))]);
    assert_eq!(exchange.census().subscriptions, held);
    exchange.unsubscribe(seat, 2, &[deep(3), deep(4), deep(4), deep(199)]);
    exchange.subscribe(seat, 1, (190..200).map(|n| filter(&deep(n))).collect());
    assert_eq!(exchange.census().subscriptions, held);
}

#[tokio::test]
async fn subscribing_again_and_again_queues_what_is_retained_once() {
    let mut exchange = exchange();
    for n in 0..300 {
        exchange.dispatch(Message {
            retain: true,
            ..message(&format!("r/{n:03}"), "x")
        });
    }
    let (seat, outbox) = join(&mut exchange, "c", None);
    for n in 0..50 {
        exchange.subscribe(seat, n, vec![filter("#"), filter("r/+")]);
    }
    let (answers, step) = (51 * 400, 100 * message("r/000", "x").cost());
    assert_eq!(outbox.waiting(), answers + step, "one step until the client reads");
}

#[tokio::test]
async fn unsubscribed_is_no_longer_sent() {
    let mut exchange = exchange();
    let (serial, outbox) = join(&mut exchange, "c", None);
    exchange.subscribe(serial, 1, vec![filter("a"), filter("+")]);
    exchange.unsubscribe(serial, 2, &["a".to_owned(), "x".to_owned()]);
    exchange.unsubscribe(serial, 3, &["+".to_owned()]);
    assert_eq!(exchange.dispatch(message("a", "1")), Dispatched::default());
    assert_eq!(inbox(&outbox).await.len(), 3);
}

#[tokio::test]
async fn a_will_is_for_those_who_leave_without_a_word_and_stay_away() {
    let mut exchange = exchange();
    let will = || Some(message("w", "gone"));

    let (said, _) = join(&mut exchange, "a", will());
    assert_eq!(exchange.disconnect(said, Farewell::Said), None);

    let (missing, _) = join(&mut exchange, "a", will());
    let published = exchange.disconnect(missing, Farewell::Missing).unwrap();
    assert_eq!(published.will_of.as_deref(), Some("a"));
    assert_eq!(exchange.disconnect(missing, Farewell::Missing), None);

    let (watcher, outbox) = join(&mut exchange, "watcher", None);
    exchange.subscribe(watcher, 1, vec![filter("w")]);
    exchange.dispatch(published.clone());
    let (_again, _) = join(&mut exchange, "a", None);
    exchange.dispatch(published);
    assert_eq!(inbox(&outbox).await, ["suback [Success(AtLeastOnce)]", "w=gone"]);
}

#[tokio::test]
async fn a_second_connection_takes_over() {
    let mut exchange = exchange();
    let (old, old_outbox) = join(&mut exchange, "a/+#$", Some(message("w", "gone")));
    exchange.subscribe(old, 1, vec![filter("t")]);
    let (new, _) = join(&mut exchange, "a/+#$", None);
    assert_eq!(inbox(&old_outbox).await, ["closed: TakenOver"]);
    assert_eq!(exchange.disconnect(old, Farewell::Missing), None, "its will is stale");
    assert_eq!((exchange.clients(), exchange.census().subscriptions), (1, 0));
    exchange.disconnect(new, Farewell::Said);
    assert_eq!((exchange.clients(), exchange.by_id.len()), (0, 0));
}

#[tokio::test]
async fn one_slow_client_harms_no_other() {
    let mut exchange = exchange();
    let (slow, small) = join(&mut exchange, "slow", None);
    let large = "x".repeat(9_000);
    let (fast, outbox) = join(&mut exchange, "fast", None);
    exchange.subscribe(slow, 1, vec![filter("t")]);
    exchange.subscribe(fast, 1, vec![filter("t")]);
    for _ in 0..13 {
        exchange.dispatch(message("t", &large));
        // The fast one reads and acknowledges.
        outbox.next(&mut BytesMut::new()).await;
        outbox.acknowledged(1..=13);
    }
    assert_eq!(inbox(&small).await, ["closed: TooSlow"]);
    assert_eq!(inbox(&outbox).await, [""; 0]);
}

const LASTS: u32 = 60;

fn take_all(outbox: &Outbox) -> Vec<String> {
    let mut words = Vec::new();
    let mut buffer = BytesMut::new();
    outbox.close(Close::Stopping);
    while let Some(Next::Write { .. }) = now(outbox, &mut buffer) {
        while let Some(received) = read_any(Version::V4, &mut buffer, 10_000).unwrap() {
            match received {
                Received::Publish(p) => {
                    let again = if p.dup { " again" } else { "" };
                    words.push(format!("{}{again}", text(&p.payload)));
                }
                Received::Other(packet) => match *packet {
                    Packet::ConnAck(ack, _) if ack.session_present => words.push("back".to_owned()),
                    Packet::PubRel(release, _) => words.push(format!("release {}", release.pkid)),
                    _ => (),
                },
            }
        }
    }
    words
}

/// What is to be done, without waiting: the outbox has been closed.
fn now(outbox: &Outbox, buffer: &mut BytesMut) -> Option<Next> {
    use std::{future::Future, pin::pin, task};
    let mut context = task::Context::from_waker(task::Waker::noop());
    match pin!(outbox.next(buffer)).poll(&mut context) {
        task::Poll::Ready(next) => Some(next),
        task::Poll::Pending => None,
    }
}

#[test]
fn a_session_that_lasts_gets_what_came_while_it_was_away_and_what_it_has_not_acknowledged() {
    let mut exchange = exchange();
    let (seat, outbox) = arrive(&mut exchange, "a", LASTS, None).unwrap();
    exchange.subscribe(seat, 1, vec![filter("t")]);
    exchange.dispatch(message("t", "1"));
    exchange.dispatch(message("t", "2"));
    assert_eq!(take_all(&outbox), ["1", "2"]);
    outbox.acknowledged([1]);
    exchange.disconnect(seat, Farewell::Missing);
    let unsure = Message {
        qos: Qos::AtMostOnce,
        ..message("t", "not kept")
    };
    exchange.dispatch(unsure);
    exchange.dispatch(message("t", "3"));
    assert_eq!((exchange.census().away, exchange.census().stored), (1, 2));
    let (_, outbox) = arrive(&mut exchange, "a", LASTS, None).unwrap();
    assert_eq!(take_all(&outbox), ["back", "2 again", "3"]);
    outbox.acknowledged([2]);
    outbox.acknowledged([3]);
    assert_eq!((exchange.census().stored, exchange.census().stored_bytes), (0, 0));
    let (_, outbox) = join(&mut exchange, "a", None);
    assert_eq!(take_all(&outbox), [""; 0], "a clean start forgets");
    assert_eq!((exchange.census().subscriptions, exchange.lasting), (0, 0));
}

#[test]
fn a_session_that_lasts_ends_when_it_misses_something_also_while_its_connection_is_being_closed() {
    let mut exchange = exchange();
    let (seat, outbox) = arrive(&mut exchange, "a", LASTS, None).unwrap();
    exchange.subscribe(seat, 1, vec![filter("t")]);
    outbox.close(Close::TakenOver);
    for _ in 0..20 {
        exchange.dispatch(message("t", &"x".repeat(9_000)));
    }
    assert_eq!(exchange.census().discarded, 1);
    let missed = exchange.slow().worst(1)[0].1;
    assert!(missed.ended == 1 && missed.dropped > 1, "{missed:?}");
    let (_, outbox) = arrive(&mut exchange, "a", LASTS, None).unwrap();
    assert_eq!(take_all(&outbox), [""; 0], "no session");
}

#[test]
fn a_session_that_has_missed_something_is_over_after_a_kill_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let open = || crate::durable::Journal::open(folder.path(), crate::Fsync::Always).unwrap();
    let limits = Limits::default();
    let (journal, restored) = open();
    let mut first = Exchange::new(&limits, journal.clone(), Clock::manual(0));
    first.restore(restored);
    let (seat, outbox) = arrive(&mut first, "a", LASTS, None).unwrap();
    first.subscribe(seat, 1, vec![filter("t")]);
    for _ in 0..20 {
        first.dispatch(message("t", &"x".repeat(9_000)));
    }
    assert!(outbox.is_ending());
    // Its connection does not come to its end before the process does.
    journal.close();
    drop((first, journal));
    let (journal, restored) = open();
    let mut second = Exchange::new(&limits, journal.clone(), Clock::manual(0));
    second.restore(restored);
    assert_eq!(second.census().away, 0);
    journal.close();
}

#[test]
fn what_a_client_that_is_back_does_not_take_any_more_is_left_out_and_counted() {
    let mut exchange = exchange();
    let (seat, _) = arrive(&mut exchange, "a", LASTS, None).unwrap();
    exchange.subscribe(seat, 1, vec![filter("t")]);
    exchange.disconnect(seat, Farewell::Missing);
    for payload in ["small", &"large".repeat(20), "last"] {
        exchange.dispatch(message("t", payload));
    }
    let capacity = Capacity {
        max_packet: 50,
        ..CAPACITY
    };
    let (seat, outbox) = arrive_with(&mut exchange, "a", LASTS, Permit::Everything, capacity).unwrap();
    assert_eq!(take_all(&outbox), ["back", "small", "last"]);
    assert_eq!((exchange.census().dropped, exchange.census().stored), (1, 2));
    // It is as good as delivered: it does not come back.
    exchange.disconnect(seat, Farewell::Missing);
    let (_, outbox) = arrive(&mut exchange, "a", LASTS, None).unwrap();
    assert_eq!(take_all(&outbox), ["back", "small again", "last again"]);
}

#[test]
fn qos_2_goes_on_where_it_stood() {
    let mut exchange = exchange();
    let (seat, outbox) = arrive(&mut exchange, "a", LASTS, None).unwrap();
    let twice = |payload| Message {
        qos: Qos::ExactlyOnce,
        ..message("t", payload)
    };
    exchange.subscribe(
        seat,
        1,
        vec![Filter {
            qos: QoS::ExactlyOnce,
            ..filter("t")
        }],
    );
    exchange.dispatch(twice("1"));
    exchange.dispatch(twice("2"));
    assert_eq!(take_all(&outbox), ["1", "2"]);
    outbox.received(1);
    let (_, outbox) = arrive(&mut exchange, "a", LASTS, None).unwrap();
    assert_eq!(take_all(&outbox), ["back", "release 1", "2 again"]);
    outbox.acknowledged([1]);
    outbox.received(2);
    outbox.acknowledged([2]);
    assert_eq!(exchange.census().stored, 0);
}

#[test]
fn sessions_are_bounded_in_age_number_and_bytes() {
    let mut exchange = exchange();
    for id in ["a", "b"] {
        let (seat, _) = arrive(&mut exchange, id, LASTS, None).unwrap();
        exchange.subscribe(seat, 1, vec![filter(id)]);
        exchange.disconnect(seat, Farewell::Said);
    }
    assert!(arrive(&mut exchange, "c", LASTS, None).is_none(), "refused");
    assert!(
        arrive(&mut exchange, "c", 0, None).is_some(),
        "one that does not last is welcome"
    );
    for n in 0..30 {
        exchange.dispatch(message("a", &n.to_string()));
    }
    assert_eq!((exchange.census().away, exchange.census().discarded), (1, 1));
    assert_eq!(exchange.census().stored, 0);
    exchange.clock.set(i64::from(LASTS) * 1_000);
    exchange.tick();
    assert_eq!((exchange.census().away, exchange.census().expired), (0, 1));
    assert_eq!((exchange.census().subscriptions, exchange.lasting), (0, 0));
}

#[test]
fn one_name_takes_neither_all_sessions_nor_all_that_they_keep() {
    let mut exchange = exchange();
    exchange.limits = Limits {
        max_sessions: 10,
        max_sessions_per_name: 3,
        max_stored_bytes_per_name: 6 * message("t", &"x".repeat(100)).cost(),
        ..Limits::default()
    };
    let scoped = |name: &str, n: usize| crate::access::scoped(Some(name), &n.to_string());
    for n in 0..3 {
        let (seat, _) = arrive(&mut exchange, &scoped("eve", n), LASTS, None).unwrap();
        exchange.subscribe(seat, 1, vec![filter("t")]);
        exchange.disconnect(seat, Farewell::Missing);
    }
    assert!(arrive(&mut exchange, &scoped("eve", 3), LASTS, None).is_none());
    assert!(
        arrive(&mut exchange, &scoped("eve", 2), LASTS, None).is_some(),
        "one that it has"
    );
    let (ann, _) = arrive(&mut exchange, &scoped("ann", 0), LASTS, None).unwrap();
    exchange.subscribe(ann, 1, vec![filter("t")]);
    exchange.disconnect(ann, Farewell::Missing);
    // What is too much for one name ends sessions of that name.
    for _ in 0..5 {
        exchange.dispatch(message("t", &"x".repeat(100)));
    }
    assert_eq!(
        exchange.sessions[&ann.session].waiting(),
        5 * message("t", &"x".repeat(100)).cost()
    );
    assert!(exchange.census().discarded >= 1);
    // Its place is free again.
    assert!(arrive(&mut exchange, &scoped("eve", 4), LASTS, None).is_some());
    for (name, n) in [("eve", 0), ("eve", 1), ("eve", 2), ("eve", 4), ("ann", 0)] {
        join(&mut exchange, &scoped(name, n), None);
    }
    assert_eq!((exchange.census().stored, exchange.lasting), (0, 0));
    assert_eq!(exchange.owners.sessions(&scoped("eve", 0)), 0);
}

#[test]
fn a_will_waits_as_long_as_it_was_told_to() {
    let mut exchange = exchange();
    let will = |delay_s| {
        Some(Will {
            message: message("w", "gone"),
            delay_s,
            expiry_s: None,
        })
    };
    let (seat, _) = arrive(&mut exchange, "a", LASTS, will(10)).unwrap();
    assert_eq!(exchange.disconnect(seat, Farewell::Missing), None);
    exchange.clock.set(9_000);
    assert_eq!(exchange.tick(), []);
    let (seat, _) = arrive(&mut exchange, "a", LASTS, will(10)).unwrap();
    exchange.clock.set(20_000);
    assert_eq!(exchange.tick(), [], "it is back");
    exchange.disconnect(seat, Farewell::Missing);
    exchange.clock.set(30_000);
    assert_eq!(exchange.tick().len(), 1);
    let (seat, _) = arrive(&mut exchange, "a", LASTS, will(0)).unwrap();
    assert!(
        exchange.disconnect(seat, Farewell::Missing).is_some(),
        "without a delay at once"
    );
    let (seat, _) = arrive(&mut exchange, "a", 5, will(1_000)).unwrap();
    exchange.disconnect(seat, Farewell::Missing);
    exchange.clock.set(36_000);
    assert_eq!(exchange.tick().len(), 1, "not later than the end of its session");
}

#[test]
fn what_a_member_leaves_undone_goes_to_another() {
    let mut exchange = exchange();
    let shared = || vec![filter("$share/g/t")];
    let (one, first) = join(&mut exchange, "1", None);
    exchange.subscribe(one, 1, shared());
    let (two, second) = join(&mut exchange, "2", None);
    exchange.subscribe(two, 1, shared());
    for n in 0..4 {
        let done = exchange.dispatch(message("t", &n.to_string()));
        assert_eq!((done.queued, done.dropped), (1, 0));
    }
    let mut buffer = BytesMut::new();
    assert!(matches!(
        now(&first, &mut buffer),
        Some(Next::Write { publishes: 2, .. })
    ));
    first.acknowledged([1]);
    exchange.disconnect(one, Farewell::Missing);
    let mut all = take_all(&second);
    all.sort();
    assert_eq!(all.len(), 3, "{all:?}");
    exchange.disconnect(two, Farewell::Missing);
    assert_eq!(exchange.census().shared, 0);
    assert_eq!(exchange.census().dropped, 3, "nobody is left to take them");
}

#[test]
fn what_nobody_of_a_group_can_take_is_counted_however_its_last_member_ends() {
    for end in ["leaves", "begins anew", "times out", "is banished"] {
        let mut exchange = exchange();
        let expiry_s = if end == "leaves" { 0 } else { LASTS };
        let known = Arc::new(Known::nobody());
        let (one, _outbox) = arrive(&mut exchange, "1", expiry_s, None).unwrap();
        exchange.sessions.get_mut(&one.session).unwrap().known = Some(known.clone());
        exchange.subscribe(one, 1, vec![filter("$share/g/t")]);
        exchange.dispatch(message("t", "x"));
        if end != "leaves" {
            exchange.disconnect(one, Farewell::Missing);
        }
        match end {
            "leaves" => drop(exchange.disconnect(one, Farewell::Missing)),
            "begins anew" => drop(arrive(&mut exchange, "1", 0, None)),
            "times out" => {
                exchange.clock.set(i64::from(LASTS) * 1_000);
                exchange.tick();
            }
            _ => assert!(exchange.banish(one.session, &known)),
        }
        assert_eq!(exchange.census().dropped, 1, "{end}");
    }
}

#[test]
fn what_all_sessions_keep_together_is_bounded() {
    let mut exchange = exchange();
    let cost = message("t", &"x".repeat(100)).cost();
    exchange.limits = Limits {
        max_stored_bytes: 10 * cost,
        max_stored_bytes_per_name: 7 * cost,
        ..Limits::default()
    };
    let scoped = |name: &str| crate::access::scoped(Some(name), "1");
    let mut seats = Vec::new();
    for name in ["a", "b"] {
        let (seat, _) = arrive(&mut exchange, &scoped(name), LASTS, None).unwrap();
        exchange.subscribe(seat, 1, vec![filter("t")]);
        exchange.disconnect(seat, Farewell::Missing);
        seats.push(seat);
    }
    let (_, nobody) = arrive(&mut exchange, "nobody", LASTS, None).unwrap();
    for n in 1..=5 {
        exchange.dispatch(message("t", &"x".repeat(100)));
        assert_eq!(exchange.census().stored_bytes, 2 * n * cost as u64);
    }
    assert_eq!(exchange.census().discarded, 0);
    // Neither name has as much as it may, but together they have.
    exchange.dispatch(message("t", &"x".repeat(100)));
    let census = exchange.census();
    assert!(
        census.discarded >= 1 && census.stored_bytes <= 10 * cost as u64,
        "{census:?}"
    );
    assert!(!nobody.is_ending());
}

#[test]
fn shared_subscriptions_of_one_client_are_few_for_a_message_comes_by_each() {
    let mut exchange = exchange();
    exchange.limits = Limits::default();
    let (seat, outbox) = join(&mut exchange, "c", None);
    let group = |n: usize| filter(&format!("$share/g{n}/t"));
    let refused = exchange.subscribe(seat, 1, (0..30).map(group).collect());
    assert_eq!(refused.len(), 20);
    assert_eq!(exchange.dispatch(message("t", "x")).queued, 10);
    exchange.unsubscribe(seat, 2, &["$share/g0/t".to_owned()]);
    assert_eq!(
        exchange.subscribe(seat, 3, vec![group(10), group(11), group(5)]).len(),
        1
    );
    assert!(!outbox.is_ending());
}

#[test]
fn what_sessions_of_one_name_hold_besides_messages_is_bounded_and_counted_to_the_byte() {
    let mut exchange = exchange();
    exchange.limits = Limits {
        max_session_bytes: 5_000,
        max_session_bytes_per_name: 2_200,
        ..Limits::default()
    };
    let scoped = |name: &str, n: usize| crate::access::scoped(Some(name), &n.to_string());
    let held = |exchange: &Exchange| exchange.census().session_bytes;
    let come = |exchange: &mut Exchange, id: &str, will: Option<usize>| {
        let will = will.map(|bytes| Will {
            message: message("w", &"x".repeat(bytes)),
            delay_s: 10,
            expiry_s: None,
        });
        let permit = Arc::new(Permit::Everything);
        let outbox = Arc::new(Outbox::new(
            CAPACITY,
            permit,
            exchange.clock.clone(),
            Account::default(),
        ));
        let connack = ConnAck {
            session_present: false,
            code: ConnectReturnCode::Success,
        };
        let connection = exchange.next_serial();
        exchange.connect(Arrival {
            connection,
            id: id.into(),
            clean: false,
            expiry_s: LASTS,
            will,
            outbox,
            known: None,
            connack: Packet::ConnAck(connack, None),
        })
    };
    let one = come(&mut exchange, &scoped("eve", 1), Some(1_000)).unwrap();
    let will = message("w", &"x".repeat(1_000)).cost() as u64;
    assert_eq!(held(&exchange), will);
    // Its filters and those of another of its sessions have what is left.
    let filters = |n: usize| (0..n).map(|n| filter(&n.to_string())).collect::<Vec<_>>();
    assert_eq!(exchange.subscribe(one, 1, filters(10)).len(), 0);
    let two = come(&mut exchange, &scoped("eve", 2), None).unwrap();
    assert_eq!(exchange.subscribe(two, 1, filters(10)).len(), 6, "four of 65 bytes");
    assert_eq!(held(&exchange), will + 14 * 65);
    assert_eq!(come(&mut exchange, &scoped("eve", 3), Some(100)), Err(SessionsFull));
    assert_eq!(come(&mut exchange, &scoped("eve", 2), Some(100)), Err(SessionsFull));
    // Who comes back with the will that it had takes no more than it had.
    let one = come(&mut exchange, &scoped("eve", 1), Some(1_000)).unwrap();
    assert_eq!(held(&exchange), will + 14 * 65);
    let ann = come(&mut exchange, &scoped("ann", 1), Some(1_500)).unwrap();
    exchange.disconnect(ann, Farewell::Said);
    assert_eq!(held(&exchange), will + 14 * 65, "its will is forgotten");
    // A will that waits is held, one that was told is not.
    assert_eq!(exchange.disconnect(one, Farewell::Missing), None);
    assert_eq!(held(&exchange), will + 14 * 65);
    exchange.clock.set(11_000);
    assert_eq!(exchange.tick().len(), 1);
    assert_eq!(held(&exchange), 14 * 65);
    exchange.unsubscribe(two, 2, &["0".to_owned(), "9".to_owned()]);
    assert_eq!(held(&exchange), 13 * 65, "it had one of them");
    // All together have a bound, too.
    for n in 0..8 {
        let seat = come(&mut exchange, &scoped(&format!("host-{n}"), 1), None).unwrap();
        exchange.subscribe(seat, 1, filters(20));
    }
    assert!((4_900..=5_000).contains(&held(&exchange)), "{}", held(&exchange));
    exchange.clock.set(10_000_000_000);
    for session in exchange.sessions.keys().copied().collect::<Vec<_>>() {
        exchange.end(session);
    }
    assert_eq!(held(&exchange), 0);
    assert_eq!(exchange.owners.room(&scoped("eve", 1), &exchange.limits), 2_200);
}

/// May read `t/open` and nothing else.
fn narrow() -> Permit {
    let mut rules = Rules::default();
    rules.add(Effect::Allow(trust::Access::Read), "t/open");
    Permit::Rules(rules)
}

#[tokio::test]
async fn what_a_client_may_not_read_is_withheld_live_retained_and_when_it_is_back() {
    let mut exchange = exchange();
    let retained = |topic| Message {
        retain: true,
        ..message(topic, "old")
    };
    let (seat, _) = arrive(&mut exchange, "a", LASTS, None).unwrap();
    exchange.subscribe(seat, 1, vec![filter("t/#"), filter("$share/g/s")]);
    exchange.disconnect(seat, Farewell::Missing);
    for topic in ["t/open", "t/closed", "s"] {
        exchange.dispatch(message(topic, "kept"));
    }
    let (other, others) = join(&mut exchange, "other", None);
    exchange.subscribe(other, 1, vec![filter("$share/g/s")]);
    let (seat, outbox) = arrive_as(&mut exchange, "a", LASTS, None, narrow()).unwrap();
    for topic in ["t/open", "t/closed"] {
        exchange.dispatch(retained(topic));
    }
    let denied = filter("t/closed");
    exchange.subscribe(seat, 2, vec![filter("t/+"), denied]);
    for n in 0..3 {
        exchange.dispatch(message("s", &n.to_string()));
    }
    // The answer goes before messages.
    assert_eq!(
        inbox(&outbox).await,
        [
            "back",
            "suback [Success(AtLeastOnce), Failure]",
            "t/open=kept",
            "t/open=old",
            "t/open=old retained"
        ]
    );
    let suback = "suback [Success(AtLeastOnce)]";
    assert_eq!(inbox(&others).await, [suback, "s=kept", "s=0", "s=1", "s=2"]);
    assert_eq!(exchange.census().stored, 0);
}

#[test]
fn an_exchange_of_qos_2_that_is_withheld_is_brought_to_its_end() {
    let mut exchange = exchange();
    let (seat, outbox) = arrive(&mut exchange, "a", LASTS, None).unwrap();
    let twice = Filter {
        qos: QoS::ExactlyOnce,
        ..filter("t")
    };
    exchange.subscribe(seat, 1, vec![twice]);
    for payload in ["begun", "not begun"] {
        exchange.dispatch(Message {
            qos: Qos::ExactlyOnce,
            ..message("t", payload)
        });
        if payload == "begun" {
            assert_eq!(take_all(&outbox), ["begun"]);
        }
    }
    exchange.disconnect(seat, Farewell::Missing);
    let (_, outbox) = arrive_as(&mut exchange, "a", LASTS, None, narrow()).unwrap();
    assert_eq!(take_all(&outbox), ["back", "release 1"]);
    outbox.acknowledged([1]);
    let pending = outbox.leave();
    assert!(pending.is_done() && pending.bytes() == 0);
}

#[test]
fn a_denied_message_is_answered_in_its_turn_and_goes_nowhere() {
    let mut exchange = exchange();
    let (seat, outbox) = join(&mut exchange, "a", None);
    exchange.subscribe(seat, 1, vec![filter("t")]);
    for (packet_id, denied) in [(1, false), (2, true), (3, false)] {
        exchange.dispatch(Message {
            source: seat.session,
            ack: Some(Ack {
                connection: seat.connection,
                packet_id,
                denied,
            }),
            ..message("t", &packet_id.to_string())
        });
    }
    let mut buffer = BytesMut::new();
    now(&outbox, &mut buffer);
    let (mut acknowledged, mut come) = (Vec::new(), Vec::new());
    while let Some(received) = read_any(Version::V4, &mut buffer, 10_000).unwrap() {
        match received {
            Received::Publish(publish) => come.push(text(&publish.payload).to_owned()),
            Received::Other(packet) => {
                if let Packet::PubAck(ack, _) = *packet {
                    acknowledged.push(ack.pkid);
                }
            }
        }
    }
    assert_eq!(
        (acknowledged, come),
        (vec![1, 2, 3], vec!["1".to_owned(), "3".to_owned()])
    );
}
