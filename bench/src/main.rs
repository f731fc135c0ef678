//! Benchmarks of foreshadow against rivals, interleaved in one run.
//!
//! `cargo run --release -p foreshadow-bench -- NAME [--json]`. `docs/benchmarks.md` keeps results and commands.

mod agent;
mod broker;
mod codec;
mod detect;
#[cfg(test)]
mod documents;
#[cfg(feature = "brain")]
mod hot;
#[cfg(feature = "brain")]
mod ingest;
#[cfg(feature = "forecast")]
mod lstm;
#[cfg(feature = "brain")]
mod page;
#[cfg(feature = "brain")]
mod plan;
mod priors;
mod process;
mod recording;
mod report;
mod rivals;
#[cfg(feature = "forecast")]
mod serve;
#[cfg(feature = "brain")]
mod store;
mod timing;

use std::{io, process::ExitCode};

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(
    name = "foreshadow-bench",
    about = "Benchmarks of foreshadow against rivals, in one run"
)]
struct Arguments {
    #[command(subcommand)]
    bench: Bench,
    /// Print one JSON object instead of a table.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Bench {
    /// What a sample costs the host, against the bare reads, sysinfo and collectd.
    Agent(agent::Arguments),
    /// What a broker costs and how fast it is, against mosquitto and rumqttd.
    Broker(broker::Arguments),
    /// Makes the tables of codec 2 from recordings.
    CodecPriors(priors::Arguments),
    /// Size and speed of frames against packed doubles, lz4, zstd, pco, Gorilla and Chimp.
    Codec(codec::Arguments),
    /// How many rows of a series, and of a host, are judged in a second.
    Detect(detect::Arguments),
    /// How long readers of the hot store keep its writer waiting.
    #[cfg(feature = "brain")]
    Hot(hot::Arguments),
    /// What a brain needs to take frames in, by itself and over a broker.
    #[cfg(feature = "brain")]
    Ingest(ingest::Arguments),
    /// How fast the LSTM of the forecaster trains and forecasts, against `PyTorch` and ONNX Runtime.
    #[cfg(feature = "forecast")]
    Lstm(lstm::Arguments),
    /// How long people wait for the page of a large cell, in chromium, against that of one host.
    #[cfg(feature = "brain")]
    Page(page::Arguments),
    /// How long a plan of a large cell takes on one core.
    #[cfg(feature = "brain")]
    Plan(plan::Arguments),
    /// How long the forecaster takes for a step of a large fleet.
    #[cfg(feature = "forecast")]
    Serve(serve::Arguments),
    /// How fast and how small the brain keeps what came, against `psql \\copy` into a narrow table.
    #[cfg(feature = "brain")]
    Store(store::Arguments),
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let report = match &arguments.bench {
        Bench::Agent(agent) => match agent.sampler {
            Some(sampler) => return agent::sample(sampler).map(|()| ExitCode::SUCCESS),
            None => agent::run(agent)?,
        },
        Bench::Broker(broker) => match broker.serve {
            Some(kind) => return broker::serve(kind, broker),
            None => broker::run(broker)?,
        },
        Bench::Codec(codec) => codec::run(codec)?,
        Bench::Detect(detect) => detect::run(detect)?,
        #[cfg(feature = "brain")]
        Bench::Hot(hot) => hot::run(hot)?,
        #[cfg(feature = "brain")]
        Bench::Ingest(ingest) => ingest::run(ingest)?,
        #[cfg(feature = "forecast")]
        Bench::Lstm(lstm) => match lstm.work {
            Some(case) => return lstm::work(case).map(|()| ExitCode::SUCCESS),
            None => lstm::run(lstm)?,
        },
        #[cfg(feature = "brain")]
        Bench::Page(page) => page::run(page)?,
        #[cfg(feature = "brain")]
        Bench::Plan(plan) => plan::run(plan)?,
        #[cfg(feature = "forecast")]
        Bench::Serve(serve) => serve::run(serve)?,
        #[cfg(feature = "brain")]
        Bench::Store(store) => store::run(store)?,
        Bench::CodecPriors(priors) => return priors::run(priors).map(|()| ExitCode::SUCCESS),
    };
    let mut out = io::stdout().lock();
    if arguments.json {
        report.write_json(&mut out)?;
    } else {
        report.write_table(&mut out)?;
    }
    Ok(ExitCode::SUCCESS)
}
