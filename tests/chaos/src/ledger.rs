//! What an agent took, written before anything can happen to it: a line a frame, in a file that outlives its process.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use anyhow::Context;
use shadow::UnixMs;

/// A frame that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Number of its host.
    pub(crate) host: usize,
    pub(crate) epoch: u64,
    pub(crate) sequence: u64,
    /// When its samples were taken.
    pub(crate) times_ms: Vec<UnixMs>,
}

/// A file of them.
#[derive(Debug)]
pub(crate) struct Ledger(File);

impl Ledger {
    /// Goes on at the end of the file.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(File::options().create(true).append(true).open(path)?))
    }

    /// Writes a line in one call: what the kernel has, a killed process cannot take back.
    pub(crate) fn write(&mut self, taken: &Taken) -> io::Result<()> {
        let times: Vec<String> = taken.times_ms.iter().map(ToString::to_string).collect();
        let Taken {
            host, epoch, sequence, ..
        } = taken;
        let line = format!("{host} {epoch} {sequence} {}\n", times.join(","));
        self.0.write_all(line.as_bytes())
    }
}

/// All that was taken. A last line that was cut off is no frame that was told.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<Taken>> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    lines
        .map(|line| parse(line.trim_end()).with_context(|| format!("{line:?} is no line of a ledger")))
        .collect()
}

fn parse(line: &str) -> Option<Taken> {
    let mut fields = line.split(' ');
    let taken = Taken {
        host: fields.next()?.parse().ok()?,
        epoch: fields.next()?.parse().ok()?,
        sequence: fields.next()?.parse().ok()?,
        times_ms: fields
            .next()?
            .split(',')
            .map(|time| time.parse().ok())
            .collect::<Option<_>>()?,
    };
    fields.next().is_none().then_some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_a_torn_line_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        let taken = |sequence| Taken {
            host: 7,
            epoch: 1_764_000_000_000_000,
            sequence,
            times_ms: vec![5, 9],
        };
        Ledger::open(&path).unwrap().write(&taken(0)).unwrap();
        Ledger::open(&path).unwrap().write(&taken(1)).unwrap();
        assert_eq!(read(&path).unwrap(), [taken(0), taken(1)]);
        let torn = fs::read_to_string(&path).unwrap();
        fs::write(&path, &torn[..torn.len() - 2]).unwrap();
        assert_eq!(read(&path).unwrap(), [taken(0)]);
        fs::write(&path, "x\n").unwrap();
        assert!(read(&path).is_err());
    }
}
