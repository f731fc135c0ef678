//! A journal on a disk that is full: it is told, and with `fsync = "always"` nothing is acknowledged that is not kept.

use std::{path::Path, process::Command, time::Duration};

use broker::{Config, Fsync};
use rumqttc::{Event, Incoming, QoS};

use crate::harness::{Broker, PATIENCE, step_aside};

/// A file system of some KiB at a folder, until this goes.
struct Tiny<'a>(&'a Path);

impl<'a> Tiny<'a> {
    fn mount(folder: &'a Path) -> Option<Self> {
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=512k", "none"])
            .arg(folder)
            .status();
        if status.is_ok_and(|status| status.success()) {
            return Some(Self(folder));
        }
        step_aside("no tmpfs can be mounted; it takes root");
        None
    }

    fn grow(&self) {
        let status = Command::new("mount")
            .args(["-o", "remount,size=64m"])
            .arg(self.0)
            .status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Tiny<'_> {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(self.0).status());
    }
}

#[tokio::test]
async fn on_a_full_disk_nothing_is_acknowledged_that_is_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = Tiny::mount(folder.path()) else { return };
    let config = || Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        data: Some(folder.path().to_owned()),
        fsync: Fsync::Always,
        ..Config::default()
    };
    let broker = Broker::listen(config()).await;
    let mut client = broker.client("publisher").await;
    let is_ack = |event: &Event| matches!(event, Event::Incoming(Incoming::PubAck(_)));
    let mut kept = 0;
    for n in 0..64u8 {
        client
            .publish(&format!("t/{n}"), vec![n; 16 << 10], QoS::AtLeastOnce, true)
            .await;
        let acknowledged = tokio::time::timeout(Duration::from_secs(3), client.until(is_ack)).await;
        if acknowledged.is_err() {
            break;
        }
        kept += 1;
    }
    assert!((1..64).contains(&kept), "{kept} of 64 times 16 KiB fit into 512 KiB");
    assert!(broker.handle.figures().journal_faults > 0, "and it is told");
    // Others come in meanwhile.
    broker.client("other").await.disconnect().await;

    disk.grow();
    tokio::time::timeout(PATIENCE, client.until(is_ack)).await.unwrap();
    kept += 1;
    broker.stop().await;

    let broker = Broker::listen(config()).await;
    let mut client = broker.client("reader").await;
    client.subscribe("t/#", QoS::AtMostOnce).await;
    for _ in 0..kept {
        assert_eq!(client.message().await.1.len(), 16 << 10);
    }
    broker.stop().await;
}
