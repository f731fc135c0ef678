//! What a sample costs the host that is sampled: CPU time and memory, at ten samples a second.
//!
//! Every sampler is a process of its own; all of them run through the same time, so that whatever else the machine does
//! hits all of them, but each wakes up at a moment of its own: what wakes first would warm the caches for the others.
//! CPU time is what the kernel charged to the process, from its second sample on. Ours is the slim agent as it is shipped,
//! with frames, their copy in memory and publishing, to a broker in the process of the bench.

mod collectd;
mod samplers;
mod shipped;
mod trust;

use std::{
    env,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::report::{Quantity, Report, Rival};

const CASE: &str = "tick-100ms";
const CPU: Quantity = Quantity {
    metric: "cpu_per_sample",
    unit: "us",
};
const MEMORY: Quantity = Quantity {
    metric: "rss",
    unit: "MB",
};

#[derive(Args)]
pub(crate) struct Arguments {
    /// How long every sampler runs, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(5..=3600))]
    seconds: u64,
    /// The agent that is measured; the one beside this program where none is named
    #[arg(long, value_name = "PATH")]
    agent: Option<PathBuf>,
    /// Be one of the samplers, and print what it cost
    #[arg(long, hide = true)]
    pub(crate) sampler: Option<Sampler>,
    /// How long after a whole tenth of a second a sampler samples, in milliseconds
    #[arg(long, hide = true, default_value_t = 0)]
    phase: u64,
    /// Port of the broker that a sampler publishes to
    #[arg(long, hide = true, default_value_t = 0)]
    port: u16,
    /// Folder of the certificates that it does so with
    #[arg(long, hide = true)]
    certificates: Option<PathBuf>,
}

/// Who samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sampler {
    /// The agent with the probes of every sample.
    OursFast,
    /// The same over TLS, both sides with certificates.
    OursTls,
    /// The agent with all that this machine has.
    OursAll,
    /// The fast probes without the agent around them: reading and parsing.
    OursProbes,
    /// The files of the fast probes, read and thrown away.
    RawPreads,
    /// The crate sysinfo: the same quantities, as far as it has them.
    Sysinfo,
}

/// What a sampler cost.
#[derive(Debug, Serialize, Deserialize)]
struct Cost {
    cpu_us_per_sample: f64,
    rss_mb: f64,
}

/// Runs all samplers side by side.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Report> {
    let runtime = tokio::runtime::Runtime::new()?;
    let stop = runtime::Shutdown::new();
    let certificates = tempfile::tempdir()?;
    trust::issue(certificates.path())?;
    let start_broker = |tls| {
        let config = broker::Config {
            listen: "127.0.0.1:0".parse()?,
            tls,
            ..broker::Config::default()
        };
        anyhow::Ok(runtime.block_on(broker::start(config, stop.clone()))?)
    };
    let (plain, secure) = (
        start_broker(None)?,
        start_broker(Some(trust::broker(certificates.path())))?,
    );
    let port = plain.addr().port();
    let started: Vec<(Sampler, Child)> = Sampler::value_variants()
        .iter()
        .zip((0..).step_by(17))
        .map(|(&sampler, phase)| {
            let secured = sampler == Sampler::OursTls;
            let port = if secured { secure.addr().port() } else { port };
            let mut command = command(sampler, arguments, port, phase)?;
            if secured {
                command.arg("--certificates").arg(certificates.path());
            }
            Ok((sampler, command.spawn()?))
        })
        .collect::<anyhow::Result<_>>()?;
    let collectd = collectd::measure(Duration::from_secs(arguments.seconds), port);
    let mut costs = Vec::new();
    for (sampler, child) in started {
        let output = child.wait_with_output()?;
        ensure!(output.status.success(), "{sampler:?} failed");
        let cost: Cost = serde_json::from_slice(&output.stdout).with_context(|| format!("{sampler:?}"))?;
        costs.push((sampler, cost));
    }
    stop.trigger("done");
    let collectd = collectd.unwrap_or_else(|why| {
        eprintln!("collectd is left out: {why:#}");
        None
    });
    Ok(report(&costs, collectd.as_ref()))
}

fn command(sampler: Sampler, arguments: &Arguments, port: u16, phase: u64) -> anyhow::Result<Command> {
    let name = sampler.to_possible_value().context("a sampler without a name")?;
    let mut command = Command::new(env::current_exe()?);
    command
        .args(["agent", "--sampler", name.get_name()])
        .args(["--seconds", &arguments.seconds.to_string(), "--port", &port.to_string()])
        .args(["--phase", &phase.to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit());
    if let Some(agent) = &arguments.agent {
        command.arg("--agent").arg(agent);
    }
    Ok(command)
}

fn report(costs: &[(Sampler, Cost)], collectd: Option<&Cost>) -> Report {
    let mut report = Report::new("agent");
    let of = |sampler| costs.iter().find(|(of, _)| *of == sampler).map(|(_, cost)| cost);
    let rivals = [
        ("raw-preads", of(Sampler::RawPreads)),
        ("sysinfo", of(Sampler::Sysinfo)),
        ("collectd", collectd),
    ];
    for (case, ours) in [
        (CASE, of(Sampler::OursFast)),
        ("tick-100ms-tls", of(Sampler::OursTls)),
        ("all-sources", of(Sampler::OursAll)),
        ("probes-alone", of(Sampler::OursProbes)),
    ] {
        for (name, rival) in rivals {
            if let (Some(ours), Some(rival)) = (ours, rival) {
                let value = rival.cpu_us_per_sample;
                report.push(case, CPU, ours.cpu_us_per_sample, Rival { name, value });
                let value = rival.rss_mb;
                report.push(case, MEMORY, ours.rss_mb, Rival { name, value });
            }
        }
    }
    report
}

/// Samples, and prints what that cost as JSON.
pub(crate) fn sample(sampler: Sampler, arguments: &Arguments) -> anyhow::Result<()> {
    let length = Duration::from_secs(arguments.seconds);
    samplers::wait_for_phase(Duration::from_millis(arguments.phase));
    let cost = match sampler {
        Sampler::OursFast | Sampler::OursTls | Sampler::OursAll => {
            let all = sampler == Sampler::OursAll;
            let name = sampler.to_possible_value().context("a sampler without a name")?;
            let setup = shipped::Setup {
                host: name.get_name(),
                port: arguments.port,
                certificates: arguments.certificates.as_deref(),
                off: if all { &[] } else { samplers::FAST_ONLY },
            };
            let agent = arguments.agent.clone().map_or_else(shipped::beside_this, Ok)?;
            shipped::measure(&agent, length, &setup)?
        }
        Sampler::OursProbes => samplers::probes(length)?,
        Sampler::RawPreads => samplers::raw_preads(length)?,
        Sampler::Sysinfo => samplers::with_sysinfo(length)?,
    };
    serde_json::to_writer(std::io::stdout(), &cost)?;
    Ok(())
}
