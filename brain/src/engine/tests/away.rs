//! A store that takes nothing for hours, and then all of it.

use super::*;
use crate::store::sqlite::testing::count;

/// A brain whose store is away, the agent that it hears, and what was made meanwhile.
struct Away {
    bench: Bench,
    /// What the agent holds: sequences, and times of the samples.
    spool: Vec<(u64, [i64; 2])>,
    /// Ids of commands, times of plans, and begins of incidents.
    commands: BTreeSet<String>,
    plans: BTreeSet<i64>,
    incidents: BTreeSet<i64>,
}

impl Away {
    fn new() -> Self {
        let mut config = Config::default();
        config.store.buffer_bytes = 1 << 20;
        config.allocate.every = runtime::Span::from_secs(10);
        config.anomaly.quiet = runtime::Span::from_secs(60);
        let timing = config.allocate.timing();
        let mut bench = Bench::with(config, START_MS);
        let eager = "[safety]\nsettle = \"0s\"\nmin_history = \"0s\"\nmin_coverage = 0";
        bench.engine.dispatch = Dispatch::new(Policy::parse(eager).unwrap(), timing, 7, START_MS);
        bench.born(EPOCH);
        Self {
            bench,
            spool: Vec::new(),
            commands: BTreeSet::new(),
            plans: BTreeSet::new(),
            incidents: BTreeSet::new(),
        }
    }

    /// So many turns of five seconds: the agent tells a frame in each, an event in each hundredth, and answers commands at
    /// length.
    fn live(&mut self, turns: u64) {
        for turn in 1..=turns {
            let bench = &mut self.bench;
            bench.now_ms += 5_000;
            bench.monotonic_ns += 5_000_000_000;
            let times = [bench.now_ms - 2_500, bench.now_ms];
            self.spool.push((bench.sequence, times));
            bench.frame(EPOCH, bench.sequence, &times, cpu(bench.sequence));
            bench.sequence += 1;
            if turn % 100 == 0 {
                let mut event = crate::testing::event(EPOCH, bench.sequence, bench.now_ms);
                event.finding.severity = shadow::Severity::Critical;
                bench.message("foreshadow/main/a/bin/inband/event", wire::encode_event(&event));
                bench.sequence += 1;
            }
            bench.tick();
            self.answer();
            let snapshot = self.bench.engine.snapshot();
            self.plans.extend(snapshot.plan.iter().map(|plan| plan.time_ms));
            self.incidents
                .extend(snapshot.incidents.iter().map(|told| told.since_ms));
        }
    }

    fn answer(&mut self) {
        for command in self.bench.commands() {
            let outcome = Outcome {
                command_id: command.id.clone(),
                state: OutcomeState::DryRun,
                reason: "as long as it may be: ".repeat(180),
                time_ms: self.bench.now_ms,
                changes: Vec::new(),
                actions: Vec::new(),
            };
            self.bench
                .message("foreshadow/main/a/bin/inband/outcome", wire::encode_outcome(&outcome));
            self.commands.insert(command.id);
        }
        self.bench.published.clear();
    }

    /// The store takes what it is given.
    async fn write(&mut self, store: &mut Sqlite, batch: Batch) {
        store.write(&batch).await.unwrap();
        self.bench.handle(Event::Flushed(Flushed::Written(batch.into())));
    }
}

/// Ever higher, so that reservations move.
fn cpu(sequence: u64) -> f64 {
    0.05 + 0.9 * (sequence as f64 / 1_000.0).min(1.0)
}

#[tokio::test]
async fn a_store_that_is_away_for_hours_has_all_in_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Sqlite::open(folder.path()).await.unwrap();
    let mut away = Away::new();
    away.live(10);
    // The first batch is refused again and again; what comes behind it waits.
    let refused = away.bench.engine.seal();
    away.live(3_000);
    let engine = &away.bench.engine;
    let (most, waits) = (engine.config.store.buffer_bytes, engine.buffered_bytes());
    assert!(!engine.has_room() && waits <= most, "{waits} bytes wait");
    let taken = engine.ingested();
    assert!(taken < 2_900, "{taken} frames: the others stay with their agent");
    let mut rest = engine.batch.clone();
    (rest.forecasts, rest.workload_forecasts) = (Vec::new(), Vec::new());
    let rest = records::weight(&rest);
    assert!(2 * rest > most, "{rest} bytes that no agent has");
    let (commands, incidents) = (away.commands.len(), away.incidents.len());
    assert!(
        commands > 20 && incidents > 2,
        "{commands} commands, {incidents} incidents"
    );

    away.write(&mut store, refused).await;
    let waited = away.bench.engine.seal();
    away.write(&mut store, waited).await;
    assert!(away.bench.engine.has_room(), "all is as before");
    for (sequence, times) in std::mem::take(&mut away.spool) {
        away.bench.frame(EPOCH, sequence, &times, cpu(sequence));
    }
    away.live(10);
    let last = away.bench.engine.seal();
    away.write(&mut store, last).await;

    let mut count = async |what| count(&mut store, what).await;
    assert_eq!(count("SELECT count(*) FROM commands").await, away.commands.len());
    assert_eq!(count("SELECT count(*) FROM outcomes").await, away.commands.len());
    assert_eq!(count("SELECT count(*) FROM plans").await, away.plans.len());
    assert_eq!(count("SELECT count(*) FROM incidents").await, away.incidents.len());
    // Of the newest seconds no row is over.
    for (table, least) in [
        ("SELECT count(*) FROM rollup_10s WHERE coverage > 0.9", 3_020 / 2 - 6),
        ("SELECT count(*) FROM rollup_1m WHERE coverage > 0.9", 3_020 / 12 - 3),
    ] {
        let rows = count(table).await;
        assert!(rows >= least, "{table}: {rows} of {least}");
    }
    let dropped = |kind| away.bench.engine.figures.records_dropped.with(kind).get();
    assert!(dropped("forecasts") > 0 && count("SELECT count(*) FROM forecasts").await > 0);
}
