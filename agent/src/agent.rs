//! A real agent, put together: for each host that it speaks for, probes, a sampler and a publisher.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use bus::Topics;
use runtime::{Clock, Shutdown, process::raise_file_limit};
use shadow::Vantage;
use tokio::task::{JoinHandle, JoinSet, spawn_blocking};
use trust::Trust;

use crate::{
    act::Levers,
    bmc::{Watch, watch},
    config::Config,
    error::AgentError,
    probe::{Place, ProbeSet},
    publish::{Kept, Publisher, Settings},
    sampler::Sampler,
};

/// A running agent.
#[derive(Debug)]
pub struct Handle {
    host: String,
    task: Option<JoinHandle<Result<(), AgentError>>>,
}

impl Handle {
    /// The host that it speaks for.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns when the agent has ended: after its shutdown was told and everything was said, or because it
    /// failed. The call may be given up and made again.
    ///
    /// # Errors
    /// [`AgentError`] when a part of it failed or panicked. Told once.
    pub async fn ended(&mut self) -> Result<(), AgentError> {
        let Some(task) = &mut self.task else { return Ok(()) };
        let ended = task.await;
        self.task = None;
        ended.unwrap_or_else(|why| {
            Err(AgentError::Panicked {
                task: "sampler",
                reason: why.to_string(),
            })
        })
    }
}

/// Starts the agent, in tasks of its own, until `shutdown`: of this machine, and of the hosts that it speaks for out of
/// band. The broker need not be there yet.
///
/// # Errors
/// [`AgentError`] when host, cell or prefix cannot be levels of a topic.
pub async fn start(config: Config, clock: Clock, shutdown: Shutdown) -> Result<Handle, AgentError> {
    config.broker.check()?;
    let host = own_host(&config)?;
    // A workload keeps some ten files open.
    if let Err(fault) = raise_file_limit() {
        tracing::warn!(%fault, "the limit of open files stays; sources past it will fail");
    }
    let trust = believed(&config)?;
    let mut samplers = JoinSet::new();
    for view in views(config, &host) {
        let sampler = open(view, &host, trust.clone(), clock.clone()).await?;
        samplers.spawn(sampler.run(shutdown.clone()));
    }
    let task = Some(tokio::spawn(all(samplers)));
    Ok(Handle { host, task })
}

/// Who this agent is and whom it believes: the same for all hosts that it speaks for.
fn believed(config: &Config) -> Result<Option<Arc<Trust>>, AgentError> {
    let Some(files) = &config.trust else {
        // On loopback that is how it comes, and nobody is to be alarmed.
        if !config.broker.is_here() {
            let broker = &config.broker.host;
            tracing::warn!(
                broker,
                "no [trust]: every command is believed, whoever sends it; for loopback and trials only"
            );
        }
        return Ok(None);
    };
    Ok(Some(Arc::new(Trust::load(files.clone(), &config.cell)?)))
}

/// Ends when all have ended, or with the first fault: one host less is not to go unnoticed.
async fn all(mut samplers: JoinSet<Result<(), AgentError>>) -> Result<(), AgentError> {
    while let Some(ended) = samplers.join_next().await {
        ended.unwrap_or_else(|why| {
            Err(AgentError::Panicked {
                task: "sampler",
                reason: why.to_string(),
            })
        })?;
    }
    Ok(())
}

/// The configuration of each host that is spoken for: of `host` first.
pub(crate) fn views(mut config: Config, host: &str) -> Vec<Config> {
    let others = std::mem::take(&mut config.out_of_band);
    config.host = Some(host.to_owned());
    let other = |other: crate::config::OutOfBand| Config {
        host: Some(other.host),
        vantage: Vantage::Oob,
        bmc: other.bmc,
        ..config.clone()
    };
    let others: Vec<Config> = others.into_iter().map(other).collect();
    [config].into_iter().chain(others).collect()
}

/// Opens the probes of a host and begins to publish it.
async fn open(config: Config, own: &str, trust: Option<Arc<Trust>>, clock: Clock) -> Result<Sampler, AgentError> {
    let topics = Topics::new(&config.prefix, &config.cell)?;
    let host = config.host.clone().unwrap_or_else(|| own.to_owned());
    let stream = format!("{host}.{}", config.vantage);
    let cursor = config.state_dir().map(|folder| folder.join("sel").join(&stream));
    let fence = config.state_dir().map(|folder| folder.join("commands").join(&stream));
    let place = place(&config, cursor);
    let ledger = config.state_dir().map(|folder| folder.join("ledger").join(&stream));
    let places = config.spool.places(&config, &stream);
    // Opening everything takes some ten milliseconds, and longer where much could not be sent.
    let opened = spawn_blocking(move || (ProbeSet::open(place.clone()), place, Kept::open(&places))).await;
    let (probes, place, kept) = opened.map_err(|why| AgentError::Panicked {
        task: "first look at the probes",
        reason: why.to_string(),
    })?;
    for source in probes.sources() {
        let state = source.state.as_str();
        tracing::info!(host, probe = source.name, state, reason = source.reason, "source");
    }

    let settings = Settings {
        vantage: config.vantage,
        frame_ms: config.frame.span.as_millis(),
        codec: config.frame.codec,
        spool_bytes: config.spool.max_bytes,
        limits: config.limits.clone(),
        act: config.act.clone(),
        trust,
        fence,
        ..Settings::new(topics, host, config.broker.clone())
    };
    let levers = Levers::of(&config, &place, ledger, &clock);
    let publisher = Publisher::resume(settings, kept?, levers, clock.clone())?;
    Ok(Sampler::new(config, place, probes, publisher, clock))
}

/// Where the probes of a host look. Its BMC is asked from now on, its event log from where the file `cursor` says.
pub(crate) fn place(config: &Config, cursor: Option<PathBuf>) -> Place {
    let bmc = config.bmc.settings(Path::new("/"));
    let bmc = bmc.map(|settings| watch::Settings { cursor, ..settings });
    Place {
        vantage: config.vantage,
        bmc: bmc.map(Watch::start),
        ..Place::new(PathBuf::from("/"), config.probes.clone())
    }
}

/// The host that the agent runs on.
pub(crate) fn own_host(config: &Config) -> Result<String, AgentError> {
    config.host.clone().map_or_else(own_name, Ok)
}

/// The name that the machine gives itself (uname(2)).
fn own_name() -> Result<String, AgentError> {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    shadow::check_name(&name).map_err(AgentError::HostName)?;
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_host_comes_first_and_others_are_seen_by_their_bmc_alone() {
        let of = |host: &str, address: &str| crate::config::OutOfBand {
            host: host.to_owned(),
            bmc: crate::config::Bmc {
                address: Some(address.to_owned()),
                ..Default::default()
            },
        };
        let config = Config {
            out_of_band: vec![of("web-1", "10.0.0.7"), of("web-2", "10.0.0.8")],
            ..Config::default()
        };
        let views = views(config, "edge");
        let told: Vec<_> = views
            .iter()
            .map(|view| (view.host.as_deref().unwrap(), view.vantage, view.bmc.address.as_deref()))
            .collect();
        assert_eq!(
            told,
            [
                ("edge", Vantage::Inband, None),
                ("web-1", Vantage::Oob, Some("10.0.0.7")),
                ("web-2", Vantage::Oob, Some("10.0.0.8")),
            ]
        );
        assert!(views.iter().all(|view| view.out_of_band.is_empty()));
    }

    #[tokio::test]
    async fn a_failure_is_told_once_and_its_end_can_be_awaited_again() {
        let mut handle = Handle {
            host: "web-1".to_owned(),
            task: Some(tokio::spawn(async { panic!("a probe is broken") })),
        };
        let fault = handle.ended().await.unwrap_err();
        assert!(matches!(fault, AgentError::Panicked { .. }), "{fault}");
        assert!(handle.ended().await.is_ok(), "told once");
    }
}
