use super::*;

/// What is left of `versions`, in order of their names.
fn left_of(versions: &[&str], needed: &[&str]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    for version in versions {
        fs::create_dir(folder.path().join(version)).unwrap();
    }
    remove_old(folder.path(), needed).unwrap();
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
