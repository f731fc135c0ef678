//! Checks of single fields, with errors that name them.

use std::fmt::Arguments;

use prost::Message;

use super::{
    WireError,
    scan::{self, List},
};
use crate::UnixMs;

/// The longest name of a metric, workload, source or command, in bytes.
pub const MAX_NAME_BYTES: usize = 255;

/// The longest text for people, in bytes.
pub const MAX_TEXT_BYTES: usize = 4_096;

/// The latest moment that is believed, in milliseconds of the unix clock: the last of the year 9999.
pub const MAX_TIME_MS: UnixMs = 253_402_300_799_999;

/// The kind of message that is being read: what its errors say, and what is allowed.
#[derive(Clone, Copy)]
pub(super) struct Check {
    pub(super) message: &'static str,
    pub(super) max_bytes: usize,
    pub(super) lists: &'static [List],
}

impl Check {
    /// Reads the protobuf message, its size and the length of its lists checked first.
    pub(super) fn decode<M: Message + Default>(self, bytes: &[u8]) -> Result<M, WireError> {
        self.size(bytes.len())?;
        scan::check_lists(self.message, self.lists, bytes)?;
        M::decode(bytes).map_err(|source| self.malformed(&source))
    }

    pub(super) fn size(self, bytes: usize) -> Result<(), WireError> {
        let Self { message, max_bytes, .. } = self;
        if bytes > max_bytes {
            return Err(WireError::TooLong {
                message,
                bytes,
                most: max_bytes,
            });
        }
        Ok(())
    }

    pub(super) fn malformed(self, source: &prost::DecodeError) -> WireError {
        WireError::Malformed {
            message: self.message,
            reason: source.to_string(),
        }
    }

    pub(super) fn bad(self, field: Arguments<'_>, fault: impl Into<String>) -> WireError {
        WireError::Field {
            message: self.message,
            field: field.to_string(),
            fault: fault.into(),
        }
    }

    pub(super) fn finite(self, field: Arguments<'_>, value: f64) -> Result<f64, WireError> {
        if value.is_finite() {
            Ok(value)
        } else {
            Err(self.bad(field, format!("{value} is not a finite number")))
        }
    }

    pub(super) fn amount(self, field: Arguments<'_>, value: f64) -> Result<f64, WireError> {
        if value.is_finite() && value >= 0.0 {
            Ok(value)
        } else {
            Err(self.bad(field, format!("{value} is not a finite number of 0 or more")))
        }
    }

    pub(super) fn maybe_amount(self, field: Arguments<'_>, value: Option<f64>) -> Result<Option<f64>, WireError> {
        value.map(|value| self.amount(field, value)).transpose()
    }

    pub(super) fn time(self, field: Arguments<'_>, time_ms: i64) -> Result<UnixMs, WireError> {
        if (0..=MAX_TIME_MS).contains(&time_ms) {
            Ok(time_ms)
        } else {
            Err(self.bad(field, format!("{time_ms} is not a moment from 1970 to 9999")))
        }
    }

    /// Numbers that are stored: databases have no unsigned 64 bit integer.
    pub(super) fn number(self, field: Arguments<'_>, value: u64) -> Result<u64, WireError> {
        if i64::try_from(value).is_ok() {
            Ok(value)
        } else {
            Err(self.bad(field, format!("{value} is not less than 2^63")))
        }
    }

    /// A name: 1 to [`MAX_NAME_BYTES`], no control characters. That does not make it a topic level.
    pub(super) fn name(self, field: Arguments<'_>, name: String) -> Result<String, WireError> {
        if name.is_empty() || name.len() > MAX_NAME_BYTES {
            let fault = format!("{} bytes; a name has 1 to {MAX_NAME_BYTES}", name.len());
            return Err(self.bad(field, fault));
        }
        match name.chars().find(|c| c.is_control()) {
            None => Ok(name),
            Some(c) => Err(self.bad(field, format!("{name:?} has the control character {c:?}"))),
        }
    }

    /// Text for people: at most [`MAX_TEXT_BYTES`]. Control characters become spaces, for it will be printed
    /// on terminals.
    pub(super) fn text(self, field: Arguments<'_>, text: String) -> Result<String, WireError> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(self.bad(
                field,
                format!("{} bytes; a text has at most {MAX_TEXT_BYTES}", text.len()),
            ));
        }
        if text.chars().any(char::is_control) {
            return Ok(text.replace(char::is_control, " "));
        }
        Ok(text)
    }
}
