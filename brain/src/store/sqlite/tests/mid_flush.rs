//! A brain that is killed at any step of a batch.

use std::{
    future::{Future, poll_fn},
    path::Path,
    pin::{Pin, pin},
    task::Poll,
};

use sqlx::query;

use super::*;
use crate::{
    ingest::RangeSet,
    store::{Batch, testing::frame},
};

/// Goes on by one step; `None` before the last one.
async fn step<T>(mut work: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    let mut polled = false;
    poll_fn(|context| {
        if polled {
            return Poll::Ready(None);
        }
        polled = true;
        work.as_mut().poll(context).map(Some)
    })
    .await
}

fn files(folder: &Path) -> [Vec<u8>; 2] {
    ["brain.db", "brain.db-wal"].map(|name| std::fs::read(folder.join(name)).unwrap())
}

/// Frames and hosts that a brain finds which starts on these files.
async fn found(files: &[Vec<u8>; 2]) -> (usize, usize, RangeSet) {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in ["brain.db", "brain.db-wal"].into_iter().zip(files) {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    let mut store = Sqlite::open(folder.path()).await.unwrap();
    let mut back = store.recover(SINCE).await.unwrap();
    let ranges = back.watermarks.remove(&(stream(), 7)).unwrap();
    (
        count(&mut store, "frames").await.try_into().unwrap(),
        back.hosts.len(),
        ranges,
    )
}

#[tokio::test]
async fn at_every_step_of_a_batch_all_of_it_is_durable_or_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Sqlite::open(folder.path()).await.unwrap();
    store.write(&full_batch()).await.unwrap();
    // What is written goes to the disk before it is committed.
    query("PRAGMA cache_size = 1")
        .execute(&mut store.connection)
        .await
        .unwrap();
    let watermark = RangeSet::from_ranges([0..1, 2..2_500]);
    let batch = Batch {
        hosts: [("web-1".into(), 79_000), ("web-2".into(), 79_000)].into(),
        frames: (3..2_500).map(|sequence| (stream(), frame(sequence, 70_000))).collect(),
        watermarks: [((stream(), 7), watermark.clone())].into(),
        ..full_batch()
    };
    let before = files(folder.path());
    let (mut last, mut spilled, mut steps) = (before.clone(), 0, 0);
    {
        let mut writing = pin!(store.write(&batch));
        while step(writing.as_mut()).await.map(Result::unwrap).is_none() {
            steps += 1;
            let now = files(folder.path());
            if now != last {
                let (frames, hosts, ranges) = found(&now).await;
                let nothing = (frames, hosts) == (2, 1) && ranges == RangeSet::from_ranges([0..1, 2..3]);
                let all = (frames, hosts) == (2_499, 2) && ranges == watermark;
                assert!(
                    nothing || all,
                    "step {steps}: {frames} frames, {hosts} hosts, {ranges:?}"
                );
                spilled += usize::from(nothing);
                last = now;
            }
        }
    }
    assert!(spilled > 0, "of {steps} steps none had a part of the batch on the disk");
    assert_eq!(found(&files(folder.path())).await, (2_499, 2, watermark));
}
