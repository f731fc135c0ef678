//! Clocks that fall back, jump ahead, and were wrong before a restart.

use super::*;

#[test]
fn a_clock_that_falls_back_a_little_is_waited_for() {
    let mut bench = Bench::new();
    bench.born(EPOCH);
    bench.live(60, |_| 0.5);
    let rows = bench.cpu_series();
    bench.now_ms -= 30_000;
    bench.tick();
    assert_eq!(bench.cpu_series(), rows, "the grid does not go back");
    assert_eq!(bench.engine.figures.clock_jumps.get(), 1);
    bench.now_ms += 30_000;
    bench.live(60, |_| 0.5);
    assert_eq!(bench.cpu_series().len(), rows.len() + 6);
}

/// A jump that stood so long that it was believed, and was wrong all the same.
#[test]
fn after_a_wrong_year_the_brain_goes_on_with_the_present() {
    let mut bench = Bench::new();
    bench.born(EPOCH);
    bench.live(120, |_| 0.5);
    let before = bench.commit();
    bench.now_ms += YEAR_MS;
    bench.born_now(EPOCH + 1);
    for sequence in 0..120 {
        bench.now_ms += 1_000;
        bench.frame(EPOCH + 1, sequence, &[bench.now_ms], 0.9);
        bench.tick();
    }
    let after = bench.commit();
    assert!(
        before.rollups.keys().all(|key| !after.rollups.contains_key(key)),
        "what was durable is left as it is"
    );

    bench.now_ms -= YEAR_MS;
    bench.born_now(EPOCH + 2);
    let back_ms = bench.now_ms;
    bench.published.clear();
    for sequence in 0..300 {
        bench.now_ms += 1_000;
        bench.frame(EPOCH + 2, sequence, &[bench.now_ms], 0.25);
        bench.tick();
    }
    assert_eq!(bench.engine.figures.clock_jumps.get(), 2);
    let series = bench.cpu_series();
    assert!(series.len() >= 29, "{series:?}");
    assert!(
        series
            .iter()
            .all(|&(time_ms, cpu)| time_ms <= bench.now_ms && cpu == 0.25)
    );
    let snapshot = bench.engine.snapshot();
    let host = &snapshot.hosts[0];
    assert_eq!((host.state.as_str(), host.last_sample_ms), ("online", bench.now_ms));
    let cpu = &host.resources[Resource::Cpu.index()];
    assert_eq!(cpu.value, Some(0.25));
    assert!(
        cpu.forecasts
            .iter()
            .all(|forecast| forecast.made_ms > back_ms && forecast.made_ms <= bench.now_ms)
    );
    assert_eq!(cpu.forecasts.len(), 3);
    assert!(bench.commit().rollups.keys().any(|(_, begin_ms)| *begin_ms >= back_ms));
    assert_eq!(bench.engine.snapshot().time_ms, bench.now_ms);
    assert!(!bench.engine.changed_views().is_empty());
    let issued = bench.commands();
    assert!(
        issued
            .iter()
            .all(|command| (back_ms..=bench.now_ms).contains(&command.issued_ms)),
        "{issued:?}"
    );
}

#[test]
fn a_jump_alone_moves_no_reservation() {
    let mut bench = Bench::new();
    bench.born(EPOCH);
    bench.live(120, |_| 0.5);
    let reserved = |bench: &Bench| bench.engine.dispatch.reserved("a", "web", Resource::Cpu);
    let before = reserved(&bench);
    assert!(before.is_some());
    bench.published.clear();
    for by_ms in [YEAR_MS, -YEAR_MS] {
        bench.now_ms += by_ms;
        for _ in 0..30 {
            bench.now_ms += 1_000;
            bench.monotonic_ns += 1_000_000_000;
            bench.tick();
        }
        assert_eq!(reserved(&bench), before, "{by_ms}");
    }
    assert_eq!(bench.commands(), []);
}

/// A brain on a `store` that holds rows, frames and times of a clock that was wrong, which are newer than all others, is
/// restarted and hears its host. Each kind of store is tried so.
pub(crate) async fn a_wrong_year_is_over(mut store: impl Store) {
    let mut bench = Bench::new();
    for (epoch, by_ms) in [(EPOCH, 0), (EPOCH + 1, YEAR_MS), (EPOCH + 2, -YEAR_MS)] {
        bench.now_ms += by_ms;
        bench.born_now(epoch);
        seconds(&mut bench, epoch, 0..60);
        store.write(&bench.commit()).await.unwrap();
    }

    let mut again = Bench::with(Config::default(), bench.now_ms + 5_000);
    again.engine.restore(store.recover(EVERYTHING).await.unwrap(), 0);
    let told_ms = again.engine.snapshot().hosts[0].last_sample_ms;
    assert!(told_ms <= again.now_ms, "{told_ms} is not yet");
    seconds(&mut again, EPOCH + 2, 60..61);
    let host = &again.engine.snapshot().hosts[0];
    assert_eq!((host.state.as_str(), host.last_sample_ms), ("online", again.now_ms));
    assert_eq!(host.resources[Resource::Cpu.index()].value, Some(0.5));

    // What is written by the right clock is durable beside what was written by the wrong one.
    seconds(&mut again, EPOCH + 2, 61..90);
    store.write(&again.commit()).await.unwrap();
    let back = store.recover(EVERYTHING).await.unwrap();
    let rows = back.rollups["a"].iter().filter(|row| row.mean[0] == 0.5);
    let (wrong, right): (Vec<i64>, Vec<i64>) = rows
        .map(|row| row.begin_ms)
        .partition(|&ms| ms > START_MS + YEAR_MS / 2);
    assert!(wrong.len() >= 5 && right.len() >= 13, "{wrong:?} {right:?}");
    let durable = back
        .watermarks
        .into_iter()
        .map(|((_, epoch), durable)| (epoch, durable));
    let below = |end| crate::ingest::RangeSet::from_ranges(std::iter::once(0..end));
    assert_eq!(
        durable.collect::<Vec<_>>(),
        [(EPOCH, below(60)), (EPOCH + 1, below(60)), (EPOCH + 2, below(90))]
    );
}

/// A frame each second.
fn seconds(bench: &mut Bench, epoch: u64, sequences: std::ops::Range<u64>) {
    for sequence in sequences {
        bench.now_ms += 1_000;
        bench.frame(epoch, sequence, &[bench.now_ms], 0.5);
        bench.tick();
    }
}
