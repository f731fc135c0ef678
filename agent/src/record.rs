//! Records this machine into a trace CSV, for labs and backtests.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use flate2::{Compression, write::GzEncoder};
use runtime::{Clock, Shutdown, bar::Bar};
use shadow::{Channel, Reading};
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::probe::{Place, ProbeSet};

/// How much may be lost when the process is killed.
const FLUSH_EVERY_NS: u64 = 60_000_000_000;

/// What to record.
#[derive(Debug, Clone)]
pub struct Recording {
    /// For how long.
    pub length: Duration,
    /// How often a row is taken.
    pub every: Duration,
    /// Where to; with the ending `.gz` it is compressed.
    pub output: PathBuf,
}

/// Records until the time is up or `shutdown` is told, and returns the number of rows written.
///
/// A row has the time in unix seconds, then one column a channel that this machine has; a reading that is
/// missing is an empty field. A row is written `every` after the one before it, less often when the machine
/// cannot keep up, and never twice to make good for it.
///
/// # Errors
/// When the output cannot be written, or no channel can be measured.
pub async fn record(place: Place, recording: &Recording, clock: &Clock, shutdown: &Shutdown) -> anyhow::Result<u64> {
    let mut probes = ProbeSet::open(place);
    for source in probes.sources() {
        tracing::info!(
            probe = source.name,
            state = source.state.as_str(),
            reason = source.reason,
            "source"
        );
    }
    let columns = probes.catalogue().channel_columns();
    let channels: Vec<(Channel, usize)> = Channel::ALL
        .into_iter()
        .zip(columns)
        .filter_map(|(c, at)| Some((c, at?)))
        .collect();
    anyhow::ensure!(!channels.is_empty(), "no channel can be measured on this machine");

    let output = &recording.output;
    let mut trace = Trace::create(output).with_context(|| format!("cannot create {}", output.display()))?;
    let rows = write_rows(&mut probes, &channels, &mut trace, recording, clock, shutdown).await;
    let rows = rows.with_context(|| format!("cannot write {}", output.display()))?;
    trace
        .finish()
        .with_context(|| format!("cannot complete {}", output.display()))?;
    Ok(rows)
}

async fn write_rows(
    probes: &mut ProbeSet,
    channels: &[(Channel, usize)],
    trace: &mut Trace,
    recording: &Recording,
    clock: &Clock,
    shutdown: &Shutdown,
) -> io::Result<u64> {
    let begin = clock.monotonic_ns();
    let mut flushed = begin;
    let mut rows = 0;
    write_header(trace, channels)?;
    let mut ticks = ticks(recording.every);
    let bar = Bar::new();
    let told = |seconds: u64| usize::try_from(seconds).unwrap_or(usize::MAX);
    let all = told(recording.length.as_secs());
    // Rates need a reading before the first row.
    ticks.tick().await;
    probes.sample(clock.monotonic_ns());
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shutdown.wait() => break,
        }
        let now = clock.monotonic_ns();
        write_row(trace, clock.now_ms(), channels, probes.sample(now))?;
        rows += 1;
        bar.tell(told(now.saturating_sub(begin) / 1_000_000_000), all, "seconds");
        if now.saturating_sub(flushed) >= FLUSH_EVERY_NS {
            trace.flush()?;
            flushed = now;
        }
        if u128::from(now.saturating_sub(begin)) >= recording.length.as_nanos() {
            break;
        }
    }
    bar.tell(all, all, "seconds");
    Ok(rows)
}

fn ticks(every: Duration) -> Interval {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks
}

fn write_header(to: &mut impl Write, channels: &[(Channel, usize)]) -> io::Result<()> {
    write!(to, "time")?;
    for (channel, _) in channels {
        write!(to, ",{}", channel.column())?;
    }
    writeln!(to)
}

fn write_row(to: &mut impl Write, time_ms: i64, channels: &[(Channel, usize)], row: &[Reading]) -> io::Result<()> {
    write!(to, "{}.{:03}", time_ms.div_euclid(1_000), time_ms.rem_euclid(1_000))?;
    for &(channel, column) in channels {
        let value = row.get(column).and_then(|reading| reading.value());
        match (value, channel) {
            (None, _) => write!(to, ",")?,
            (Some(value), Channel::Cpu | Channel::Memory) => write!(to, ",{value:.5}")?,
            (Some(value), Channel::Power) => write!(to, ",{value:.2}")?,
            (Some(value), _) => write!(to, ",{value:.0}")?,
        }
    }
    writeln!(to)
}

/// The file being written.
enum Trace {
    Plain(BufWriter<File>),
    Gzip(GzEncoder<BufWriter<File>>),
}

impl Trace {
    fn create(path: &Path) -> io::Result<Self> {
        let file = BufWriter::new(File::create(path)?);
        Ok(match path.extension() {
            Some(ending) if ending == OsStr::new("gz") => Self::Gzip(GzEncoder::new(file, Compression::default())),
            _ => Self::Plain(file),
        })
    }

    fn finish(self) -> io::Result<()> {
        match self {
            Self::Plain(mut file) => file.flush(),
            Self::Gzip(encoder) => encoder.finish()?.flush(),
        }
    }
}

impl Write for Trace {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
        }
    }

    /// Puts everything on its way to the disk, so that a reader finds whole rows.
    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(file) => file.flush(),
            Self::Gzip(encoder) => encoder.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Read, time::Duration};

    use flate2::read::GzDecoder;
    use tempfile::TempDir;

    use super::*;
    use crate::probe::tree::Tree;

    #[test]
    fn rows_have_the_precision_of_their_channels_and_empty_fields() {
        let all: Vec<(Channel, usize)> = Channel::ALL.into_iter().zip(0..).collect();
        let mut text = Vec::new();
        write_header(&mut text, &all).unwrap();
        let row = [0.123_456_7, 0.5, 1_234.6, 0.0, f64::NAN, 7.0, 42.345].map(Reading::new);
        write_row(&mut text, 1_700_000_000_005, &all, &row).unwrap();
        write_row(&mut text, -5, &all, &[Reading::STALE]).unwrap();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "time,cpu,mem,net_rx,net_tx,disk_read,disk_write,power\n\
             1700000000.005,0.12346,0.50000,1235,0,,7,42.34\n\
             -1.995,,,,,,,\n"
        );
    }

    #[tokio::test]
    async fn a_recording_ends_in_order_when_it_is_told_to() {
        let tree = Tree::new(&[("proc/meminfo", "MemTotal: 1000 kB\nMemAvailable: 400 kB\n")]);
        let dir = TempDir::new().unwrap();
        let recording = Recording {
            length: Duration::from_hours(1),
            every: Duration::from_mins(30),
            output: dir.path().join("trace.csv.gz"),
        };
        let shutdown = Shutdown::new();
        shutdown.trigger("test");
        let rows = record(tree.place(), &recording, &Clock::manual(1_000), &shutdown)
            .await
            .unwrap();
        assert_eq!(rows, 0);
        let mut text = String::new();
        GzDecoder::new(File::open(&recording.output).unwrap())
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, "time,mem\n");
    }

    #[tokio::test]
    async fn what_cannot_be_recorded_is_an_error() {
        let recording = |output| Recording {
            length: Duration::from_millis(1),
            every: Duration::from_millis(1),
            output,
        };
        let (clock, shutdown) = (Clock::manual(0), Shutdown::new());
        let fault = record(Tree::new(&[]).place(), &recording("x".into()), &clock, &shutdown)
            .await
            .unwrap_err();
        assert!(fault.to_string().contains("no channel"), "{fault}");
        let tree = Tree::new(&[("proc/meminfo", "MemTotal: 1000 kB\nMemAvailable: 400 kB\n")]);
        let fault = record(tree.place(), &recording("no/such/dir/x.csv".into()), &clock, &shutdown)
            .await
            .unwrap_err();
        assert!(fault.to_string().contains("no/such/dir/x.csv"), "{fault}");
    }
}
