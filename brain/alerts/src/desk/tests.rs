use super::*;

const MIN: i64 = 60_000;

fn rules() -> Rules {
    Rules {
        min_severity: Severity::Warning,
        group_wait_ms: 0,
        repeat_every_ms: 60 * MIN,
        silences: Vec::new(),
    }
}

fn incident(host: &str, severity: Severity) -> Incident {
    Incident {
        host: host.to_owned(),
        since_ms: MIN,
        until_ms: 2 * MIN,
        goes_on: true,
        severity,
        cause: "heat".to_owned(),
        evidence: Vec::new(),
        is_acknowledged: false,
    }
}

/// What is due, as host and reason; all of it is delivered.
fn told(desk: &mut Desk, now_ms: i64, incidents: &[Incident]) -> Vec<(String, Why)> {
    let due = desk.due(now_ms, incidents);
    if !due.is_empty() {
        desk.deliver(now_ms, &due);
    }
    due.into_iter()
        .map(|notice| (notice.incident.host, notice.why))
        .collect()
}

#[test]
fn an_incident_is_told_when_it_begins_grows_goes_on_and_ends() {
    let mut desk = Desk::new(rules(), None, 0);
    let mut one = incident("a", Severity::Warning);
    let name = |why| vec![("a".to_owned(), why)];
    assert_eq!(told(&mut desk, MIN, &[one.clone()]), name(Why::Began));
    assert_eq!(told(&mut desk, 2 * MIN, &[one.clone()]), []);
    one.severity = Severity::Critical;
    assert_eq!(told(&mut desk, 3 * MIN, &[one.clone()]), name(Why::BecameGraver));
    one.severity = Severity::Warning;
    assert_eq!(told(&mut desk, 4 * MIN, &[one.clone()]), [], "less grave is no news");
    assert_eq!(told(&mut desk, 63 * MIN, &[one.clone()]), name(Why::GoesOn));
    one.is_acknowledged = true;
    assert_eq!(told(&mut desk, 200 * MIN, &[one.clone()]), [], "somebody knows");
    one.goes_on = false;
    assert_eq!(told(&mut desk, 201 * MIN, &[one.clone()]), name(Why::Ended));
    assert_eq!(told(&mut desk, 202 * MIN, &[one]), []);
}

#[test]
fn the_end_of_what_went_on_for_weeks_is_told() {
    let mut desk = Desk::new(rules(), None, 0);
    let mut one = incident("a", Severity::Critical);
    assert_eq!(told(&mut desk, MIN, std::slice::from_ref(&one)).len(), 1);
    one.is_acknowledged = true;
    let other = incident("b", Severity::Critical);
    let weeks = 20 * 24 * 60 * MIN;
    assert_eq!(told(&mut desk, weeks, &[one.clone(), other]).len(), 1);
    one.goes_on = false;
    assert_eq!(told(&mut desk, weeks + MIN, &[one]), [("a".to_owned(), Why::Ended)]);
}

#[test]
fn what_nobody_asked_for_is_not_told() {
    let mut desk = Desk::new(rules(), None, 10 * MIN);
    let slight = incident("slight", Severity::Info);
    let mut known = incident("known", Severity::Critical);
    known.is_acknowledged = true;
    let mut past = incident("past", Severity::Critical);
    past.goes_on = false;
    assert_eq!(told(&mut desk, 10 * MIN, &[slight, known, past.clone()]), []);
    past.since_ms = 11 * MIN;
    assert_eq!(
        told(&mut desk, 12 * MIN, &[past]),
        [("past".to_owned(), Why::Ended)],
        "it came and went unseen"
    );
}

#[test]
fn what_comes_together_goes_together_and_the_gravest_leads() {
    let mut desk = Desk::new(
        Rules {
            group_wait_ms: 30_000,
            ..rules()
        },
        None,
        0,
    );
    let (first, second) = (incident("a", Severity::Warning), incident("b", Severity::Critical));
    assert_eq!(told(&mut desk, MIN, std::slice::from_ref(&first)), []);
    assert_eq!(told(&mut desk, MIN + 29_000, &[first.clone(), second.clone()]), []);
    let both = [("b".to_owned(), Why::Began), ("a".to_owned(), Why::Began)];
    assert_eq!(told(&mut desk, MIN + 30_000, &[first.clone(), second.clone()]), both);
    // What ends before it could be told together with others is told as ended.
    let third = incident("c", Severity::Critical);
    assert_eq!(told(&mut desk, 5 * MIN, std::slice::from_ref(&third)), []);
    let over = Incident {
        goes_on: false,
        ..third
    };
    assert_eq!(told(&mut desk, 6 * MIN, &[over]), [("c".to_owned(), Why::Ended)]);
}

#[test]
fn silences_hold_for_their_hosts_and_time() {
    let silence = |begin: &str, end: Option<&str>| Silence {
        hosts: (begin.to_owned(), end.map(str::to_owned)),
        until_ms: 5 * MIN,
    };
    let mut desk = Desk::new(
        Rules {
            silences: vec![silence("lab-", Some("")), silence("db", None)],
            ..rules()
        },
        None,
        0,
    );
    let all = ["lab-1", "db", "db-2"].map(|host| incident(host, Severity::Critical));
    assert_eq!(told(&mut desk, MIN, &all), [("db-2".to_owned(), Why::Began)]);
    let then = told(&mut desk, 5 * MIN, &all);
    assert_eq!(
        then,
        [("lab-1".to_owned(), Why::Began), ("db".to_owned(), Why::Began)],
        "what goes on is told then"
    );
    let around = silence("aba", Some("ba"));
    assert!(
        !around.covers("aba", 0) && around.covers("abaxba", 0),
        "begin and end do not overlap"
    );
}

#[test]
fn what_could_not_be_delivered_stays_owed() {
    let mut desk = Desk::new(rules(), None, 0);
    let one = [incident("a", Severity::Critical)];
    assert_eq!(desk.due(MIN, &one).len(), 1);
    assert_eq!(desk.due(2 * MIN, &one)[0].why, Why::Began);
    let kept = serde_json::to_string(&desk.kept()).unwrap();
    let mut again = Desk::new(rules(), Some(serde_json::from_str(&kept).unwrap()), 3 * MIN);
    assert_eq!(told(&mut again, 3 * MIN, &one), [("a".to_owned(), Why::Began)]);
    let mut later = Desk::new(rules(), Some(again.kept()), 4 * MIN);
    assert_eq!(told(&mut later, 4 * MIN, &one), [], "a restart does not repeat it");
}

#[test]
fn a_clock_that_is_set_back_holds_nothing_up() {
    let mut desk = Desk::new(
        Rules {
            group_wait_ms: MIN,
            ..rules()
        },
        None,
        0,
    );
    let one = [incident("a", Severity::Critical)];
    assert_eq!(told(&mut desk, 1_000 * MIN, &one), []);
    assert_eq!(told(&mut desk, MIN, &one), []);
    assert_eq!(told(&mut desk, 2 * MIN, &one).len(), 1);
}
