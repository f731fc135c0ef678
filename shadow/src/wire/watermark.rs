//! [`Watermark`]s on the wire.

use prost::Message;
use schemas::v1;

use super::{WireError, check::Check, scan::List};
use crate::{EpochMark, Watermark};

/// The longest watermark.
pub const MAX_WATERMARK_BYTES: usize = 256 << 10;

/// The most epochs in a watermark: an agent spools no more lives than that.
pub const MAX_EPOCHS: usize = 256;

/// The most missing ranges in a watermark, over all epochs. Of more, the oldest go first.
pub const MAX_RANGES: usize = 4_096;

const CHECK: Check = Check {
    message: "watermark",
    max_bytes: MAX_WATERMARK_BYTES,
    lists: &[
        List {
            name: "epochs",
            path: &[1],
            most: MAX_EPOCHS,
        },
        List {
            name: "epochs.missing",
            path: &[1, 3],
            most: MAX_RANGES,
        },
    ],
};

/// The bytes of `watermark`.
pub fn encode_watermark(watermark: &Watermark) -> Vec<u8> {
    let epochs = watermark.epochs.iter().map(mark_to_wire).collect();
    v1::Watermark { epochs }.encode_to_vec()
}

/// Reads a watermark.
///
/// # Errors
/// [`WireError`] when it is too long, not protobuf, or its ranges are empty, not rising, or reach past
/// what is durable.
pub fn decode_watermark(bytes: &[u8]) -> Result<Watermark, WireError> {
    let message: v1::Watermark = CHECK.decode(bytes)?;
    let epochs = message.epochs.into_iter().enumerate();
    let epochs = epochs.map(|(i, mark)| mark_from_wire(i, mark));
    Ok(Watermark {
        epochs: epochs.collect::<Result<_, _>>()?,
    })
}

fn mark_to_wire(mark: &EpochMark) -> v1::EpochMark {
    let missing = mark.missing.iter().map(|range| v1::Range {
        first: range.start,
        end: range.end,
    });
    v1::EpochMark {
        epoch: mark.epoch,
        durable_below: mark.durable_below,
        missing: missing.collect(),
        birth_wanted: mark.birth_wanted,
    }
}

fn mark_from_wire(i: usize, mark: v1::EpochMark) -> Result<EpochMark, WireError> {
    let mut missing = Vec::with_capacity(mark.missing.len());
    let mut last_end = 0;
    for v1::Range { first, end } in mark.missing {
        if first < last_end || end <= first || end > mark.durable_below {
            let fault = format!("{first}..{end} is empty, not rising, or past {}", mark.durable_below);
            return Err(CHECK.bad(format_args!("epochs[{i}].missing"), fault));
        }
        last_end = end;
        missing.push(first..end);
    }
    Ok(EpochMark {
        epoch: CHECK.number(format_args!("epochs[{i}].epoch"), mark.epoch)?,
        durable_below: CHECK.number(format_args!("epochs[{i}].durable_below"), mark.durable_below)?,
        missing,
        birth_wanted: mark.birth_wanted,
    })
}
