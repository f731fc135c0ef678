//! Flat JSON within a fixed number of bytes.

use std::fmt::Write as _;

use super::MAX_BYTES;

/// Digits that a number keeps; what is left out is below what is measured.
const DIGITS: i32 = 4;

/// A JSON object that is being written. Fields that do not fit any more are left out, texts are shortened.
#[derive(Debug)]
pub(super) struct Flat(String);

impl Flat {
    pub(super) fn new() -> Self {
        Self("{".to_owned())
    }

    /// A number; one that is not finite is left out.
    pub(super) fn number(self, key: &str, value: f64) -> Self {
        if value.is_finite() {
            self.field(key, &rounded(value).to_string())
        } else {
            self
        }
    }

    /// A number that may be missing.
    pub(super) fn maybe(self, key: &str, value: Option<f64>) -> Self {
        match value {
            Some(value) => self.number(key, value),
            None => self,
        }
    }

    /// A text, shortened to the room that is left.
    pub(super) fn text(self, key: &str, value: &str) -> Self {
        // Comma, colon, two quotes a side and the closing brace.
        let room = MAX_BYTES.saturating_sub(self.0.len() + key.len() + 7);
        let value = quoted(value, room);
        self.field(key, &value)
    }

    pub(super) fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }

    fn field(mut self, key: &str, value: &str) -> Self {
        let comma = if self.0.len() > 1 { "," } else { "" };
        if self.0.len() + comma.len() + key.len() + 3 + value.len() < MAX_BYTES {
            let written = write!(self.0, "{comma}\"{key}\":{value}");
            debug_assert!(written.is_ok(), "a string takes everything");
        }
        self
    }
}

/// `value` with [`DIGITS`] digits, whole from 1000 on.
fn rounded(value: f64) -> f64 {
    if value == 0.0 || value.abs() >= 1_000.0 {
        return value.round() + 0.0;
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a logarithm of a finite f64 is within ±1100"
    )]
    let magnitude = value.abs().log10().floor() as i32;
    // Below a millionth there is nothing to see, and the digits would take all the room.
    let scale = 10_f64.powi((DIGITS - 1 - magnitude).min(6));
    (value * scale).round() / scale + 0.0
}

/// `text` as a JSON string of at most `room` bytes between its quotes.
fn quoted(text: &str, room: usize) -> String {
    let mut short = String::new();
    let mut used = 0;
    for c in text.chars() {
        let c = if c.is_control() { ' ' } else { c };
        used += c.len_utf8() + usize::from(matches!(c, '"' | '\\'));
        if used > room {
            break;
        }
        short.push(c);
    }
    serde_json::Value::from(short).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_short_and_right() {
        for (value, shown) in [
            (0.0, "0"),
            (-0.0, "0"),
            (0.312_345, "0.3123"),
            (12.345_678, "12.35"),
            (999.96, "1000"),
            (123_456.7, "123457"),
            (1e-9, "0"),
            (-2.5, "-2.5"),
        ] {
            assert_eq!(rounded(value).to_string(), shown);
        }
    }

    proptest! {
        #[test]
        fn whatever_is_told_is_valid_and_short(
            fields in prop::collection::vec(("[a-z_]{1,20}", any::<f64>(), ".{0,80}"), 0..12),
        ) {
            let mut flat = Flat::new();
            for (key, number, text) in &fields {
                flat = flat.number(key, *number).text(&format!("{key}_text"), text);
            }
            let json = flat.finish();
            prop_assert!(json.len() <= MAX_BYTES, "{} bytes: {json}", json.len());
            let parsed: serde_json::Value = serde_json::from_str(&json).unwrap();
            let nested = parsed.as_object().unwrap().values().any(|v| v.is_object() || v.is_array());
            prop_assert!(!nested);
        }
    }
}
