//! What a sample costs the host that is sampled: CPU time and memory, at ten samples a second.
//!
//! Every sampler is a process of its own, and all of them run through the same seconds, so that whatever else the machine
//! does hits all of them. They run in rounds. In each round all are started anew, in another order and each at a moment of
//! its own within a tenth of a second: who wakes up behind whom, on which core and at which addresses, moves what a sample
//! costs by a third, and is another in each round. What counts is the median over the rounds of the ratio of a round.
//!
//! CPU time is what the kernel charged to all threads of a process between two looks from outside, for all by the same
//! yardstick. Ours is the slim agent as it is shipped, with frames, their copy in memory and publishing, to a broker in
//! the process of the bench.

mod collectd;
mod contender;
mod round;
mod samplers;
mod shipped;
mod trust;

use std::{env, path::PathBuf};

use clap::{Args, ValueEnum};

use crate::report::{Quantity, Report};
use contender::Contender;
use round::{Broker, Cost};

const CPU: Quantity = Quantity {
    metric: "cpu_per_sample",
    unit: "us",
};
const MEMORY: Quantity = Quantity {
    metric: "rss",
    unit: "MB",
};

/// Ours by the name of its case, and whom it is compared with. collectd reads neither pressure nor what the other sources
/// have, so that it has a case with its files alone.
const CASES: [(&str, Contender, &[Contender]); 5] = [
    ("tick-100ms", Contender::OursFast, &Contender::RIVALS),
    ("collectd-files", Contender::OursLikeCollectd, &[Contender::Collectd]),
    ("tick-100ms-tls", Contender::OursTls, &Contender::RIVALS),
    ("all-sources", Contender::OursAll, &Contender::RIVALS),
    ("probes-alone", Contender::OursProbes, &Contender::RIVALS),
];

#[derive(Args)]
pub(crate) struct Arguments {
    /// How many times all samplers are started
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// How long they are measured each time, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// The agent that is measured; the one beside this program where none is named
    #[arg(long, value_name = "PATH")]
    agent: Option<PathBuf>,
    /// Be one of the samplers, until killed
    #[arg(long, hide = true)]
    pub(crate) sampler: Option<Sampler>,
}

/// Samplers within this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sampler {
    /// The fast probes without the agent around them: reading and parsing.
    OursProbes,
    /// The files of the fast probes, read and thrown away.
    RawPreads,
    /// The crate sysinfo: the same quantities, as far as it has them.
    Sysinfo,
}

/// Runs all rounds.
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
    let plain = start_broker(None)?;
    let secure = start_broker(Some(trust::broker(certificates.path())))?;
    let plan = round::Plan {
        agent: arguments.agent.clone().map_or_else(shipped::beside_this, Ok)?,
        own: env::current_exe()?,
        broker: Broker {
            port: plain.addr().port(),
            tls_port: secure.addr().port(),
            certificates: certificates.path().to_owned(),
        },
        seconds: arguments.seconds,
    };
    let mut present = Contender::present();
    let rounds = (1..=arguments.rounds).map(|number| {
        eprintln!("round {number} of {}", arguments.rounds);
        plan.run(&mut present)
    });
    let rounds = rounds.collect::<anyhow::Result<Vec<_>>>()?;
    stop.trigger("done");
    Ok(report(&rounds))
}

fn report(rounds: &[Vec<(Contender, Cost)>]) -> Report {
    let mut report = Report::new("agent");
    let of = |wanted: Contender, figure: fn(&Cost) -> f64| -> Vec<f64> {
        let costs = rounds.iter().flatten().filter(|(contender, _)| *contender == wanted);
        costs.map(|(_, cost)| figure(cost)).collect()
    };
    for (case, ours, rivals) in CASES {
        for &rival in rivals {
            let mut push = |quantity, figure| {
                report.push_rounds(case, quantity, &of(ours, figure), (rival.name(), &of(rival, figure)));
            };
            push(CPU, |cost: &Cost| cost.cpu_us_per_sample);
            push(MEMORY, |cost| cost.rss_mb);
        }
    }
    report
}

/// Samples until killed.
pub(crate) fn sample(sampler: Sampler) -> anyhow::Result<()> {
    match sampler {
        Sampler::OursProbes => samplers::probes(),
        Sampler::RawPreads => samplers::raw_preads(),
        Sampler::Sysinfo => samplers::with_sysinfo(),
    }
}
