//! Where the spool keeps what outlives the process, and what is found there at a start.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{health::Place, outbox::Outbox};
use crate::{
    error::PublishError,
    spool::{
        Bounds,
        folder::{Folder, Fsync},
        mirror::{self, Mirror},
        shelf::Serials,
    },
};

/// Where, how much, and how sure.
#[derive(Debug, Clone)]
pub struct Places {
    /// What memory may hold, in bytes; the copy in a RAM-backed folder counts as well.
    pub memory_bytes: usize,
    /// A RAM-backed folder of this stream alone.
    pub ram: Option<PathBuf>,
    /// A folder on disk of this stream alone.
    pub disk: Option<PathBuf>,
    /// What the disk may hold, in bytes.
    pub disk_bytes: u64,
    /// When what is on disk is made to survive a loss of power.
    pub fsync: Fsync,
}

/// The places, open, and what was in them.
pub struct Kept {
    pub(super) outbox: Outbox,
    pub(super) mirror: Option<Mirror>,
    pub(super) disk: Option<Folder>,
    /// The newest epoch that was found; 0 where none was.
    pub(super) newest_epoch: u64,
}

impl Kept {
    /// Nothing outlives the process.
    pub fn in_memory(bytes: usize) -> Self {
        let bounds = Bounds {
            memory: bytes,
            disk: 0,
            mirrored: false,
        };
        Self {
            outbox: Outbox::new(bounds),
            mirror: None,
            disk: None,
            newest_epoch: 0,
        }
    }

    /// Opens the places and reads them. Blocks: some 64 MiB may lie on disk. A place that does not work is told as an
    /// event, and memory takes its part.
    ///
    /// # Errors
    /// [`PublishError::InUse`] when another agent has one of them.
    pub fn open(places: &Places) -> Result<Self, PublishError> {
        let disk_segment = (places.memory_bytes as u64 / 8).clamp(4 << 10, 1 << 20);
        let ram = open(places.ram.as_deref(), mirror::SEGMENT_BYTES, Fsync::Never)?;
        let disk = open(places.disk.as_deref(), disk_segment, places.fsync)?;
        let bounds = Bounds {
            memory: places.memory_bytes,
            disk: places.disk_bytes,
            mirrored: matches!(ram, Some(Ok(_))),
        };
        let mut kept = Self {
            outbox: Outbox::new(bounds),
            ..Self::in_memory(places.memory_bytes)
        };
        let mut holes = Serials::new();
        if let Some(folder) = kept.note(Place::Ram, ram)
            && let Err(error) = kept.recover_ram(folder, places.memory_bytes as u64, &mut holes)
        {
            kept.outbox.place(Place::Ram, Some(error.to_string()));
        }
        if let Some(folder) = kept.note(Place::Disk, disk)
            && let Err(error) = kept.recover_disk(folder, &mut holes)
        {
            kept.outbox.place(Place::Disk, Some(error.to_string()));
        }
        kept.outbox.recovered(holes);
        for epoch in kept.outbox.unborn() {
            // Where the file in RAM was damaged.
            if let Some(birth) = kept.disk.as_ref().and_then(|disk| disk.birth(epoch)) {
                kept.outbox.found_birth(epoch, birth);
            }
        }
        let (spooled, disk_bytes) = (kept.outbox.spooled(), kept.outbox.disk_bytes());
        if spooled > 0 || disk_bytes > 0 {
            tracing::info!(
                spooled,
                disk_bytes,
                "the spool has what the agent before did not get across"
            );
        }
        Ok(kept)
    }

    fn note(&mut self, place: Place, opened: Option<io::Result<Folder>>) -> Option<Folder> {
        match opened? {
            Ok(folder) => Some(folder),
            Err(error) => {
                self.outbox.place(place, Some(error.to_string()));
                None
            }
        }
    }

    fn recover_ram(&mut self, mut folder: Folder, max_bytes: u64, holes: &mut Serials) -> io::Result<()> {
        let mut found = Vec::new();
        folder.recover(|segment, bytes, contents| found.push((segment, bytes, contents.records)))?;
        let mut mirror = Mirror::new(folder, max_bytes);
        for (segment, bytes, records) in found {
            match segment {
                Some(segment) => mirror.recover(segment, bytes, &records),
                None => records.iter().for_each(|record| mirror.recover_birth(record.id.epoch)),
            }
            for record in records {
                self.newest_epoch = self.newest_epoch.max(record.id.epoch);
                self.outbox.recover(record, holes);
            }
        }
        self.mirror = Some(mirror);
        Ok(())
    }

    fn recover_disk(&mut self, mut folder: Folder, holes: &mut Serials) -> io::Result<()> {
        folder.recover(|segment, bytes, contents| {
            let newest = contents.records.iter().map(|record| record.id.epoch).max();
            self.newest_epoch = self.newest_epoch.max(newest.unwrap_or(0));
            self.outbox.recover_disk(segment, bytes, &contents.records, holes);
        })?;
        self.disk = Some(folder);
        Ok(())
    }
}

fn open(path: Option<&Path>, segment_bytes: u64, fsync: Fsync) -> Result<Option<io::Result<Folder>>, PublishError> {
    let Some(path) = path else { return Ok(None) };
    match Folder::open(path, segment_bytes, fsync) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(PublishError::InUse(path.to_owned())),
        opened => Ok(Some(opened)),
    }
}

#[cfg(test)]
mod tests;
