//! One round: all contenders at the same time, each a process that was just started.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::ValueEnum;
use rand::{RngExt, seq::SliceRandom};
use tempfile::TempDir;

use super::{Sampler, collectd, contender::Contender, shipped};
use crate::process::{memory_bytes, spent_ns};

/// Samples a second.
const RATE: f64 = 10.0;

/// Time until the last that was started has connected and has told its first frames.
const WARM_UP: Duration = Duration::from_secs(3);

/// A folder of every Linux that lies in memory.
const SHARED_MEMORY: &str = "/dev/shm";

/// What a contender cost in a round.
#[derive(Debug)]
pub(super) struct Cost {
    pub(super) cpu_us_per_sample: f64,
    pub(super) rss_mb: f64,
}

/// Where is published to.
pub(super) struct Broker {
    pub(super) port: u16,
    pub(super) tls_port: u16,
    /// The folder of certificates for the second port.
    pub(super) certificates: PathBuf,
}

/// What is the same in all rounds.
pub(super) struct Plan {
    pub(super) agent: PathBuf,
    /// This program.
    pub(super) own: PathBuf,
    pub(super) broker: Broker,
    pub(super) seconds: u64,
}

/// A contender that runs, and its files. It ends when this is dropped.
struct Running {
    contender: Contender,
    child: Child,
    _folder: TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended by itself was told of as a fault.
        self.child.kill().and_then(|()| self.child.wait()).ok();
    }
}

impl Plan {
    /// Starts all `contenders`, in an order that is drawn, and tells what each has cost.
    pub(super) fn run(&self, contenders: &mut [Contender]) -> anyhow::Result<Vec<(Contender, Cost)>> {
        let mut rng = rand::rng();
        contenders.shuffle(&mut rng);
        let mut running = Vec::new();
        for &contender in contenders.iter() {
            // Each samples at tenths of a second from its start.
            thread::sleep(Duration::from_millis(rng.random_range(0..100)));
            running.push(self.start(contender).with_context(|| contender.name())?);
        }
        thread::sleep(WARM_UP);
        let before = running.iter().map(Running::spent).collect::<anyhow::Result<Vec<_>>>()?;
        thread::sleep(Duration::from_secs(self.seconds));
        let costs = running.iter().zip(before).map(|(running, before)| running.cost(before));
        costs.collect()
    }

    fn start(&self, contender: Contender) -> anyhow::Result<Running> {
        // As systemd's RuntimeDirectory does, so that the copy of frames is counted.
        let shared = Path::new(SHARED_MEMORY);
        let folder = if shared.is_dir() {
            tempfile::tempdir_in(shared)
        } else {
            tempfile::tempdir()
        }?;
        let mut command = self.command(contender, folder.path())?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Running {
            contender,
            child: command.spawn()?,
            _folder: folder,
        })
    }

    fn command(&self, contender: Contender, folder: &Path) -> anyhow::Result<Command> {
        let broker = &self.broker;
        if let Some(sampler) = contender.sampler() {
            return own(&self.own, sampler);
        }
        if contender == Contender::Collectd {
            return collectd::command(folder, broker.port);
        }
        let certificates = (contender == Contender::OursTls).then_some(&*broker.certificates);
        let setup = shipped::Setup {
            host: contender.name(),
            port: if certificates.is_some() {
                broker.tls_port
            } else {
                broker.port
            },
            certificates,
            off: &contender.off(),
        };
        shipped::command(&self.agent, folder, &setup)
    }
}

fn own(program: &Path, sampler: Sampler) -> anyhow::Result<Command> {
    let name = sampler.to_possible_value().context("a sampler without a name")?;
    let mut command = Command::new(program);
    command.args(["agent", "--sampler", name.get_name()]);
    Ok(command)
}

impl Running {
    fn spent(&self) -> anyhow::Result<(Instant, u64)> {
        let spent_ns = spent_ns(self.child.id()).with_context(|| self.contender.name())?;
        Ok((Instant::now(), spent_ns))
    }

    fn cost(&self, (then, before_ns): (Instant, u64)) -> anyhow::Result<(Contender, Cost)> {
        let (now, after_ns) = self.spent()?;
        let samples = (now - then).as_secs_f64() * RATE;
        let cost = Cost {
            cpu_us_per_sample: after_ns.saturating_sub(before_ns) as f64 / 1e3 / samples,
            rss_mb: memory_bytes(self.child.id(), "VmRSS:")? / 1e6,
        };
        Ok((self.contender, cost))
    }
}
