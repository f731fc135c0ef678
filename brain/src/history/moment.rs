//! Points in time as people write and read them.

use std::str::FromStr;

use runtime::Span;
use shadow::UnixMs;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// A point in time: `2h` ago, `2026-11-29T02:00:00Z`, or seconds of the unix clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// So long before now.
    Ago(Span),
    /// Then.
    At(UnixMs),
}

impl Moment {
    /// On the clock, when it is `now_ms`.
    pub fn at(self, now_ms: UnixMs) -> UnixMs {
        match self {
            Self::Ago(span) => now_ms.saturating_sub(span.as_millis()),
            Self::At(time_ms) => time_ms,
        }
    }
}

/// Seconds past which a number cannot be meant as a point in time: the year 9999.
const LAST_S: f64 = 253_402_300_800.0;

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(seconds) = text.parse::<f64>() {
            if !(0.0..LAST_S).contains(&seconds) {
                return Err(format!("{text} is no second of the unix clock before the year 10000"));
            }
            #[expect(clippy::cast_possible_truncation, reason = "checked above: below 3e14")]
            return Ok(Self::At((seconds * 1e3).round() as UnixMs));
        }
        if let Ok(span) = text.parse() {
            return Ok(Self::Ago(span));
        }
        let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| {
            format!(
                "{text:?} is no point in time; write a span back such as \"2h\", \"2026-11-29T02:00:00Z\" or unix seconds"
            )
        })?;
        Ok(Self::At(milliseconds(time)))
    }
}

fn milliseconds(time: OffsetDateTime) -> UnixMs {
    UnixMs::try_from(time.unix_timestamp_nanos() / 1_000_000).unwrap_or(UnixMs::MAX)
}

/// As RFC 3339 has it, in UTC with milliseconds; what no calendar holds is told in milliseconds.
pub fn rfc3339(time_ms: UnixMs) -> String {
    let Ok(time) = OffsetDateTime::from_unix_timestamp_nanos(i128::from(time_ms) * 1_000_000) else {
        return time_ms.to_string();
    };
    let (date, milliseconds) = (time.date(), time.millisecond());
    let (hour, minute, second) = time.time().as_hms();
    format!("{date}T{hour:02}:{minute:02}:{second:02}.{milliseconds:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_in_three_ways() {
        let now_ms = 1_700_000_000_000;
        for (text, time_ms) in [
            ("2h", now_ms - 7_200_000),
            ("1d 12h", now_ms - 129_600_000),
            ("1699999999", 1_699_999_999_000),
            ("1699999999.5", 1_699_999_999_500),
            ("2023-11-14T22:13:20Z", now_ms),
            ("2023-11-14T23:13:20.25+01:00", now_ms + 250),
        ] {
            assert_eq!(text.parse::<Moment>().unwrap().at(now_ms), time_ms, "{text}");
        }
        for bad in [
            "",
            "yesterday",
            "-5",
            "1e300",
            "NaN",
            "2023-11-14",
            "2023-13-14T00:00:00Z",
            "2h ago",
        ] {
            assert!(bad.parse::<Moment>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_told_is_read_again() {
        for time_ms in [0, 999, 1_700_000_000_123, 253_402_300_799_999] {
            let told = rfc3339(time_ms);
            assert_eq!(told.parse::<Moment>().unwrap(), Moment::At(time_ms), "{told}");
        }
        assert_eq!(rfc3339(1_700_000_000_000), "2023-11-14T22:13:20.000Z");
        assert_eq!(rfc3339(i64::MAX), i64::MAX.to_string());
    }
}
