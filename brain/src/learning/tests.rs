use std::{fs, ops::ControlFlow};

use super::*;

/// What is left of `versions`, in order of their names.
fn left_of(versions: &[&str], needed: &[&str]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    for version in versions {
        let path = folder.path().join(version);
        // Older ones are folders.
        if version.starts_with(['1', '5']) {
            fs::create_dir(path).unwrap();
        } else {
            fs::write(path, "").unwrap();
        }
    }
    job::remove_old(folder.path(), needed).unwrap();
    let names = fs::read_dir(folder.path()).unwrap();
    let mut left: Vec<String> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    left
}

#[test]
fn the_newest_artifacts_are_kept() {
    let versions = ["100-a", "200-b", "300-c", "400-d", "500-e", "600-f"];
    assert_eq!(
        left_of(&versions, &["600-f", "500-e"]),
        ["200-b", "300-c", "400-d", "500-e", "600-f"]
    );
}

#[test]
fn after_a_clock_was_set_back_the_model_just_saved_and_the_one_before_stay() {
    let versions = ["600-a", "700-b", "800-c", "900-d", "950-e", "100-new", "50-served"];
    assert_eq!(
        left_of(&versions, &["100-new", "50-served"]),
        ["100-new", "50-served", "800-c", "900-d", "950-e"]
    );
}

#[test]
fn what_is_no_artifact_is_left_alone() {
    let versions = ["100-a", "200-b", "300-c", "400-d", "500-e", "600-f", "notes", "x-1"];
    let left = left_of(&versions, &["600-f", ""]);
    assert!(
        left.contains(&"notes".to_owned()) && left.contains(&"x-1".to_owned()),
        "{left:?}"
    );
}

/// A host at 60 s rows whose jobs come every 20 minutes and last 7.
fn cycle() -> History {
    let row = |row: usize| {
        let busy = if row % 20 < 7 { 0.8 } else { 0.1 };
        [busy, 0.4, 1e6, 2e5, 0.0, busy * 5e7, f32::NAN]
    };
    History {
        host: "a".to_owned(),
        rows: (0..700).map(row).collect(),
        ..History::default()
    }
}

#[test]
fn a_model_that_is_worse_does_not_take_the_place_of_the_one_in_service() {
    let mut config = forecast::Config::for_step(60);
    let training = &mut config.training;
    (training.hidden, training.dense, training.batch, training.max_steps) = (8, 32, 64, 200);
    (training.passes, training.learning_rate) = (50, 1e-2);
    let good = forecast::train(&[cycle()], &config, None, &|_| ControlFlow::Continue(())).unwrap();
    // Of another size, it begins anew, and has two steps.
    (config.training.hidden, config.training.max_steps) = (9, 2);
    let folder = tempfile::tempdir().unwrap();
    let (tell, mut trained) = mpsc::channel(1);
    let mut learning = Learning::new(config, true, folder.path().to_owned(), tell);
    learning.previous = Some(Arc::new(good));
    learning.start(0, |_| vec![cycle()]);
    assert!(learning.finish(trained.blocking_recv().unwrap()).is_none());
    let view = learning.view();
    assert_eq!(view.state, "serving");
    assert!(view.note.contains("the one in service stays"), "{}", view.note);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is saved");
}

#[test]
fn drift_brings_a_training_forward_but_not_within_an_hour_of_the_last() {
    let config = forecast::Config::for_step(60);
    let (tell, _trained) = mpsc::channel(1);
    let mut learning = Learning::new(config.clone(), true, PathBuf::new(), tell);
    let drift = |asks| DriftView {
        resource: shadow::Resource::Cpu,
        why: "it loses more",
        score: 1.0,
        asks,
    };
    assert!(
        !learning.is_due(100, Some(&drift(true))),
        "there is no network that could drift"
    );
    let mut quick = config;
    (quick.training.hidden, quick.training.dense, quick.training.max_steps) = (4, 8, 5);
    learning.previous = Some(Arc::new(
        forecast::train(&[cycle()], &quick, None, &|_| ControlFlow::Continue(())).unwrap(),
    ));
    learning.rows_at_last = Some(10_000);
    assert!(!learning.is_due(10_059, Some(&drift(true))));
    assert!(!learning.is_due(10_060, Some(&drift(false))) && learning.asked().is_none());
    assert!(!learning.is_due(10_060, None));
    assert!(learning.is_due(10_060, Some(&drift(true))));
    assert_eq!(learning.asked(), Some("of cpu it loses more"));
    assert!(learning.is_due(11_440, None), "daily as ever");
    assert_eq!(learning.asked(), None);
}
