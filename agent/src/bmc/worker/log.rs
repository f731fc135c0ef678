//! New entries of the system event log.

use std::collections::HashSet;

use shadow::Severity;

use super::{BmcError, Worker};
use crate::bmc::{
    client::{self, LAST},
    events::finding,
    sdr::Sensor,
    sel::SelInfo,
};

/// The most entries that are read in one turn; the rest has to wait for the next.
const MAX_ENTRIES: usize = 64;

/// How far the log has been read.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// As it was when it had been read to its end.
    info: Option<SelInfo>,
    /// The last entry that was read; `None` before the first.
    last: Option<u16>,
}

impl Worker {
    /// Tells entries that are new. At the first look all are old: the log may go back for years.
    pub(super) fn read_log(&mut self) -> Result<(), BmcError> {
        let Some(info) = self.ask_for(client::sel_info)? else {
            return Ok(());
        };
        let Some(before) = self.log.info else {
            return self.begin_log(info);
        };
        if info == before {
            return Ok(());
        }
        if info.erased_s != before.erased_s || info.entries < before.entries {
            self.log.last = None;
            let text = format!("cleared: {} entries before, {} now", before.entries, info.entries);
            self.state()
                .tell([finding("system event log", "sel_cleared", Severity::Info, text)]);
            // What was in it is gone; a turn that fails from here on does not tell it again.
            self.log.info = Some(SelInfo { entries: 0, ..info });
        }
        if info.overflow && !before.overflow {
            let text = "full: new entries are lost".to_owned();
            self.state()
                .tell([finding("system event log", "sel_overflow", Severity::Warning, text)]);
        }
        if info.entries == 0 || self.read_entries()? {
            self.log.info = Some(info);
        }
        Ok(())
    }

    fn begin_log(&mut self, info: SelInfo) -> Result<(), BmcError> {
        let newest = match info.entries {
            0 => None,
            _ => self.ask_for(|transport| client::sel_entry(transport, LAST))?,
        };
        self.log.last = newest.and_then(|(_, entry)| entry.ok()).map(|entry| entry.id);
        self.log.info = Some(info);
        Ok(())
    }

    /// Reads on from the last entry. Returns whether it came to the end.
    fn read_entries(&mut self) -> Result<bool, BmcError> {
        // Entry 0 is the first, whatever its id.
        let mut id = 0;
        if let Some(last) = self.log.last
            && let Some((next, _)) = self.ask_for(|transport| client::sel_entry(transport, last))?
        {
            id = next;
        }
        let sensors = self.sensors();
        // Some BMCs hand out an id twice.
        let mut seen = HashSet::new();
        while id != LAST && seen.insert(id) {
            if seen.len() > MAX_ENTRIES {
                return Ok(false);
            }
            let Some((next, entry)) = self.ask_for(|transport| client::sel_entry(transport, id))? else {
                break;
            };
            match entry {
                Ok(entry) => {
                    self.log.last = Some(entry.id);
                    self.state().tell([entry.finding(&sensors)]);
                }
                Err(fault) => {
                    self.log.last = Some(id);
                    tracing::warn!(id, %fault, "entry of the event log left out");
                }
            }
            id = next;
        }
        Ok(true)
    }

    fn sensors(&self) -> Vec<Sensor> {
        let known = self.known.iter().flat_map(|known| &known.sensors);
        known.map(|watched| watched.sensor.clone()).collect()
    }
}
