//! Frames that others are read against.

use std::collections::BTreeSet;

use shadow::Frame;
use sqlx::query;

use super::{super::dialect::Connection, rows};
use crate::store::{FrameId, Stream};

/// How far a frame may be from one that is read by itself: writers go 9 steps.
const MAX_STEPS: u32 = 16;

/// Those of `wanted` that are stored, and what they are read against: each after its reference.
pub(in crate::store) async fn with_theirs(
    from: &mut Connection,
    wanted: &[FrameId],
) -> Result<Vec<(Stream, Frame)>, sqlx::Error> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    let mut wanted = wanted.to_vec();
    for _ in 0..MAX_STEPS {
        let mut next = Vec::new();
        for id in wanted {
            if !seen.insert(id.clone()) {
                continue;
            }
            if let Some(frame) = one(from, &id).await? {
                next.extend(reference(&id.stream, &frame));
                found.push((id.stream, frame));
            }
        }
        wanted = next;
    }
    // A reference has the smaller sequence.
    found.sort_by_key(|(_, frame)| (frame.epoch, frame.sequence));
    Ok(found)
}

/// What `frames` are read against and is not among them.
pub(in crate::store) async fn of(
    from: &mut Connection,
    frames: &[(Stream, Frame)],
) -> Result<Vec<(Stream, Frame)>, sqlx::Error> {
    let id = |(stream, frame): &(Stream, Frame)| FrameId {
        stream: stream.clone(),
        epoch: frame.epoch,
        sequence: frame.sequence,
    };
    let there: BTreeSet<FrameId> = frames.iter().map(id).collect();
    let wanted = frames.iter().filter_map(|(stream, frame)| reference(stream, frame));
    let wanted: BTreeSet<FrameId> = wanted.filter(|id| !there.contains(id)).collect();
    with_theirs(from, &wanted.into_iter().collect::<Vec<_>>()).await
}

fn reference(stream: &Stream, frame: &Frame) -> Option<FrameId> {
    Some(FrameId {
        stream: stream.clone(),
        epoch: frame.epoch,
        sequence: frame.reads_against()?,
    })
}

async fn one(from: &mut Connection, id: &FrameId) -> Result<Option<Frame>, sqlx::Error> {
    let row = query("SELECT * FROM frames WHERE host = $1 AND vantage = $2 AND epoch = $3 AND sequence = $4")
        .bind(&*id.stream.host)
        .bind(id.stream.vantage.as_str())
        .bind(i64::try_from(id.epoch).unwrap_or(i64::MAX))
        .bind(i64::try_from(id.sequence).unwrap_or(i64::MAX))
        .fetch_optional(from)
        .await?;
    row.as_ref().map(rows::frame).transpose()
}
