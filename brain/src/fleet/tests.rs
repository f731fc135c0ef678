use super::*;

fn fleet(interval_ms: i64) -> Fleet {
    let mut fleet = Fleet::default();
    let stream = Stream {
        host: "a".into(),
        vantage: Vantage::Inband,
    };
    let mut channels = [f64::NAN; 7];
    channels[0] = 0.25;
    let readings = Readings {
        times: vec![(100_000, interval_ms)],
        channels: vec![channels],
        workloads: Vec::new(),
    };
    fleet.samples(&stream, &readings, 0);
    fleet
}

#[test]
fn a_host_lives_while_samples_come_and_its_agent_is_there() {
    let check = |interval_ms: i64, now_ms: i64, status: Option<&str>, expected: Life| {
        let mut fleet = fleet(interval_ms);
        if let Some(status) = status {
            assert!(fleet.status("a", Vantage::Inband, status.as_bytes()));
        }
        let life = fleet.get("a").unwrap().life(now_ms, 20_000);
        assert_eq!(life, expected, "{interval_ms} {now_ms} {status:?}");
    };
    check(1_000, 110_000, None, Life::Online);
    check(1_000, 121_000, None, Life::Stale);
    check(60_000, 270_000, None, Life::Online);
    check(1_000, 110_000, Some(r#"{"state":"offline"}"#), Life::Offline);
    check(1_000, 110_000, Some(r#"{"state":"online","samples":5}"#), Life::Online);
}

/// A sample at `time_ms` from a vantage, with these shares of CPU and watts.
fn tell(fleet: &mut Fleet, vantage: Vantage, time_ms: i64, cpu: f64, power: f64) -> f64 {
    let stream = Stream {
        host: "a".into(),
        vantage,
    };
    let mut channels = [f64::NAN; 7];
    (channels[0], channels[6]) = (cpu, power);
    let mut readings = Readings {
        times: vec![(time_ms, 1_000)],
        channels: vec![channels],
        workloads: Vec::new(),
    };
    fleet.reconcile(&stream, &mut readings);
    fleet.samples(&stream, &readings, 0);
    readings.channels[0][6]
}

#[test]
fn both_views_of_a_host_make_one_and_the_bmc_knows_its_power() {
    let mut fleet = Fleet::default();
    assert_eq!(tell(&mut fleet, Vantage::Inband, 1_000, 0.5, 80.0), 80.0);
    tell(&mut fleet, Vantage::Oob, 2_000, f64::NAN, 200.0);
    assert!(tell(&mut fleet, Vantage::Inband, 3_000, 0.6, 81.0).is_nan());
    let value = |fleet: &Fleet, resource| fleet.get("a").unwrap().value(resource);
    assert_eq!(
        (value(&fleet, Resource::Cpu), value(&fleet, Resource::Power)),
        (Some(0.6), Some(200.0))
    );
    assert_eq!(
        tell(&mut fleet, Vantage::Inband, 63_000, 0.6, 82.0),
        82.0,
        "a BMC that is silent does not rule"
    );
    assert_eq!(value(&fleet, Resource::Power), Some(82.0));
}

#[test]
fn a_host_that_is_dead_still_has_its_bmc() {
    let mut fleet = Fleet::default();
    let life = |fleet: &Fleet, now_ms| fleet.get("a").unwrap().life(now_ms, 20_000);
    tell(&mut fleet, Vantage::Oob, 1_000, f64::NAN, 200.0);
    assert_eq!(life(&fleet, 2_000), Life::Online, "nobody else speaks for it");
    tell(&mut fleet, Vantage::Inband, 2_000, 0.5, f64::NAN);
    assert_eq!(life(&fleet, 3_000), Life::Online);
    tell(&mut fleet, Vantage::Oob, 60_000, f64::NAN, 190.0);
    assert_eq!(life(&fleet, 60_000), Life::BmcOnly);
    assert_eq!(
        fleet.get("a").unwrap().newest_ms(),
        2_000,
        "what runs on it is as old as that"
    );
    fleet.status("a", Vantage::Inband, br#"{"state":"offline"}"#);
    assert_eq!(life(&fleet, 60_000), Life::BmcOnly);
    fleet.status("a", Vantage::Oob, br#"{"state":"offline"}"#);
    assert_eq!(life(&fleet, 60_000), Life::Offline);
    tell(&mut fleet, Vantage::Inband, 61_000, 0.5, f64::NAN);
    assert_eq!(life(&fleet, 61_000), Life::Online);
}

#[test]
fn a_status_that_is_none_is_refused() {
    let mut fleet = fleet(1_000);
    for bad in [&b"offline"[..], b"{}", b"\xff", &[b' '; 5_000]] {
        assert!(!fleet.status("a", Vantage::Inband, bad));
    }
    assert!(fleet.status("later", Vantage::Inband, br#"{"state":"offline"}"#));
    assert_eq!(fleet.len(), 1, "a status alone makes no host");
    fleet.restore(&"later".into(), 100_000);
    assert_eq!(
        fleet.get("later").unwrap().life(100_000, 20_000),
        Life::Offline,
        "but it is not forgotten"
    );
}

#[test]
fn what_is_not_measured_has_a_reason() {
    let fleet = fleet(1_000);
    let host = fleet.get("a").unwrap();
    assert_eq!(host.value(Resource::Cpu), Some(0.25));
    assert_eq!(host.value(Resource::Power), None);
    assert_eq!(
        host.why_absent(Resource::Power),
        "this host's agent does not measure it"
    );
}

#[test]
fn what_is_absent_is_told_apart_from_what_may_not_be_read() {
    for (state, expected) in [
        (SourceState::Absent, "why"),
        (SourceState::NoPermission, "no permission: why"),
        (SourceState::Failed, "failed: why"),
    ] {
        let mut fleet = fleet(1_000);
        let mut birth = crate::testing::birth(7);
        birth.sources = vec![shadow::Source {
            name: "power".into(),
            state,
            reason: "why".into(),
        }];
        let stream = Stream {
            host: "a".into(),
            vantage: Vantage::Inband,
        };
        fleet.birth(&stream, &birth.into(), 0);
        assert_eq!(fleet.get("a").unwrap().why_absent(Resource::Power), expected);
    }
}
