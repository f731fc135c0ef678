//! New entries of the system event log.

use std::{collections::HashSet, path::PathBuf};

use shadow::Severity;

use super::{
    BmcError, Worker,
    cursor::{Cursor, Mark},
};
use crate::bmc::{
    client::{self, LAST},
    events::finding,
    sdr::Sensor,
    sel::{SelEntry, SelInfo},
};

/// The most entries that are read in one turn; the rest has to wait for the next.
const MAX_ENTRIES: usize = 64;

/// Entry 0 is the first, whatever its id.
const FIRST: u16 = 0;

/// What findings about the log itself are about.
const SUBJECT: &str = "system event log";

/// How far the log has been read.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// As it was when it had been read to its end.
    info: Option<SelInfo>,
    /// Its first entry then.
    first: Option<SelEntry>,
    /// The last entry that was read.
    last: Option<SelEntry>,
    cursor: Cursor,
}

impl Log {
    /// Goes on where the file at `cursor` says.
    pub(super) fn new(cursor: Option<PathBuf>) -> Self {
        Self {
            cursor: Cursor::open(cursor),
            ..Self::default()
        }
    }
}

/// Where reading goes on.
#[derive(Debug, Clone, Copy)]
struct Place {
    id: u16,
    /// Entries that are older than this are known.
    known: Option<Mark>,
}

impl Worker {
    /// Tells entries that are new. At the first look ever all are old: the log may go back for years. At the first look
    /// of a process those are new that came after the last one that was told.
    pub(super) fn read_log(&mut self) -> Result<(), BmcError> {
        let Some(info) = self.ask_for(client::sel_info)? else {
            return Ok(());
        };
        if let Some(last) = &self.log.last {
            self.log.cursor.save(Mark::of(last));
        }
        let Some(before) = self.log.info else {
            return self.begin_log(info);
        };
        if info == before {
            return Ok(());
        }
        if info.overflow && !before.overflow {
            let text = "full: new entries are lost".to_owned();
            self.state()
                .tell([finding(SUBJECT, "sel_overflow", Severity::Warning, text)]);
        }
        let place = self.place(before, info)?;
        if self.read_entries(place)? {
            self.log.info = Some(info);
        }
        Ok(())
    }

    fn begin_log(&mut self, info: SelInfo) -> Result<(), BmcError> {
        if let Some(mark) = self.log.cursor.saved().filter(|_| info.entries > 0) {
            self.log.first = self.entry(FIRST)?.map(|(_, entry)| entry);
            let place = match self.entry(mark.id)? {
                Some((next, entry)) if Mark::of(&entry) == mark => {
                    self.log.last = Some(entry);
                    Some(Place { id: next, known: None })
                }
                // It is gone: what was written later is new. Without times nobody can tell what is.
                _ => mark.stamp_s.map(|_| Place {
                    id: FIRST,
                    known: Some(mark),
                }),
            };
            if let Some(place) = place {
                if self.read_entries(place)? {
                    self.log.info = Some(info);
                }
                return Ok(());
            }
        }
        if info.entries > 0 {
            self.log.first = self.entry(FIRST)?.map(|(_, entry)| entry);
            self.log.last = self.entry(LAST)?.map(|(_, entry)| entry);
        }
        self.log.info = Some(info);
        Ok(())
    }

    /// Behind the last entry that was read, where that is still there. It is not in a log that was cleared, and where
    /// it was deleted alone: then the first entry still stands, and what is older is known.
    fn place(&mut self, before: SelInfo, info: SelInfo) -> Result<Place, BmcError> {
        let first = Place { id: FIRST, known: None };
        let Some(last) = self.log.last.clone() else {
            return Ok(first);
        };
        match self.entry(last.id)? {
            Some((next, entry)) if entry == last => return Ok(Place { id: next, known: None }),
            _ => {}
        }
        let oldest = self.entry(FIRST)?.map(|(_, entry)| entry);
        if oldest.is_some() && oldest == self.log.first {
            return Ok(Place {
                known: Some(Mark::of(&last)),
                ..first
            });
        }
        let text = format!("cleared: {} entries before, {} now", before.entries, info.entries);
        self.state()
            .tell([finding(SUBJECT, "sel_cleared", Severity::Info, text)]);
        self.log.info = Some(SelInfo { entries: 0, ..before });
        self.log.first = oldest;
        self.log.last = None;
        Ok(first)
    }

    /// Reads on from `place`. Returns whether it came to the end.
    fn read_entries(&mut self, place: Place) -> Result<bool, BmcError> {
        let sensors = self.sensors();
        let Place { mut id, known } = place;
        // Some BMCs hand out an id twice.
        let (mut seen, mut told, mut walked) = (HashSet::new(), 0, None);
        while id != LAST && seen.insert(id) {
            if told == MAX_ENTRIES {
                return Ok(false);
            }
            let answer = self.ask_for(|transport| client::sel_entry(transport, id))?;
            let Some((next, entry)) = answer else { break };
            match entry {
                Ok(entry) if known.is_some_and(|known| is_known(&entry, known)) => walked = Some(entry),
                Ok(entry) => {
                    told += 1;
                    self.state().tell([entry.finding(&sensors)]);
                    self.log.first.get_or_insert_with(|| entry.clone());
                    self.log.last = Some(entry);
                }
                Err(fault) => tracing::warn!(id, %fault, "entry of the event log left out"),
            }
            id = next;
        }
        // What was last is no more, and nothing is newer: from now on the last that is left is.
        if let Some(left) = walked.filter(|_| told == 0) {
            self.log.last = Some(left);
        }
        Ok(true)
    }

    /// An entry that can be read, and the id of the next.
    fn entry(&mut self, id: u16) -> Result<Option<(u16, SelEntry)>, BmcError> {
        let answer = self.ask_for(|transport| client::sel_entry(transport, id))?;
        Ok(answer.and_then(|(next, entry)| Some((next, entry.ok()?))))
    }

    fn sensors(&self) -> Vec<Sensor> {
        let known = self.known.iter().flat_map(|known| &known.sensors);
        known.map(|watched| watched.sensor.clone()).collect()
    }
}

/// Whether an entry was written before the one with this mark, or is that; not where either does not tell.
fn is_known(entry: &SelEntry, mark: Mark) -> bool {
    let older = entry
        .stamp_s
        .zip(mark.stamp_s)
        .is_some_and(|(own, marked)| own < marked);
    older || Mark::of(entry) == mark
}
