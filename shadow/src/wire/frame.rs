//! [`Frame`]s on the wire.

use prost::{Message, bytes::Buf};
use schemas::v1;

use super::{WireError, check::Check};
use crate::{Frame, frame::MAX_SAMPLES};

/// The longest frame: some minutes of a large host. A host's second has some hundred bytes.
pub const MAX_FRAME_BYTES: usize = 1 << 20;

const CHECK: Check = Check {
    message: "frame",
    max_bytes: MAX_FRAME_BYTES,
    lists: &[],
};

/// The bytes of `frame`.
pub fn encode_frame(frame: &Frame) -> Vec<u8> {
    let message = v1::Frame {
        epoch: frame.epoch,
        sequence: frame.sequence,
        start_ms: frame.start_ms,
        samples: frame.samples,
        codec: frame.codec,
        body: frame.body.clone(),
    };
    message.encode_to_vec()
}

/// Reads a frame. Its body is not looked into; of a `Bytes` it stays a view, of a `&[u8]` it is copied.
///
/// # Errors
/// [`WireError`] when it is too long, not protobuf, of 0 or more than [`MAX_SAMPLES`] samples, or of no
/// believable time, epoch or sequence.
pub fn decode_frame(payload: impl Buf) -> Result<Frame, WireError> {
    CHECK.size(payload.remaining())?;
    let message = v1::Frame::decode(payload).map_err(|source| CHECK.malformed(&source))?;
    if message.samples == 0 || message.samples as usize > MAX_SAMPLES {
        let fault = format!("{} is not from 1 to {MAX_SAMPLES}", message.samples);
        return Err(CHECK.bad(format_args!("samples"), fault));
    }
    Ok(Frame {
        epoch: CHECK.number(format_args!("epoch"), message.epoch)?,
        sequence: CHECK.number(format_args!("sequence"), message.sequence)?,
        start_ms: CHECK.time(format_args!("start_ms"), message.start_ms)?,
        samples: message.samples,
        codec: message.codec,
        body: message.body,
    })
}
