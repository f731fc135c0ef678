//! Messages there and back, and what is refused.

mod newer;
mod seal;
mod seeds;

use proptest::{collection::vec, prelude::*};
use prost::Message;
use schemas::{Bytes, v1};

use super::*;
use crate::{
    Action, ActionKind, ActionOutcome, Birth, Bmc, Bound, Capacity, Catalogue, Change, ChangeOutcome, Command, Effect,
    EpochMark, Event, Explanation, Finding, Frame, Hole, Inventory, Metric, Outcome, OutcomeState, PciDevice,
    Processor, Resource, Severity, Source, SourceState, Watermark, Workload,
    birth::{Aer, Dpc, MAX_PCI_REGISTERS, Register, SrIov},
    event::MAX_DETAILS,
    metric::MAX_METRICS,
};

fn birth() -> Birth {
    let device = PciDevice {
        address: "0000:00:1f.2".into(),
        vendor: 0x8086,
        device: 0xffff,
        class: 0x0c_0330,
        driver: "ahci".into(),
        link_speed_gts: Some(8.0),
        link_width: Some(4),
        link_speed_max_gts: None,
        link_width_max: None,
        subsystem: Some((0x1028, 0)),
        revision: Some(0xff),
        power_state: "D0".into(),
        port_type: "root port".into(),
        errors: vec!["SignaledSystemErr".into(), "CorrErr".into()],
        aer: Some(Aer {
            uncorrectable_status: Some(0),
            correctable_mask: Some(0x2000),
            fatal: Some(u64::MAX),
            ..Aer::default()
        }),
        dpc: Some(Dpc {
            enabled: true,
            triggered: true,
            reason: "ERR_FATAL".into(),
        }),
        sriov: Some(SrIov {
            total_vfs: 64,
            vfs: u16::MAX,
        }),
        registers: vec![Register {
            name: "GEN_PMCON_1".into(),
            address: 0xa0,
            value: u32::MAX,
        }],
    };
    let processor = Processor {
        vendor: "GenuineIntel".into(),
        family: 6,
        model: 0x55,
        stepping: 4,
        microcode: Some(0x0200_005e),
        packages: 2,
        cores: 32,
        threads: 64,
    };
    let states = [
        SourceState::Works,
        SourceState::Absent,
        SourceState::NoPermission,
        SourceState::Failed,
    ];
    let sources = states.map(|state| Source {
        name: format!("probe-{}", state as u8),
        state,
        reason: "because".into(),
    });
    Birth {
        epoch: 1_795_486_574_086_790,
        time_ms: 1_795_486_574_086,
        agent_version: "0.1.0".into(),
        catalogue: Catalogue::new(vec![
            Metric::share("host.cpu").key(),
            Metric::rate("host.network.rx", "By/s", 100.0),
        ]),
        sources: sources.into(),
        capacity: Capacity {
            cpu_cores: Some(2.0),
            power_w: Some(0.0),
            ..Capacity::default()
        },
        inventory: Inventory {
            kernel: "6.18".into(),
            os: "Debian".into(),
            cpu_model: "EPYC".into(),
            pci: vec![device],
            interfaces: vec!["eth0".into()],
            disks: vec!["vda".into(), "vdb".into()],
            processor: Some(processor),
            bmc: Some(Bmc {
                manufacturer: "Acme".into(),
                product_id: 0xffff,
                firmware: "2.19".into(),
                ipmi: "2.0".into(),
                board_manufacturer: "Acme Boards".into(),
                board_product: "X1".into(),
                board_serial: "B-1".into(),
                system_manufacturer: "Acme Corp".into(),
                system_product: "Server".into(),
                system_serial: "S-1".into(),
            }),
        },
        workloads: vec![Workload {
            name: "system.slice/web.service".into(),
            criticality: 100,
            class: "gold".into(),
        }],
    }
}

fn frame() -> Frame {
    Frame {
        epoch: 1,
        sequence: 0,
        start_ms: 5,
        samples: 4_096,
        codec: 99,
        reference: 0,
        body: Bytes::from_static(b"body"),
    }
}

fn event(severity: Severity) -> Event {
    Event {
        epoch: 1_795_486_574_086_790,
        sequence: 4,
        time_ms: 1_795_486_574_999,
        finding: Finding {
            source: "pci".into(),
            subject: "0000:01:00.0".into(),
            kind: "link_degraded".into(),
            severity,
            text: "8 GT/s x4 of x16".into(),
            details: vec![("link_status".into(), "0x1043".into())],
        },
    }
}

fn mark(durable_below: u64, missing: &[(u64, u64)]) -> Watermark {
    let mark = EpochMark {
        epoch: 7,
        durable_below,
        missing: missing.iter().map(|&(first, end)| first..end).collect(),
        birth_wanted: true,
    };
    Watermark {
        epochs: vec![mark, EpochMark::default()],
    }
}

fn explanation() -> Explanation {
    Explanation {
        strategy: "preemptive".into(),
        text: "p95 in 10 min".into(),
        quantile: 0.95,
        forecast: 1.9,
        margin: -0.05,
        horizon_s: 600,
        rung: "lstm".into(),
        clamp: "slew".into(),
        rejected: "nothing".into(),
        coverage: Some(0.94),
        used: Some(1.0),
        wanted: Some(2.5),
        learnt: 0.05,
        turns: 2,
    }
}

fn command() -> Command {
    let change = |resource| Change {
        workload: "web".into(),
        resource,
        before: Some(1.5),
        target: 2.0,
        ceiling: Some(4.0),
        explanation: explanation(),
    };
    let action = |kind, workload: &str, amount| Action {
        kind,
        workload: workload.into(),
        amount,
        explanation: explanation(),
    };
    Command {
        id: "7-web1-3".into(),
        host: "web1".into(),
        issuer_epoch: 7,
        sequence: 3,
        issued_ms: 9,
        ttl_ms: 60_000,
        dry_run: true,
        changes: Resource::ALL.map(change).into(),
        actions: vec![
            action(ActionKind::ChassisOn, "", None),
            action(ActionKind::LimitTasks, "web", Some(100.0)),
        ],
    }
}

fn outcome(state: OutcomeState) -> Outcome {
    Outcome {
        command_id: "7-web1-3".into(),
        state,
        reason: "floor".into(),
        time_ms: 10,
        changes: vec![ChangeOutcome {
            workload: "web".into(),
            resource: Resource::Power,
            before: None,
            after: Some(0.0),
            lever: "cpu.max".into(),
            note: String::new(),
            effect: Effect::Hurt,
        }],
        actions: vec![ActionOutcome {
            kind: ActionKind::LimitTasks,
            workload: "web".into(),
            before: Some(50.0),
            after: None,
            lever: "pids.max = 100".into(),
            note: String::new(),
        }],
    }
}

#[test]
fn messages_come_back_as_they_were() {
    assert_eq!(decode_birth(&encode_birth(&birth())), Ok(birth()));
    assert_eq!(decode_birth(&[]), Ok(Birth::default()));
    assert_eq!(decode_frame(encode_frame(&frame()).as_slice()), Ok(frame()));
    assert_eq!(decode_frame(Bytes::from(encode_frame(&frame()))), Ok(frame()));
    for severity in [Severity::Info, Severity::Warning, Severity::Critical] {
        assert_eq!(decode_event(&encode_event(&event(severity))), Ok(event(severity)));
    }
    let watermark = mark(9, &[(0, 1), (1, 4), (8, 9)]);
    assert_eq!(decode_watermark(&encode_watermark(&watermark)), Ok(watermark));
    let hole = Hole {
        epoch: 9,
        first: 0,
        end: (1 << 63) - 1,
    };
    assert_eq!(decode_hole(&encode_hole(&hole)), Ok(hole));
    assert_eq!(decode_command(&encode_command(&command())), Ok(command()));
    for state in [
        OutcomeState::Applied,
        OutcomeState::DryRun,
        OutcomeState::Refused,
        OutcomeState::Expired,
        OutcomeState::Failed,
        OutcomeState::Distrusted,
        OutcomeState::Raised,
        OutcomeState::Hurt,
    ] {
        assert_eq!(decode_outcome(&encode_outcome(&outcome(state))), Ok(outcome(state)));
    }
}

/// A change of a good message, and how the refusal begins.
type Fault<T> = (fn(&mut T), &'static str);

fn check_faults<T, R: std::fmt::Debug>(
    good: &dyn Fn() -> T,
    decode: &dyn Fn(&T) -> Result<R, WireError>,
    faults: &[Fault<T>],
) {
    for (spoil, expected) in faults {
        let mut message = good();
        spoil(&mut message);
        let error = decode(&message).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error:?} should be {expected:?}");
    }
}

#[test]
fn births_that_cannot_be_believed_are_refused() {
    fn bound(birth: &mut Birth, bound: Bound) {
        birth.catalogue = Catalogue::new(vec![Metric::new("m", "1", bound)]);
    }
    fn relative(birth: &mut Birth, ratio: f64, floor: f64) {
        bound(birth, Bound::Relative { ratio, floor });
    }
    fn names(birth: &mut Birth, names: &[&str]) {
        birth.catalogue = Catalogue::new(names.iter().map(|name| Metric::share(*name)).collect());
    }
    let faults: &[Fault<Birth>] = &[
        (
            |b| b.epoch = u64::MAX,
            "birth with bad epoch: 18446744073709551615 is not less than 2^63",
        ),
        (|b| b.time_ms = -1, "birth with bad time_ms: -1 is not a moment"),
        (
            |b| b.agent_version = "x".repeat(4097),
            "birth with bad agent_version: 4097 bytes",
        ),
        (
            |b| bound(b, Bound::Absolute { step: 0.0 }),
            "birth with bad metrics[0].bound: Absolute",
        ),
        (
            |b| bound(b, Bound::Absolute { step: f64::NAN }),
            "birth with bad metrics[0].bound",
        ),
        (
            |b| bound(b, Bound::Relative { ratio: 1.0, floor: 1.0 }),
            "birth with bad metrics[0].bound",
        ),
        (|b| relative(b, 0.1, -1.0), "birth with bad metrics[0].bound"),
        (
            |b| names(b, &["a", "b", "a"]),
            "birth with bad metrics[2].name: \"a\" is there twice",
        ),
        (|b| names(b, &["a", ""]), "birth with bad metrics[1].name: 0 bytes"),
        (
            |b| names(b, &["a\n"]),
            "birth with bad metrics[0].name: \"a\\n\" has the control character",
        ),
        (
            |b| names(b, &[&"x".repeat(256)]),
            "birth with bad metrics[0].name: 256 bytes",
        ),
        (
            |b| names(b, &vec!["a"; MAX_METRICS + 1]),
            "birth has more than 10000 metrics",
        ),
        (
            |b| b.capacity.power_w = Some(-1.0),
            "birth with bad capacity.power_w: -1 is not a finite number",
        ),
        (
            |b| b.capacity.cpu_cores = Some(f64::INFINITY),
            "birth with bad capacity.cpu_cores",
        ),
        (|b| b.sources[1].name.clear(), "birth with bad sources[1].name"),
        (
            |b| b.inventory.pci[0].class = 1 << 24,
            "birth with bad inventory.pci[0].class",
        ),
        (
            |b| b.inventory.pci[0].link_speed_gts = Some(f64::NAN),
            "birth with bad inventory.pci[0].link_speed_gts",
        ),
        (
            |b| b.inventory.pci = vec![PciDevice::default(); 4_097],
            "birth has more than 4096 inventory.pci",
        ),
        (
            |b| b.inventory.pci[0].registers = vec![Register::default(); MAX_PCI_REGISTERS + 1],
            "birth has more than 1024 inventory.pci.registers",
        ),
        (
            |b| b.workloads[0].criticality = 101,
            "birth with bad workloads[0].criticality",
        ),
        (
            |b| b.workloads.push(b.workloads[0].clone()),
            "birth with bad workloads[1].name",
        ),
        (|b| b.inventory.disks = vec!["x".repeat(4_096); 1_024], "birth of 419"),
    ];
    check_faults(&birth, &|birth| decode_birth(&encode_birth(birth)), faults);
}

#[test]
fn births_with_foreign_parts_are_refused() {
    let check = |message: v1::Birth, expected: &str| {
        let error = decode_birth(&message.encode_to_vec()).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error:?} should be {expected:?}");
    };
    let source = |state| v1::Source {
        name: "s".into(),
        state,
        reason: String::new(),
    };
    for state in [0, 5] {
        let sources = vec![source(1), source(state)];
        check(
            v1::Birth {
                sources,
                ..v1::Birth::default()
            },
            "birth with bad sources[1].state",
        );
    }
    let metrics = vec![v1::Metric {
        name: "m".into(),
        ..v1::Metric::default()
    }];
    check(
        v1::Birth {
            metrics,
            ..v1::Birth::default()
        },
        "birth with bad metrics[0].bound: it has none",
    );
    let bmc = Some(v1::Bmc {
        product_id: 0x1_0000,
        ..v1::Bmc::default()
    });
    let inventory = Some(v1::Inventory {
        bmc,
        ..v1::Inventory::default()
    });
    check(
        v1::Birth {
            inventory,
            ..v1::Birth::default()
        },
        "birth with bad inventory.bmc.product_id: 0x10000 has more than 16 bits",
    );
    let pci = vec![v1::PciDevice {
        vendor: 0x1_0000,
        ..v1::PciDevice::default()
    }];
    let inventory = Some(v1::Inventory {
        pci,
        ..v1::Inventory::default()
    });
    check(
        v1::Birth {
            inventory,
            ..v1::Birth::default()
        },
        "birth with bad inventory.pci[0].vendor: 0x10000",
    );
    let error = decode_birth(b"\x0a\xff").unwrap_err().to_string();
    assert!(error.starts_with("not a birth: "), "{error}");
}

#[test]
fn lists_are_counted_over_all_parts_of_a_message() {
    // Protobuf joins repeated messages: 2 x 2,500 empty PCI functions, then 2 x 513 disks.
    let part = |field: u8, entries: usize| [field, 0].repeat(entries);
    let inventory = |inner: Vec<u8>| v1::Birth {
        inventory: Some(v1::Inventory::decode(inner.as_slice()).unwrap()),
        ..v1::Birth::default()
    };
    let twice = |message: v1::Birth| message.encode_to_vec().repeat(2);
    let error = decode_birth(&twice(inventory(part(0x22, 2_500)))).unwrap_err();
    let too_many = |field, most| WireError::TooMany {
        message: "birth",
        field,
        most,
    };
    assert_eq!(error, too_many("inventory.pci", 4_096));
    let error = decode_birth(&twice(inventory(part(0x32, 513)))).unwrap_err();
    assert_eq!(error, too_many("inventory.disks", 1_024));
}

#[test]
fn text_for_people_carries_no_control_characters() {
    let mut sent = birth();
    sent.inventory.cpu_model = "EPYC\u{1b}[2J\n".into();
    let told = decode_birth(&encode_birth(&sent)).unwrap();
    assert_eq!(told.inventory.cpu_model, "EPYC [2J ");
}

#[test]
fn frames_that_cannot_be_believed_are_refused() {
    let faults: &[Fault<Frame>] = &[
        (|f| f.samples = 0, "frame with bad samples: 0 is not from 1 to 4096"),
        (|f| f.samples = 4_097, "frame with bad samples"),
        (|f| f.epoch = 1 << 63, "frame with bad epoch"),
        (|f| f.sequence = u64::MAX, "frame with bad sequence"),
        (|f| f.start_ms = MAX_TIME_MS + 1, "frame with bad start_ms"),
        (|f| f.body = vec![0; 1 << 20].into(), "frame of 10485"),
    ];
    check_faults(&frame, &|frame| decode_frame(encode_frame(frame).as_slice()), faults);
    assert!(matches!(
        decode_frame(&b"\x0f"[..]),
        Err(WireError::Malformed { message: "frame", .. })
    ));
}

#[test]
fn events_that_cannot_be_believed_are_refused() {
    let faults: &[Fault<Event>] = &[
        (|e| e.epoch = 1 << 63, "event with bad epoch"),
        (|e| e.sequence = u64::MAX, "event with bad sequence"),
        (|e| e.time_ms = i64::MAX, "event with bad time_ms"),
        (|e| e.finding.source.clear(), "event with bad source: 0 bytes"),
        (|e| e.finding.subject = "a\nb".into(), "event with bad subject"),
        (|e| e.finding.kind.clear(), "event with bad kind"),
        (
            |e| e.finding.text = "x".repeat(4_097),
            "event with bad text: 4097 bytes",
        ),
        (|e| e.finding.details[0].0.clear(), "event with bad details[0].name"),
        (
            |e| e.finding.details = vec![("a".into(), String::new()); MAX_DETAILS + 1],
            "event has more than 64 details",
        ),
        (
            |e| e.finding.details = vec![("a".into(), "x".repeat(4_000)); 17],
            "event of 68",
        ),
    ];
    let good = || event(Severity::Info);
    check_faults(&good, &|event| decode_event(&encode_event(event)), faults);
    let unknown = v1::Event {
        severity: 9,
        ..v1::Event::default()
    };
    let error = decode_event(&unknown.encode_to_vec()).unwrap_err().to_string();
    assert!(error.starts_with("event with bad severity: 9"), "{error}");
}

#[test]
fn holes_that_cannot_be_believed_are_refused() {
    let refused = |epoch, first, end| {
        decode_hole(&encode_hole(&Hole { epoch, first, end }))
            .unwrap_err()
            .to_string()
    };
    assert_eq!(refused(1, 5, 5), "hole with bad end: 5..5 is empty");
    assert_eq!(refused(1, 5, 4), "hole with bad end: 5..4 is empty");
    assert_eq!(
        refused(1, 0, 1 << 63),
        "hole with bad end: 9223372036854775808 is not less than 2^63"
    );
    assert!(refused(1 << 63, 0, 1).starts_with("hole with bad epoch"));
    assert!(matches!(
        decode_hole(&[0; MAX_HOLE_BYTES + 1]),
        Err(WireError::TooLong { .. })
    ));
}

#[test]
fn watermarks_that_cannot_be_believed_are_refused() {
    let decode = |watermark: &Watermark| decode_watermark(&encode_watermark(watermark));
    for missing in [&[(1, 1)][..], &[(3, 1)], &[(4, 6), (5, 7)], &[(9, 11)]] {
        let error = decode(&mark(10, missing)).unwrap_err().to_string();
        assert!(error.starts_with("watermark with bad epochs[0].missing: "), "{error}");
    }
    assert!(decode(&mark(1 << 63, &[])).is_err());
    let many: Vec<_> = (0..4_097).map(|i| (2 * i, 2 * i + 1)).collect();
    let error = decode(&mark(10_000, &many)).unwrap_err().to_string();
    assert_eq!(error, "watermark has more than 4096 epochs.missing");
}

#[test]
fn commands_that_cannot_be_believed_are_refused() {
    let faults: &[Fault<Command>] = &[
        (|c| c.id.clear(), "command with bad id"),
        (
            |c| c.host = "a/b".into(),
            "command with bad host: name \"a/b\" has '/' at byte 1",
        ),
        (|c| c.sequence = 0, "command with bad sequence"),
        (|c| c.ttl_ms = 0, "command with bad ttl_ms: 0 ms"),
        (|c| c.ttl_ms = MAX_TTL_MS + 1, "command with bad ttl_ms"),
        (|c| c.issued_ms = -1, "command with bad issued_ms"),
        (
            |c| c.changes[1].workload.clear(),
            "command with bad changes[1].workload",
        ),
        (
            |c| c.changes[2].target = f64::NAN,
            "command with bad changes[2].target: NaN",
        ),
        (
            |c| c.changes[2].target = -0.1,
            "command with bad changes[2].target: -0.1",
        ),
        (
            |c| c.changes[2].before = Some(f64::INFINITY),
            "command with bad changes[2].before",
        ),
        (
            |c| c.changes[0].explanation.margin = f64::NAN,
            "command with bad changes[0].explanation.margin",
        ),
        (
            |c| c.changes[0].ceiling = Some(-1.0),
            "command with bad changes[0].ceiling",
        ),
        (
            |c| c.actions[1].amount = Some(f64::NAN),
            "command with bad actions[1].amount",
        ),
        (
            |c| c.actions[1].workload = "a\n".into(),
            "command with bad actions[1].workload",
        ),
        (
            |c| c.actions[0].explanation.margin = f64::NAN,
            "command with bad actions[0].explanation.margin",
        ),
        (
            |c| c.actions = vec![c.actions[0].clone(); MAX_ACTIONS + 1],
            "command has more than 1024 actions",
        ),
        (
            |c| c.changes = vec![c.changes[0].clone(); 1_025],
            "command has more than 1024 changes",
        ),
    ];
    check_faults(&command, &|command| decode_command(&encode_command(command)), faults);
    let change = v1::Change {
        workload: "web".into(),
        resource: 6,
        ..v1::Change::default()
    };
    let mut message = v1::Command::decode(encode_command(&command()).as_slice()).unwrap();
    message.changes = vec![change];
    let error = decode_command(&message.encode_to_vec()).unwrap_err().to_string();
    assert_eq!(error, "command with bad changes[0].resource: 6 is not known");
    message.changes.clear();
    message.actions = vec![v1::Action::default()];
    let error = decode_command(&message.encode_to_vec()).unwrap_err().to_string();
    assert_eq!(error, "command with bad actions[0].kind: 0 is not known");
}

#[test]
fn outcomes_that_cannot_be_believed_are_refused() {
    let faults: &[Fault<Outcome>] = &[
        (|o| o.command_id.clear(), "outcome with bad command_id"),
        (|o| o.time_ms = i64::MAX, "outcome with bad time_ms"),
        (
            |o| o.changes[0].after = Some(f64::NAN),
            "outcome with bad changes[0].after",
        ),
        (
            |o| o.actions[0].before = Some(-1.0),
            "outcome with bad actions[0].before",
        ),
        (|o| o.reason = "x".repeat(5_000), "outcome with bad reason"),
    ];
    let good = || outcome(OutcomeState::Applied);
    check_faults(&good, &|outcome| decode_outcome(&encode_outcome(outcome)), faults);
    let state = v1::Outcome {
        command_id: "c".into(),
        ..v1::Outcome::default()
    };
    let error = decode_outcome(&state.encode_to_vec()).unwrap_err().to_string();
    assert_eq!(error, "outcome with bad state: 0 is not known");
}

proptest! {
    #[test]
    fn garbage_and_damage_never_panic(garbage in vec(any::<u8>(), 0..300), at in any::<prop::sample::Index>(), byte: u8) {
        let read_all = |bytes: &[u8]| {
            // Only that they return matters here.
            drop(decode_birth(bytes));
            drop(decode_frame(bytes));
            drop(decode_watermark(bytes));
            drop(decode_hole(bytes));
            drop(decode_command(bytes));
            drop(decode_outcome(bytes));
        };
        read_all(&garbage);
        for mut good in [
            encode_birth(&birth()),
            encode_frame(&frame()),
            encode_watermark(&mark(9, &[(0, 1)])),
            encode_command(&command()),
            encode_outcome(&outcome(OutcomeState::Failed)),
        ] {
            let at = at.index(good.len());
            read_all(&good[..at]);
            good[at] = byte;
            read_all(&good);
        }
    }
}
