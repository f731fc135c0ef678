//! As many messages as a broker can move: 64 publishers, one subscriber, QoS 1, 500 bytes.

use std::time::{Duration, Instant};

use super::{
    CPU, Figures, LOST, MESSAGES, PEAK,
    client::{Client, Packet, number},
    process::Process,
};

pub(super) const PUBLISHERS: usize = 64;
pub(super) const PAYLOAD: usize = 500;

/// Messages that a publisher has under way: what rumqttc takes by default. It writes again when half of them are
/// acknowledged.
const WINDOW: usize = 100;

/// Bytes that the subscriber reads at once.
const READ: usize = 256 * 1024;

/// What has not come when nothing came for so long is lost.
const SILENCE: Duration = Duration::from_secs(5);

pub(super) async fn measure(broker: &Process, messages: usize) -> anyhow::Result<Figures> {
    let mut subscriber = Client::connect(broker.port, "brain").await?;
    subscriber
        .subscribe(&["foreshadow/main/+/bin/+/delta".to_owned()])
        .await?;
    let mut publishers = Vec::new();
    for publisher in 0..PUBLISHERS {
        publishers.push(Client::connect(broker.port, &format!("host-{publisher}")).await?);
    }
    let (start, cpu) = (Instant::now(), broker.cpu_s()?);
    let each = messages / PUBLISHERS;
    let telling: Vec<_> = (0..)
        .zip(publishers)
        .map(|(publisher, client)| tokio::spawn(publish(client, publisher, each)))
        .collect();
    let mut seen = vec![false; each * PUBLISHERS];
    let mut come = 0;
    let mut last = start;
    while come < seen.len() {
        subscriber.reserve(READ);
        match tokio::time::timeout(SILENCE, subscriber.fill()).await {
            Ok(filled) => filled?,
            Err(_silent) => break,
        }
        last = Instant::now();
        while let Some(packet) = subscriber.take()? {
            if let Packet::Publish { payload, id, .. } = packet {
                let number = usize::try_from(number(payload)?)?;
                // A message may come twice; it counts once.
                let new = seen.get_mut(number).is_some_and(|seen| !std::mem::replace(seen, true));
                come += usize::from(new);
                subscriber.put_ack(id);
            }
        }
        subscriber.flush().await?;
    }
    for publisher in telling {
        publisher.await??;
    }
    let come = come as f64;
    Ok(vec![
        (MESSAGES, come / (last - start).as_secs_f64()),
        (CPU, (broker.cpu_s()? - cpu) / come * 1e6),
        (LOST, seen.len() as f64 - come),
        (PEAK, broker.peak_bytes()? / 1e6),
    ])
}

/// Sends `count` messages, numbered over all publishers, and waits until all are acknowledged.
async fn publish(mut client: Client, publisher: usize, count: usize) -> anyhow::Result<()> {
    let topic = topic(publisher);
    let (mut sent, mut acked) = (0, 0);
    while acked < count {
        if sent - acked <= WINDOW / 2 {
            while sent < count && sent - acked < WINDOW {
                let id = u16::try_from(sent % WINDOW + 1)?;
                let number = (publisher * count + sent) as u64;
                client.put_publish(&topic, id, (number, PAYLOAD));
                sent += 1;
            }
            client.flush().await?;
        }
        client.fill().await?;
        while let Some(packet) = client.take()? {
            acked += usize::from(matches!(packet, Packet::PubAck));
        }
    }
    Ok(())
}

/// Where a host's frames go.
pub(super) fn topic(host: usize) -> String {
    format!("foreshadow/main/host-{host}/bin/inband/delta")
}
