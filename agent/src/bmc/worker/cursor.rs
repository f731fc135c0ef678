//! How far the event log was told, in a file: what a BMC writes while no agent runs is told by the next.

use std::{fs, io, path::PathBuf};

use crate::bmc::sel::SelEntry;

/// An entry of the log: its id, which need not be its own for ever, and its time stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) id: u16,
    pub(super) stamp_s: Option<u32>,
}

impl Mark {
    pub(super) fn of(entry: &SelEntry) -> Self {
        Self {
            id: entry.id,
            stamp_s: entry.stamp_s,
        }
    }
}

/// The file; nothing is kept where there is none.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    path: Option<PathBuf>,
    saved: Option<Mark>,
}

impl Cursor {
    /// Reads the file, if it is there.
    pub(super) fn open(path: Option<PathBuf>) -> Self {
        let text = path.as_ref().and_then(|path| fs::read_to_string(path).ok());
        let saved = text.as_deref().and_then(parse);
        Self { path, saved }
    }

    /// The last entry that was told.
    pub(super) const fn saved(&self) -> Option<Mark> {
        self.saved
    }

    /// Keeps the last entry that was told. Called a turn later, when it is in the spool: told twice is better than not.
    pub(super) fn save(&mut self, mark: Mark) {
        let Some(path) = self.path.as_ref().filter(|_| self.saved != Some(mark)) else {
            return;
        };
        self.saved = Some(mark);
        let stamp = mark.stamp_s.map_or_else(|| "-".to_owned(), |stamp| stamp.to_string());
        let write = || -> io::Result<()> {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            let new = path.with_extension("new");
            fs::write(&new, format!("sel 1 {} {stamp}\n", mark.id))?;
            fs::rename(&new, path)
        };
        if let Err(error) = write() {
            let path = path.display();
            tracing::warn!(%path, %error, "entries of the event log may be told again after a restart, or not at all");
        }
    }
}

/// `sel 1 <id> <stamp>`, where the stamp is `-` of an entry without.
fn parse(text: &str) -> Option<Mark> {
    let fields: Vec<&str> = text.split_whitespace().collect();
    let ["sel", "1", id, stamp] = fields.as_slice() else {
        return None;
    };
    let stamp_s = match *stamp {
        "-" => None,
        stamp => Some(stamp.parse().ok()?),
    };
    Some(Mark {
        id: id.parse().ok()?,
        stamp_s,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_kept_and_nonsense_is_none() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("sel/web-1.oob");
        for stamp_s in [Some(7), None] {
            let mark = Mark { id: 65_534, stamp_s };
            let mut cursor = Cursor::open(Some(path.clone()));
            cursor.save(mark);
            assert_eq!(Cursor::open(Some(path.clone())).saved(), Some(mark));
        }
        for text in ["", "sel 2 1 1", "sel 1 65536 1", "sel 1 1 -1", "sel 1 1", "sel 1 1 1 1"] {
            assert_eq!(parse(text), None, "{text}");
        }
        Cursor::open(None).save(Mark { id: 1, stamp_s: None });
    }
}
