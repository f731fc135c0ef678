//! A limit that hurts: seen in the workload's pressure, undone, and remembered.

use shadow::{
    Block, Catalogue, Frame, Reading, codec,
    metric::{Bound, Metric},
};

use super::*;

/// The host of the other tests, which also tells how long the workload waits for a processor.
fn waiting_birth() -> shadow::Birth {
    let mut told = birth(EPOCH);
    let mut metrics: Vec<Metric> = told.catalogue.metrics().to_vec();
    let half_point = Bound::Absolute { step: 0.01 };
    metrics.push(Metric::new("workload.web.pressure.cpu", "1", half_point));
    told.catalogue = Catalogue::new(metrics);
    told
}

/// Seconds in which it waits for this share of the time.
fn live(bench: &mut Bench, seconds: u64, pressure: f64) {
    let catalogue = waiting_birth().catalogue;
    for _ in 0..seconds {
        bench.now_ms += 1_000;
        bench.monotonic_ns += 1_000_000_000;
        let mut block = Block::new(&catalogue);
        let readings = [0.25, 0.5, 1_000.0, 2_000.0, 1.0, pressure].map(Reading::new);
        let times = [bench.now_ms - 500, bench.now_ms];
        for time_ms in times {
            block.push(time_ms, &readings);
        }
        let frame = Frame {
            epoch: EPOCH,
            sequence: bench.sequence,
            start_ms: times[0],
            samples: 2,
            codec: codec::MASK_VARINT_LZ4,
            reference: 0,
            body: codec::encode(&catalogue, &block).unwrap().into(),
        };
        bench.message("foreshadow/main/a/bin/inband/delta", wire::encode_frame(&frame));
        bench.sequence += 1;
        bench.tick();
    }
}

#[test]
fn a_limit_that_hurts_is_seen_undone_and_remembered() {
    let mut bench = Bench::new();
    let text = "[act]\n\"a\" = [\"cpu\"]\n[safety]\nsettle = \"0s\"\nmin_history = \"0s\"\nmin_coverage = 0";
    let policy = Policy::parse(text).unwrap();
    bench.engine.dispatch = Dispatch::new(policy, Config::default().allocate.timing(), 7, START_MS);
    bench.message(
        "foreshadow/main/a/bin/inband/birth",
        wire::encode_birth(&waiting_birth()),
    );
    // What is told again because it was not answered changes nothing.
    let changes = |command: &shadow::Command| command.changes[0].explanation.strategy != shadow::LEASE;
    let acts = |bench: &Bench| {
        let mut commands = bench.commands().into_iter();
        commands.find(|command| !command.dry_run && changes(command))
    };
    for _ in 0..20 {
        live(&mut bench, 60, 0.02);
        if acts(&bench).is_some() {
            break;
        }
    }
    let command = acts(&bench).unwrap();
    let limit = command.changes[0].target;
    let outcome = Outcome {
        command_id: command.id.clone(),
        state: OutcomeState::Applied,
        reason: String::new(),
        time_ms: bench.now_ms,
        changes: Vec::new(),
        actions: Vec::new(),
    };
    bench.message("foreshadow/main/a/bin/inband/outcome", wire::encode_outcome(&outcome));
    bench.published.clear();
    live(&mut bench, 30, 0.03);
    assert_eq!(bench.engine.figures.hurts.get(), 0);
    live(&mut bench, 60, 0.8);
    assert_eq!(bench.engine.figures.hurts.get(), 1);
    let undone = acts(&bench).unwrap();
    let change = &undone.changes[0];
    assert!(change.target > 1.2 * limit, "{change:?}");
    assert_eq!(change.explanation.clamp, "hurt");
    assert!(
        change
            .explanation
            .text
            .contains("a lowering hurt 1 time(s), last: pressure"),
        "{}",
        change.explanation.text
    );
    assert!(
        change.ceiling.is_some_and(|ceiling| ceiling > change.target),
        "{change:?}"
    );
}
