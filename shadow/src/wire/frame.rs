//! [`Frame`]s on the wire.

use prost::{Message, bytes::Buf};
use schemas::v1;

use super::{WireError, check::Check};
use crate::{Frame, UnixMs, codec, frame::MAX_SAMPLES};

/// The longest frame: some minutes of a large host. A host's second has some hundred bytes.
pub const MAX_FRAME_BYTES: usize = 1 << 20;

/// How many samples a frame of codec 2 has that does not say it: a second's, at the full pace.
const USUAL_SAMPLES: u32 = 10;

const CHECK: Check = Check {
    message: "frame",
    max_bytes: MAX_FRAME_BYTES,
    lists: &[],
};

/// The bytes of `frame`.
pub fn encode_frame(frame: &Frame) -> Vec<u8> {
    let mut message = v1::Frame {
        epoch: frame.epoch,
        sequence: frame.sequence,
        start_ms: frame.start_ms,
        samples: frame.samples,
        codec: frame.codec,
        body: frame.body.clone(),
        reference: 0,
        start_lead_ms: 0,
    };
    if frame.codec == codec::ENTROPY {
        message.codec = 0;
        message.reference = swap_usual(frame.reference);
        message.start_ms = 0;
        message.start_lead_ms = frame
            .start_ms
            .wrapping_sub(nominal_start_ms(frame.epoch, frame.sequence));
        if frame.samples == USUAL_SAMPLES {
            message.samples = 0;
        }
    }
    message.encode_to_vec()
}

/// Reads a frame. Its body is not looked into; of a `Bytes` it stays a view, of a `&[u8]` it is copied.
///
/// # Errors
/// [`WireError`] when it is too long, not protobuf, of 0 or more than [`MAX_SAMPLES`] samples, or of no
/// believable time, epoch or sequence.
pub fn decode_frame(payload: impl Buf) -> Result<Frame, WireError> {
    CHECK.size(payload.remaining())?;
    let mut message = v1::Frame::decode(payload).map_err(|source| CHECK.malformed(&source))?;
    if message.codec == 0 {
        message.codec = codec::ENTROPY;
        message.reference = swap_usual(message.reference);
        message.start_ms = nominal_start_ms(message.epoch, message.sequence).wrapping_add(message.start_lead_ms);
        if message.samples == 0 {
            message.samples = USUAL_SAMPLES;
        }
    }
    if message.samples == 0 || message.samples as usize > MAX_SAMPLES {
        let fault = format!("{} is not from 1 to {MAX_SAMPLES}", message.samples);
        return Err(CHECK.bad(format_args!("samples"), fault));
    }
    if message.codec != codec::ENTROPY {
        message.reference = 0;
    }
    if message.reference > message.sequence {
        let fault = format!("{} is before the epoch's first frame", message.reference);
        return Err(CHECK.bad(format_args!("reference"), fault));
    }
    Ok(Frame {
        epoch: CHECK.number(format_args!("epoch"), message.epoch)?,
        sequence: CHECK.number(format_args!("sequence"), message.sequence)?,
        start_ms: CHECK.time(format_args!("start_ms"), message.start_ms)?,
        samples: message.samples,
        codec: message.codec,
        reference: message.reference,
        body: message.body,
    })
}

/// Most frames are read against the one before, so that is what is not written.
const fn swap_usual(reference: u64) -> u64 {
    match reference {
        0 => 1,
        1 => 0,
        other => other,
    }
}

/// When frame `sequence` of an epoch begins if each takes a second.
#[expect(
    clippy::cast_possible_wrap,
    reason = "whoever reads adds the same number to what was taken from it"
)]
const fn nominal_start_ms(epoch: u64, sequence: u64) -> UnixMs {
    (epoch / 1_000).wrapping_add(sequence.wrapping_mul(1_000)) as UnixMs
}
