use shadow::Resource;

use super::*;
use crate::synthetic::{cycle, quick};

fn histories() -> [History; 2] {
    [cycle("a", 700, 1), cycle("b", 500, 2)]
}

const GO: Watch<'static> = &|_| ControlFlow::Continue(());

fn trained(config: &Config, previous: Option<&Artifact>) -> Artifact {
    train(&histories(), config, previous, GO).unwrap()
}

#[test]
fn a_cycle_is_learnt_and_beats_the_baselines_on_held_out_rows() {
    let artifact = trained(&quick(), None);
    for row in &artifact.scores().rows {
        let scores = row.with_lstm.unwrap();
        let (lstm, last, ewma) = (scores.lstm.unwrap(), scores.last, scores.ewma);
        if matches!(row.target.resource, Resource::Cpu | Resource::Disk) {
            assert!(lstm.pinball < 0.5 * last.pinball.min(ewma.pinball), "{row:?}");
            assert!(lstm.mae < 0.5 * last.mae.min(ewma.mae), "{row:?}");
        }
    }
    let forecast: Vec<&str> = artifact.targets().map(crate::Target::name).collect();
    assert_eq!(forecast, ["cpu", "mem", "network", "disk"], "power was never measured");
}

#[test]
fn the_same_seed_gives_the_same_weights_whatever_the_threads() {
    let mut config = quick();
    config.training.max_steps = 20;
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| train_here(&histories(), &config, None, GO)).unwrap()
    };
    let (one, two) = (on(1), on(2));
    assert_eq!((one.version(), one.scores()), (two.version(), two.scores()));
    config.training.seed = 2;
    assert_ne!(trained(&config, None).version(), one.version());
}

#[test]
fn a_network_that_is_worse_on_the_newest_rows_is_told_from_a_better_one() {
    let good = trained(&quick(), None);
    let mut config = quick();
    config.training.max_steps = 2;
    let poor = trained(&config, None);
    let excess = |one: &Artifact, other: &Artifact| super::excess(one, other, &histories(), GO).unwrap();
    assert!(excess(&poor, &good) > 0.5, "{}", excess(&poor, &good));
    assert!(excess(&good, &poor) < -0.3, "{}", excess(&good, &poor));
    assert!(excess(&good, &good).abs() < 1e-9);
    config.horizons_s = vec![1_200];
    assert_eq!(
        super::excess(&trained(&config, None), &good, &histories(), GO),
        None,
        "of other horizons"
    );
}

#[test]
fn a_warm_start_needs_half_the_steps_and_is_not_worse() {
    let mut config = quick();
    let first = trained(&config, None);
    config.training.seed = 3;
    let second = trained(&config, Some(&first));
    assert_eq!(second.steps(), first.steps() / 2);
    let pinball = |artifact: &Artifact| artifact.scores().rows[0].with_lstm.unwrap().lstm.unwrap().pinball;
    assert!(
        pinball(&second) < 1.1 * pinball(&first),
        "{} {}",
        pinball(&second),
        pinball(&first)
    );
    config.training.hidden = 9;
    assert_eq!(
        trained(&config, Some(&first)).steps(),
        first.steps(),
        "another shape starts anew"
    );
}

#[test]
fn too_little_history_and_a_stop_are_told() {
    let few = train(&[cycle("a", 150, 1)], &quick(), None, GO).unwrap_err();
    assert!(
        matches!(few, TrainError::TooFew { samples: 70, .. }) && few.is_transient(),
        "{few}"
    );
    assert!(matches!(
        train(&[], &quick(), None, GO),
        Err(TrainError::TooFew { samples: 0, .. })
    ));
    let stopped = train(&histories(), &quick(), None, &|_| ControlFlow::Break(())).unwrap_err();
    assert!(matches!(stopped, TrainError::Stopped { steps: 0 }), "{stopped}");
    let wrong = Config { step_s: 0, ..quick() };
    assert!(matches!(
        train(&histories(), &wrong, None, GO),
        Err(TrainError::Config(_))
    ));
}

#[test]
fn gaps_do_not_poison_the_weights() {
    let mut histories = histories();
    for (row, values) in histories[0].rows.iter_mut().enumerate() {
        if row % 5 == 0 {
            *values = [f32::NAN; 7];
        }
    }
    let artifact = train(&histories, &quick(), None, GO).unwrap();
    let scores = artifact.scores().rows[0].with_lstm.unwrap();
    assert!(scores.lstm.unwrap().pinball < scores.last.pinball, "{scores:?}");
}
