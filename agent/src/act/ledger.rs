//! What stood there before it was changed, in a file that outlives the process and the machine's start.
//!
//! An entry is durable before its first write, and goes after what stood there before stands there again. Several
//! commands on one subject keep the first old value. The file: a line `foreshadow-ledger 1 CRC`, and JSON.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};
use trust::files;

use crate::spool::crc::crc32c;

/// The first words of the file, with the version of what follows.
const HEADER: &str = "foreshadow-ledger 1";

/// One thing that was changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Knob {
    /// The lever's name.
    pub(crate) lever: String,
    /// Where, in the lever's words.
    pub(crate) subject: String,
}

/// What is known of a knob that is changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// What stood there before the first of our changes.
    pub(crate) before: String,
    /// What may stand there by us: what stood there, what was written, and what the reflex may have written since.
    pub(crate) ours: Vec<String>,
    /// Which start of the machine it was written in.
    pub(crate) boot: String,
    /// By which command.
    pub(crate) command: String,
}

/// What a knob is about to get.
#[derive(Debug, Clone)]
pub(crate) struct Intent {
    pub(crate) knob: Knob,
    /// What stands there now.
    pub(crate) now: String,
    /// What is written, and what may be written behind it without asking the ledger again.
    pub(crate) texts: Vec<String>,
}

/// The entries of one host and vantage. Copies are of the same file: each lane of the levers has one.
#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    book: Arc<Mutex<Book>>,
}

#[derive(Debug)]
struct Book {
    path: PathBuf,
    boot: String,
    entries: BTreeMap<Knob, Entry>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    knob: Knob,
    #[serde(flatten)]
    entry: Entry,
}

impl Ledger {
    /// Reads the file at `path`, where there is one. `boot` names this start of the machine.
    ///
    /// # Errors
    /// In words, when it cannot be read or is damaged: what was there before is not known then, and nothing may be
    /// changed.
    pub(crate) fn open(path: PathBuf, boot: &str) -> Result<Self, String> {
        let entries = read(&path)?;
        let boot = boot.to_owned();
        let book = Arc::new(Mutex::new(Book { path, boot, entries }));
        Ok(Self { book })
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes durable what each knob is about to get.
    ///
    /// # Errors
    /// In words; nothing is to be written then.
    pub(crate) fn begin(&self, command: &str, turns: &[Intent]) -> Result<(), String> {
        let mut book = self.book();
        let old = book.entries.clone();
        for turn in turns {
            book.intend(command, turn);
        }
        book.store().inspect_err(|_| book.entries = old)
    }

    /// What stood there before stands there again, or is nobody's business any more.
    ///
    /// # Errors
    /// In words. It is looked at again after a restart then, which does no harm.
    pub(crate) fn end(&self, knobs: &[Knob]) -> Result<(), String> {
        if knobs.is_empty() {
            return Ok(());
        }
        let mut book = self.book();
        for knob in knobs {
            book.entries.remove(knob);
        }
        book.store()
    }

    /// What is known of `knob`.
    pub(crate) fn get(&self, knob: &Knob) -> Option<Entry> {
        self.book().entries.get(knob).cloned()
    }

    /// Everything that is changed.
    pub(crate) fn knobs(&self) -> Vec<Knob> {
        self.book().entries.keys().cloned().collect()
    }

    /// Whether `entry` was written before the machine was started anew.
    pub(crate) fn is_of_another_boot(&self, entry: &Entry) -> bool {
        entry.boot != self.book().boot
    }
}

impl Book {
    fn intend(&mut self, command: &str, Intent { knob, now, texts }: &Intent) {
        let entry = self.entries.entry(knob.clone()).or_insert_with(|| Entry {
            before: now.clone(),
            ours: Vec::new(),
            boot: String::new(),
            command: String::new(),
        });
        // What stands there now is ours until the write, or else somebody else's, who wants it back.
        if entry.ours.contains(now) {
            entry.ours = vec![now.clone()];
        } else {
            entry.ours.clear();
            entry.before.clone_from(now);
        }
        for text in texts {
            if !entry.ours.contains(text) {
                entry.ours.push(text.clone());
            }
        }
        entry.boot.clone_from(&self.boot);
        command.clone_into(&mut entry.command);
    }

    fn store(&self) -> Result<(), String> {
        let lines: Vec<Line> = self
            .entries
            .iter()
            .map(|(knob, entry)| Line {
                knob: knob.clone(),
                entry: entry.clone(),
            })
            .collect();
        let body = serde_json::to_string(&lines).map_err(|fault| fault.to_string())?;
        let text = format!("{HEADER} {:08x}\n{body}\n", crc32c(body.as_bytes()));
        let written = self.path.parent().map_or(Ok(()), files::folder);
        let written = written.and_then(|()| files::replace(&self.path, text.as_bytes()));
        written.map_err(|fault| format!("what stood there before cannot be kept: {fault}"))
    }
}

fn read(path: &Path) -> Result<BTreeMap<Knob, Entry>, String> {
    let text = match fs::read_to_string(path) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        read => read.map_err(|fault| format!("{}: {fault}", path.display()))?,
    };
    parse(&text).ok_or_else(|| {
        let path = path.display();
        format!("{path} is damaged: what stood where this agent has written is not known; put the limits right, then delete it")
    })
}

fn parse(text: &str) -> Option<BTreeMap<Knob, Entry>> {
    let (head, body) = text.split_once('\n')?;
    let body = body.strip_suffix('\n')?;
    let crc = u32::from_str_radix(head.strip_prefix(HEADER)?.strip_prefix(' ')?, 16).ok()?;
    if crc != crc32c(body.as_bytes()) {
        return None;
    }
    let lines: Vec<Line> = serde_json::from_str(body).ok()?;
    Some(lines.into_iter().map(|line| (line.knob, line.entry)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn knob(subject: &str) -> Knob {
        Knob {
            lever: "cpu.max".to_owned(),
            subject: subject.to_owned(),
        }
    }

    fn turn(subject: &str, now: &str, text: &str) -> Intent {
        Intent {
            knob: knob(subject),
            now: now.to_owned(),
            texts: vec![text.to_owned()],
        }
    }

    #[test]
    fn the_first_old_value_and_the_last_two_of_ours_outlive_the_process() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("ledger/web-1.inband");
        let ledger = Ledger::open(path.clone(), "boot-1").unwrap();
        ledger
            .begin("c1", &[turn("web", "max 100000", "1 1"), turn("db", "5 5", "2 2")])
            .unwrap();
        ledger.begin("c2", &[turn("web", "1 1", "3 3")]).unwrap();
        ledger.begin("c3", &[turn("web", "3 3", "4 4")]).unwrap();
        let ledger = Ledger::open(path.clone(), "boot-2").unwrap();
        assert_eq!(ledger.knobs(), [knob("db"), knob("web")]);
        let web = ledger.get(&knob("web")).unwrap();
        assert_eq!(
            (&*web.before, &web.ours[..], &*web.command),
            ("max 100000", &["3 3".to_owned(), "4 4".to_owned()][..], "c3")
        );
        assert!(ledger.is_of_another_boot(&web));
        let ledger = Ledger::open(path.clone(), "boot-1").unwrap();
        assert!(!ledger.is_of_another_boot(&ledger.get(&knob("web")).unwrap()));
        ledger.end(&[knob("web")]).unwrap();
        ledger.begin("c4", &[turn("db", "7 7", "8 8")]).unwrap();
        let ledger = Ledger::open(path, "boot-1").unwrap();
        assert_eq!(ledger.knobs(), [knob("db")]);
        let db = ledger.get(&knob("db")).unwrap();
        assert_eq!(
            (&*db.before, &db.ours[..]),
            ("7 7", &["8 8".to_owned()][..]),
            "somebody else's since"
        );
    }

    #[test]
    fn a_damaged_file_is_an_error() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("ledger");
        let ledger = Ledger::open(path.clone(), "b").unwrap();
        ledger.begin("c", &[turn("web", "max", "1")]).unwrap();
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&path, &bad).unwrap();
            let fault = Ledger::open(path.clone(), "b").unwrap_err();
            assert!(fault.contains("is damaged") || fault.contains("UTF-8"), "{at}: {fault}");
            fs::write(&path, &good[..at]).unwrap();
            assert!(Ledger::open(path.clone(), "b").is_err(), "cut at {at}");
        }
        fs::write(&path, &good).unwrap();
        assert_eq!(Ledger::open(path, "b").unwrap().knobs().len(), 1);
    }

    #[test]
    fn what_cannot_be_kept_is_not_begun() {
        let ledger = Ledger::open("/proc/none/ledger".into(), "b").unwrap();
        let fault = ledger.begin("c", &[turn("web", "max", "1")]).unwrap_err();
        assert!(fault.contains("cannot be kept"), "{fault}");
        assert!(ledger.knobs().is_empty());
    }
}
