//! What a connection costs that says little: a host with its own subscriptions, one frame, one watermark, and pings.

use std::time::Duration;

use anyhow::{Context, bail};
use tokio::{task::JoinSet, time::sleep};

use super::{
    Figures, PER_CONNECTION,
    client::{Client, Packet},
    process::Process,
    saturated::PAYLOAD,
};

/// Hosts that come at once.
const AT_ONCE: usize = 64;
/// Bytes of a watermark.
const WATERMARK: usize = 40;
/// How long all connections are silent before memory is read.
const REST: Duration = Duration::from_millis(500);

pub(super) async fn measure(broker: &Process, connections: usize) -> anyhow::Result<Figures> {
    let mut brain = Client::connect(broker.port, "brain").await?;
    brain.subscribe(&["foreshadow/main/+/bin/+/delta".to_owned()]).await?;
    let mut background = JoinSet::new();
    background.spawn(answer(brain));
    // What a broker sets up for its first clients is not what each costs.
    let _first = come(broker.port, "first", AT_ONCE).await?;
    let before = broker.resident_bytes()?;
    let mut hosts = come(broker.port, "host", connections).await?;
    sleep(REST).await;
    for host in &mut hosts {
        host.ping().await?;
    }
    sleep(REST).await;
    let grown = broker.resident_bytes()? - before;
    if let Some(ended) = background.try_join_next() {
        ended?.context("the brain's client")?;
    }
    Ok(vec![(PER_CONNECTION, grown / connections as f64)])
}

/// So many hosts, each of which has told a frame and got its watermark.
async fn come(port: u16, name: &'static str, count: usize) -> anyhow::Result<Vec<Client>> {
    let mut coming = JoinSet::new();
    for lane in 0..AT_ONCE {
        coming.spawn(async move {
            let mut hosts = Vec::new();
            for number in (lane..count).step_by(AT_ONCE) {
                hosts.push(host(port, &format!("{name}-{number}")).await?);
            }
            anyhow::Ok(hosts)
        });
    }
    let mut hosts = Vec::new();
    while let Some(lane) = coming.join_next().await {
        hosts.extend(lane??);
    }
    Ok(hosts)
}

async fn host(port: u16, name: &str) -> anyhow::Result<Client> {
    let mut host = Client::connect(port, name).await?;
    let own = ["command", "watermark"].map(|kind| format!("foreshadow/main/{name}/bin/inband/{kind}"));
    host.subscribe(&own).await?;
    let delta = format!("foreshadow/main/{name}/bin/inband/delta");
    host.put_publish(&delta, 1, (0, PAYLOAD));
    host.flush().await?;
    // The watermark may come before the acknowledgement.
    for _ in 0..2 {
        match host.next().await? {
            Packet::Publish { id, .. } => host.put_ack(id),
            Packet::PubAck => (),
            Packet::Other(first) => bail!("{first:#x} came"),
        }
    }
    host.ping().await?;
    Ok(host)
}

/// Answers each frame with a watermark, as a brain does.
async fn answer(mut brain: Client) -> anyhow::Result<()> {
    let mut sent = 0_u16;
    loop {
        if let Packet::Publish { topic, id, .. } = brain.next().await? {
            let topic = std::str::from_utf8(&topic)?.replace("/delta", "/watermark");
            brain.put_ack(id);
            sent = sent.checked_add(1).unwrap_or(1);
            brain.put_publish(&topic, sent, (0, WATERMARK));
            brain.flush().await?;
        }
    }
}
