use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use super::*;

fn entry(n: i64) -> Entry {
    Entry::new(1_000 + n, What::Key, "issued", format!("web-{n}")).with("serial", n)
}

fn written(folder: &Path, lines: i64) -> PathBuf {
    let path = folder.join("audit.jsonl");
    let mut log = Log::open(&path).unwrap();
    (0..lines).for_each(|n| log.append(&entry(n)).unwrap());
    log.sync().unwrap();
    path
}

fn broken_at(path: &Path) -> (String, u64) {
    match verify(path).unwrap_err() {
        Broken::Chain { path, line, .. } => (path.file_name().unwrap().to_string_lossy().into_owned(), line),
        other @ Broken::File(_) => panic!("{other}"),
    }
}

#[test]
fn a_log_goes_on_where_it_ended() {
    let home = tempfile::tempdir().unwrap();
    let path = written(home.path(), 3);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    written(home.path(), 2);
    let report = verify(&path).unwrap();
    assert_eq!((report.files, report.lines, report.first, report.lost), (1, 6, 0, 0));
    assert_eq!((report.last_ms, report.torn), (1_001, false));
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.lines().next().unwrap().contains(r#""kind":"begin""#), "{text}");
    assert!(
        text.ends_with('\n') && text.contains(r#""who":"web-1","details":{"serial":"1"}"#),
        "{text}"
    );
}

#[test]
fn one_process_writes() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("a");
    let _log = Log::open(&path).unwrap();
    let error = Log::open(&path).unwrap_err().to_string();
    assert!(error.contains("another process"), "{error}");
}

#[test]
fn whatever_is_changed_is_found_where_it_was() {
    let home = tempfile::tempdir().unwrap();
    let path = written(home.path(), 6);
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let check = |lines: &[&str], at: u64| {
        fs::write(&path, lines.concat()).unwrap();
        assert_eq!(broken_at(&path).1, at, "{}", lines.concat());
    };
    let changed = lines[3].replace("web-2", "web-9");
    check(&[&lines[..3], &[&changed], &lines[4..]].concat(), 5);
    check(&[&lines[..3], &lines[4..]].concat(), 4);
    check(&[&lines[..3], &lines[2..]].concat(), 4);
    check(&[lines[0], lines[2], lines[1]], 2);
    check(&lines[1..], 1);
    check(&[lines[0], "half\n", lines[1]], 2);
    // Each bit of a line in the middle.
    for at in 0..lines[2].len() - 1 {
        let mut bytes = text.clone().into_bytes();
        bytes[lines[0].len() + lines[1].len() + at] ^= 1;
        fs::write(&path, bytes).unwrap();
        assert!((2..=4).contains(&broken_at(&path).1), "byte {at}");
    }
    // The end cut off is what a chain cannot show; the last digest does.
    fs::write(&path, &text).unwrap();
    let last = verify(&path).unwrap().last;
    fs::write(&path, lines[..5].concat()).unwrap();
    assert_ne!(verify(&path).unwrap().last, last);
}

#[test]
fn half_a_line_goes_and_is_told() {
    let home = tempfile::tempdir().unwrap();
    let path = written(home.path(), 3);
    let text = fs::read_to_string(&path).unwrap();
    for cut in 1..40 {
        fs::write(&path, &text[..text.len() - cut]).unwrap();
        assert!(verify(&path).unwrap().torn);
        Log::open(&path).unwrap().append(&entry(9)).unwrap();
        assert!(!verify(&path).unwrap().torn);
        let told = fs::read_to_string(&path).unwrap();
        assert!(told.contains(r#""kind":"torn""#) && told.ends_with('\n'), "{told}");
        assert!(
            told.starts_with("{\"n\":0") && told.contains(r#""kind":"begin""#),
            "{told}"
        );
        // A process that ended before it had told it does so again.
        fs::write(&path, &text[..text.len() - cut]).unwrap();
        drop(Log::open(&path).unwrap());
        assert_eq!(verify(&path).unwrap().lines, 3);
    }
}

#[test]
fn full_files_hang_together_and_the_oldest_goes() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("audit.jsonl");
    let keep = Keep {
        file_bytes: 1_000,
        files: 3,
    };
    let mut log = Log::keeping(&path, keep).unwrap();
    for n in 0..12 {
        log.append(&entry(n)).unwrap();
    }
    let whole = verify(&path).unwrap();
    assert_eq!((whole.first, whole.files > 1), (0, true));
    for n in 12..100 {
        log.append(&entry(n)).unwrap();
    }
    drop(log);
    let report = verify(&path).unwrap();
    assert_eq!(report.files, 4);
    assert!(report.first > 0);
    let all = fs::read_dir(home.path()).unwrap();
    let bytes: u64 = all.map(|file| file.unwrap().metadata().unwrap().len()).sum();
    assert!(bytes < 4 * 1_500, "{bytes}");

    // Ended between two files: the chain goes on in the next.
    let (number, full) = log::full_files(&path).pop().unwrap();
    fs::rename(&path, home.path().join(format!("audit.jsonl.{}", number + 1))).unwrap();
    Log::keeping(&path, keep).unwrap().append(&entry(100)).unwrap();
    let report = verify(&path).unwrap();
    assert_eq!((report.files, report.last_ms), (5, 1_100));
    // A full file that is gone from the middle, or changed.
    let text = fs::read_to_string(&full).unwrap();
    fs::write(&full, text.replace("issued", "iss?ed")).unwrap();
    assert!(verify(&path).is_err());
    fs::remove_file(&full).unwrap();
    assert_eq!(broken_at(&path), (format!("audit.jsonl.{}", number + 1), 1));
}

#[test]
fn long_entries_are_cut_and_the_line_stays_readable() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("a");
    let mut long = Entry::new(1, What::Refusal, "ü".repeat(2_000), "\u{1}".repeat(2_000));
    (0..50).for_each(|n| drop(long.details.insert(format!("{n}"), "\u{1}".repeat(100))));
    Log::open(&path).unwrap().append(&long).unwrap();
    assert_eq!(verify(&path).unwrap().lines, 2);
}

#[test]
fn what_the_queue_cannot_take_is_told_as_lost() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("a");
    let audit = Arc::new(Audit::start(&path, Keep::default()).unwrap());
    // Eight threads are faster than a disk that is waited for.
    let writers: Vec<_> = (0..8)
        .map(|_| {
            let audit = Arc::clone(&audit);
            thread::spawn(move || (0..5_000).for_each(|n| audit.record(entry(n))))
        })
        .collect();
    for writer in writers {
        writer.join().unwrap();
    }
    audit.record(entry(0));
    while !fs::read_to_string(&path)
        .unwrap_or_default()
        .contains("\"kind\":\"lost\"")
    {
        thread::yield_now();
        audit.record(entry(0));
    }
    drop(audit);
    let report = verify(&path).unwrap();
    assert!(report.lost > 0 && report.lines > 4_000, "{report:?}");
}

#[test]
fn what_was_recorded_is_durable_after_a_flush() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let audit = Audit::start(&path, Keep::default()).unwrap();
    audit.flush();
    for round in 1..=3 {
        (0..300).for_each(|n| audit.record(entry(n)));
        audit.flush();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.matches("\"issued\"").count(), 300 * round);
    }
}
