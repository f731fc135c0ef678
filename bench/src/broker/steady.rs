//! How long a message is under way when there is little to do: 640 messages a second from 64 publishers.

use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval, timeout};

use super::{
    CPU, Figures, LOST, P50, P99,
    client::{Client, Packet, number},
    process::Process,
    saturated::{PAYLOAD, PUBLISHERS, topic},
};

const PER_S: u32 = 640;

/// How long the last messages may take.
const SILENCE: Duration = Duration::from_secs(2);

pub(super) async fn measure(broker: &Process, length: Duration) -> anyhow::Result<Figures> {
    let mut subscriber = Client::connect(broker.port, "brain").await?;
    subscriber
        .subscribe(&["foreshadow/main/+/bin/+/delta".to_owned()])
        .await?;
    let mut publishers = Vec::new();
    for publisher in 0..PUBLISHERS {
        let client = Client::connect(broker.port, &format!("host-{publisher}")).await?;
        publishers.push((topic(publisher), client));
    }
    let count = usize::try_from(length.as_millis() * u128::from(PER_S) / 1_000)?;
    let (start, cpu) = (Instant::now(), broker.cpu_s()?);
    let receiving = tokio::spawn(receive(subscriber, count, start));
    let mut ticks = interval(Duration::from_secs(1) / PER_S);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for round in 0..count.div_ceil(PUBLISHERS) {
        for (topic, client) in publishers.iter_mut().take(count - round * PUBLISHERS) {
            ticks.tick().await;
            let id = u16::try_from(round % usize::from(u16::MAX) + 1)?;
            let now_ns = u64::try_from(start.elapsed().as_nanos())?;
            client.put_publish(topic, id, (now_ns, PAYLOAD));
            client.flush().await?;
        }
    }
    let mut latencies_ms = receiving.await??;
    latencies_ms.sort_by(f64::total_cmp);
    let percentile = |percent: usize| {
        let at = latencies_ms.len() * percent / 100;
        latencies_ms.get(at).copied().unwrap_or(f64::NAN)
    };
    let come = latencies_ms.len() as f64;
    Ok(vec![
        (P50, percentile(50)),
        (P99, percentile(99)),
        (CPU, (broker.cpu_s()? - cpu) / come * 1e6),
        (LOST, count as f64 - come),
    ])
}

/// How long each message was under way, in milliseconds. Each holds when it was sent, in nanoseconds after `start`.
async fn receive(mut subscriber: Client, count: usize, start: Instant) -> anyhow::Result<Vec<f64>> {
    let mut latencies_ms = Vec::with_capacity(count);
    while latencies_ms.len() < count {
        match timeout(SILENCE, subscriber.fill()).await {
            Ok(filled) => filled?,
            Err(_silent) => break,
        }
        let now_ms = start.elapsed().as_secs_f64() * 1e3;
        while let Some(packet) = subscriber.take()? {
            if let Packet::Publish { payload, id, .. } = packet {
                latencies_ms.push(now_ms - number(payload)? as f64 / 1e6);
                subscriber.put_ack(id);
            }
        }
        subscriber.flush().await?;
    }
    Ok(latencies_ms)
}
