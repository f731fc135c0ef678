//! What a broker costs, and how fast it is: ours, mosquitto and rumqttd as processes of their own, under the same load.
//!
//! The load comes from one thread with hand-made packets, many a write, so that it is not what is measured. In each round
//! every broker has its turn, newly started, and medians over the rounds are told. Processor time and memory are those of
//! the broker's process alone, as the kernel counts them.

mod client;
mod idle;
mod process;
mod saturated;
mod steady;

use std::{process::ExitCode, time::Duration};

use anyhow::Context;
use clap::Args;
use tokio::time::timeout;

use self::process::{Kind, Process};
use crate::{
    report::{Quantity, Report, Rival},
    timing::median,
};

/// How long one broker may take for one round.
const PATIENCE: Duration = Duration::from_mins(1);

const MESSAGES: Quantity = Quantity {
    metric: "messages_per_s",
    unit: "1/s",
};
const CPU: Quantity = Quantity {
    metric: "cpu_s_per_million",
    unit: "s",
};
const LOST: Quantity = Quantity {
    metric: "lost",
    unit: "1",
};
const P50: Quantity = Quantity {
    metric: "p50_ms",
    unit: "ms",
};
const P99: Quantity = Quantity {
    metric: "p99_ms",
    unit: "ms",
};
const PEAK: Quantity = Quantity {
    metric: "peak_rss",
    unit: "MB",
};
const PER_CONNECTION: Quantity = Quantity {
    metric: "bytes_per_connection",
    unit: "B",
};

#[derive(Args)]
pub(crate) struct Arguments {
    /// Few messages, one round, and not the 10,000 connections: whether it runs, not how fast
    #[arg(long)]
    quick: bool,
    /// Run this case alone
    #[arg(long, value_name = "CASE")]
    case: Option<String>,
    /// Be one of the brokers
    #[arg(long, hide = true, requires = "port")]
    pub(crate) serve: Option<Kind>,
    /// Port to listen on
    #[arg(long, hide = true)]
    port: Option<u16>,
}

/// One load, and how often it is put on each broker.
struct Case {
    name: &'static str,
    rounds: usize,
    load: Load,
}

enum Load {
    /// So many messages as fast as they go.
    Saturated { messages: usize },
    /// 640 messages a second for so long.
    Steady { length: Duration },
    /// So many connections that say little.
    Idle { connections: usize },
}

/// What one round has found.
type Figures = Vec<(Quantity, f64)>;

/// Runs all cases.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Report> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    process::raise_limit()?;
    let brokers: Vec<Kind> = Kind::all().into_iter().filter(|kind| kind.is_here()).collect();
    let mut report = Report::new("broker");
    for case in cases(arguments.quick) {
        if arguments.case.as_ref().is_some_and(|wanted| wanted != case.name) {
            continue;
        }
        let mut found: Vec<(Kind, Vec<Figures>)> = brokers.iter().map(|&kind| (kind, Vec::new())).collect();
        for round in 1..=case.rounds {
            for (kind, found) in &mut found {
                let figures = Process::start(*kind).and_then(|broker| {
                    runtime.block_on(async {
                        let load = timeout(PATIENCE, case.load.put_on(&broker)).await;
                        load.with_context(|| format!("not done after {PATIENCE:?}"))?
                    })
                });
                match figures {
                    Ok(figures) => found.push(figures),
                    Err(why) if *kind == Kind::Ours => return Err(why.context(case.name)),
                    Err(why) => eprintln!("{} is left out of {}: {why:#}", kind.name(), case.name),
                }
            }
            found.retain(|(_, found)| found.len() == round);
        }
        tell(&case, &found, &mut report);
    }
    Ok(report)
}

/// Is the broker `kind` until this process is killed.
pub(crate) fn serve(kind: Kind, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    process::serve(kind, arguments.port.context("no port")?)
}

fn cases(quick: bool) -> Vec<Case> {
    let case = |name, rounds, load| Case { name, rounds, load };
    if quick {
        return vec![
            case("saturated", 1, Load::Saturated { messages: 6_400 }),
            case(
                "steady-640",
                1,
                Load::Steady {
                    length: Duration::from_secs(1),
                },
            ),
            case("idle-1000", 1, Load::Idle { connections: 1_000 }),
        ];
    }
    vec![
        case("saturated", 5, Load::Saturated { messages: 102_400 }),
        case(
            "steady-640",
            5,
            Load::Steady {
                length: Duration::from_secs(4),
            },
        ),
        case("idle-1000", 3, Load::Idle { connections: 1_000 }),
        case("idle-10000", 1, Load::Idle { connections: 10_000 }),
    ]
}

impl Load {
    async fn put_on(&self, broker: &Process) -> anyhow::Result<Figures> {
        match *self {
            Self::Saturated { messages } => saturated::measure(broker, messages).await,
            Self::Steady { length } => steady::measure(broker, length).await,
            Self::Idle { connections } => idle::measure(broker, connections).await,
        }
    }
}

/// Ours, which comes first, beside each rival.
fn tell(case: &Case, found: &[(Kind, Vec<Figures>)], report: &mut Report) {
    let Some(((_, ours), rivals)) = found.split_first() else {
        return;
    };
    let ours = over_rounds(ours);
    for (kind, rival) in rivals {
        for (&(quantity, ours), (_, value)) in ours.iter().zip(over_rounds(rival)) {
            let name = kind.name();
            report.push(case.name, quantity, ours, Rival { name, value });
        }
    }
}

/// The median of each quantity; of what was lost, all of it.
fn over_rounds(rounds: &[Figures]) -> Figures {
    let quantities = rounds.first().into_iter().flatten().map(|(quantity, _)| *quantity);
    let column = |at| {
        rounds
            .iter()
            .filter_map(move |round| round.get(at).map(|(_, value)| *value))
    };
    let fold = |(at, quantity): (usize, Quantity)| {
        let lost = quantity.metric == LOST.metric;
        let value = if lost {
            column(at).sum()
        } else {
            median(column(at).collect())
        };
        (quantity, value)
    };
    quantities.enumerate().map(fold).collect()
}
