use std::sync::Arc;

use super::*;
use crate::message::Message;

fn retained(topic: &str, payload: &'static str) -> Change {
    Change::Retained(Arc::new(Message {
        topic: topic.into(),
        payload: payload.into(),
        ..Message::default()
    }))
}

fn session(session: u64) -> Change {
    Change::Session {
        session,
        id: "c".into(),
        expiry_s: 9,
    }
}

/// Topics and sessions that come back.
fn restored(path: &Path) -> (Vec<String>, usize) {
    let restored = Folder::open(path).unwrap().recover().unwrap();
    let mut topics: Vec<_> = restored.retained.keys().map(ToString::to_string).collect();
    topics.sort();
    (topics, restored.sessions.len())
}

fn logs(path: &Path) -> Vec<String> {
    let names = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    names.retain(|name| name != "lock");
    names.sort();
    names
}

fn fill(path: &Path) -> Folder {
    let mut folder = Folder::open(path).unwrap();
    folder.recover().unwrap();
    folder
        .append(&[
            Change::Begin,
            retained("a", "1"),
            session(3),
            Change::Complete,
            retained("b", "2"),
        ])
        .unwrap();
    folder
}

#[test]
fn what_was_appended_comes_back_and_old_files_go() {
    let temp = tempfile::tempdir().unwrap();
    let mut folder = fill(temp.path());
    assert_eq!(logs(temp.path()), ["0000000000000001.log"]);
    folder
        .append(&[retained("a", ""), Change::Begin, retained("c", "3"), Change::Complete])
        .unwrap();
    assert_eq!(logs(temp.path()), ["0000000000000002.log"]);
    assert!(Folder::open(temp.path()).is_err(), "one broker at a time");
    drop(folder);
    assert_eq!(restored(temp.path()), (vec!["c".to_owned()], 0));
}

#[test]
fn a_successor_that_is_not_complete_does_not_count() {
    let temp = tempfile::tempdir().unwrap();
    let mut folder = fill(temp.path());
    folder.append(&[Change::Begin, retained("z", "3")]).unwrap();
    drop(folder);
    assert_eq!(restored(temp.path()), (vec!["a".to_owned(), "b".to_owned()], 1));
}

#[test]
fn a_torn_end_is_cut_off() {
    let temp = tempfile::tempdir().unwrap();
    drop(fill(temp.path()));
    let file = temp.path().join("0000000000000001.log");
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() - 3]).unwrap();
    assert_eq!(restored(temp.path()), (vec!["a".to_owned()], 1));
}

#[test]
fn damage_is_set_aside_and_ends_sessions() {
    let temp = tempfile::tempdir().unwrap();
    drop(fill(temp.path()));
    let file = temp.path().join("0000000000000001.log");
    let mut bytes = fs::read(&file).unwrap();
    bytes[HEADER.len() + 30] ^= 1;
    fs::write(&file, &bytes).unwrap();
    assert_eq!(restored(temp.path()), (vec!["b".to_owned()], 0));
    assert_eq!(logs(temp.path()), ["0000000000000001.damaged", "0000000000000001.log"]);
    fs::write(&file, b"something else").unwrap();
    assert_eq!(restored(temp.path()), (vec![], 0));
}

#[test]
fn a_writer_that_panics_has_failed() {
    let fault = whole(|| panic!("a writer that panics")).unwrap_err();
    assert!(fault.to_string().contains("panicked"), "{fault}");
    assert!(whole(|| Ok(())).is_ok());
}
