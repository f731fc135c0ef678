//! The page of a large cell: how long a person waits until something is there, in chromium, beside the page of one host.
//!
//! Two cells live in this process, each with broker and brain as they are; their hosts tell a recording over MQTT, a frame a
//! second each, so that the brain has its whole work while its page is loaded. Loads take turns. A browser that has never been
//! there is what is measured: it keeps nothing of an earlier load.

use std::{net::SocketAddr, ops::Range, time::Duration};

use anyhow::{Context, ensure};
use browser::{Browser, Eyes};
use bus::{Client, Event, Qos};
use bytes::Bytes;
use runtime::{Clock, Shutdown};
use shadow::{Birth, Block, Capacity, Catalogue, codec::Encoder, wire};
use tempfile::TempDir;
use tokio::{
    task::JoinHandle,
    time::{MissedTickBehavior, interval, timeout},
};

use crate::{
    codec,
    ingest::with_channels,
    recording::{self, Levels},
    report::{Quantity, Report, Rival},
};

/// How long a cell may take until every host has forecasts.
const PATIENCE: Duration = Duration::from_mins(5);
/// Hosts that are born before it is looked whether the brain has them.
const AT_ONCE: usize = 500;
/// What a load is asked for, by the marks of browser and page: when anything was painted that is text or picture, and when the
/// hosts were drawn.
const ASKED: &str =
    "return ['first-contentful-paint', 'drawn'].map((name) => performance.getEntriesByName(name)[0].startTime)";
/// Shares of loads that a figure is told of, in percent.
const SHARES: [(usize, [&str; 2]); 2] = [
    (50, ["first_content_p50", "hosts_drawn_p50"]),
    (95, ["first_content_p95", "hosts_drawn_p95"]),
];

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Hosts of the large cell.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    hosts: usize,
    /// Loads of each page.
    #[arg(long, value_name = "N", default_value_t = 31)]
    loads: usize,
}

/// Runs all cases.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Report> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure(arguments))
}

async fn measure(arguments: &Arguments) -> anyhow::Result<Report> {
    let cells = [Cell::start(arguments.hosts).await?, Cell::start(1).await?];
    let browser = Browser::open(cells[1].page, Eyes::Desk).await;
    let browser = browser.context("there is no chromium to look with (Debian: chromium, chromium-driver)")?;
    browser.keep_nothing().await;
    let mut took = [(); 2].map(|()| [Vec::new(), Vec::new()]);
    for load in 0..=arguments.loads {
        for (cell, took) in cells.iter().zip(&mut took) {
            browser.visit(cell.page, "#/").await;
            browser
                .until("document.querySelector('.rows .row a')?.innerText.startsWith('host-')")
                .await;
            let told = browser.js(ASKED).await;
            let times = told
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(serde_json::Value::as_f64);
            // The first load warms up.
            let times = times.filter(|_| load > 0);
            took.iter_mut().zip(times).for_each(|(took, time)| took.push(time));
        }
    }
    browser.close().await;
    let mut report = Report::new("page");
    let [ours, floor] = took;
    for (share, metrics) in SHARES {
        for (metric, (ours, floor)) in metrics.into_iter().zip(ours.iter().zip(&floor)) {
            ensure!(
                ours.len() == arguments.loads && floor.len() == arguments.loads,
                "a load told no {metric}"
            );
            let rival = Rival {
                name: "1 host",
                value: quantile(floor, share),
            };
            report.push(
                &format!("{} hosts", arguments.hosts),
                Quantity { metric, unit: "ms" },
                quantile(ours, share),
                rival,
            );
        }
    }
    for cell in cells {
        cell.stop().await?;
    }
    Ok(report)
}

/// The least value that so large a share of all is not above; NaN of none.
fn quantile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (percent * sorted.len()).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

/// A broker, a brain and hosts that go on telling.
struct Cell {
    page: SocketAddr,
    brain: brain::Handle,
    stops: [Shutdown; 2],
    telling: JoinHandle<anyhow::Result<()>>,
    _data: TempDir,
}

impl Cell {
    /// Returns when each host is online and has a forecast.
    async fn start(hosts: usize) -> anyhow::Result<Self> {
        let stops = [(); 2].map(|()| Shutdown::new());
        let [broker_stop, brain_stop] = stops.clone();
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let broker = broker::start(
            broker::Config {
                listen: loopback,
                ..broker::Config::default()
            },
            broker_stop,
        )
        .await?;
        let port = broker.addr().port();
        let data = TempDir::with_prefix("foreshadow-page-")?;
        let mut config = brain::Config {
            data_dir: data.path().to_owned(),
            ..brain::Config::default()
        };
        config.broker.port = port;
        config.ingest.max_hosts = hosts;
        config.page.listen = loopback;
        let brain = brain::start(config, Clock::system(), brain_stop).await?;
        let mut connected = brain.connected();
        timeout(PATIENCE, connected.wait_for(|is| *is))
            .await
            .context("the brain finds no broker")??;

        let (client, mut events) = bus::connect(bus::Config::new("127.0.0.1", port, "hosts"));
        let event = timeout(PATIENCE, events.recv()).await?;
        ensure!(event == Some(Event::Connected), "not connected: {event:?}");
        // What the broker tells of it is of no use here, and must not pile up.
        drop(tokio::spawn(async move { while events.recv().await.is_some() {} }));
        let mut seen = brain.snapshot();
        let fleet = Fleet::new()?;
        for first in (0..hosts).step_by(AT_ONCE) {
            let end = hosts.min(first + AT_ONCE);
            fleet.born(&client, first..end).await?;
            let born = seen.wait_for(|snapshot| snapshot.hosts.len() >= end);
            timeout(PATIENCE, born)
                .await
                .context("the brain does not take all births")??;
        }
        let telling = tokio::spawn(fleet.tell(client, hosts));
        let forecast = seen.wait_for(|snapshot| {
            let mut hosts = snapshot.hosts.iter();
            hosts.all(|host| host.state == "online" && host.resources.iter().any(|one| one.peak().is_some()))
        });
        timeout(PATIENCE, forecast)
            .await
            .context("not every host has a forecast")??;
        Ok(Self {
            page: brain.page_addr(),
            brain,
            stops,
            telling,
            _data: data,
        })
    }

    /// Ends it; the hosts must have told until now.
    async fn stop(self) -> anyhow::Result<()> {
        ensure!(!self.telling.is_finished(), "the hosts have fallen silent");
        self.telling.abort();
        let [broker, brain] = self.stops;
        brain.trigger("measured");
        self.brain.join().await?;
        broker.trigger("measured");
        Ok(())
    }
}

/// What every host tells.
struct Fleet {
    birth: Birth,
    blocks: Vec<Block>,
}

impl Fleet {
    fn new() -> anyhow::Result<Self> {
        let recording = recording::read(&recording::own()?, Levels::Bound)?;
        let catalogue: Catalogue = with_channels(&recording.catalogue);
        let blocks = codec::cut(&recording.samples, &catalogue, 1_000);
        ensure!(!blocks.is_empty(), "the recording is empty");
        let now_ms = Clock::system().now_ms();
        let birth = Birth {
            epoch: now_ms.unsigned_abs() * 1_000,
            time_ms: now_ms,
            catalogue,
            capacity: Capacity {
                cpu_cores: Some(16.0),
                memory_bytes: Some(64e9),
                ..Capacity::default()
            },
            ..Birth::default()
        };
        Ok(Self { birth, blocks })
    }

    async fn born(&self, client: &Client, hosts: Range<usize>) -> anyhow::Result<()> {
        let birth = Bytes::from(wire::encode_birth(&self.birth));
        for host in hosts {
            client
                .publish(topic(host, "birth"), birth.clone(), Qos::AtLeastOnce, false)
                .await?;
        }
        Ok(())
    }

    /// A frame of each host a second, for ever: the recording again and again, as if it were sampled now.
    async fn tell(self, client: Client, hosts: usize) -> anyhow::Result<()> {
        let mut encoder = Encoder::new(&self.birth.catalogue);
        let clock = Clock::system();
        let mut seconds = interval(Duration::from_secs(1));
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for (sequence, block) in (0..).zip(self.blocks.iter().cycle()) {
            seconds.tick().await;
            let mut block = block.clone();
            let ahead_ms = clock.now_ms() - block.times_ms.last().copied().unwrap_or_default();
            block.times_ms.iter_mut().for_each(|time| *time += ahead_ms);
            let frame = encoder.frame(self.birth.epoch, sequence, &block)?;
            let frame = Bytes::from(wire::encode_frame(&frame));
            for host in 0..hosts {
                client
                    .publish(topic(host, "delta"), frame.clone(), Qos::AtLeastOnce, false)
                    .await?;
            }
        }
        Ok(())
    }
}

fn topic(host: usize, kind: &str) -> String {
    format!("foreshadow/main/host-{host:05}/bin/inband/{kind}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_a_value_that_came() {
        let values: Vec<f64> = (1..=31).rev().map(f64::from).collect();
        assert_eq!([50, 95, 100].map(|share| quantile(&values, share)), [16.0, 30.0, 31.0]);
        assert!(quantile(&[], 50).is_nan());
    }
}
