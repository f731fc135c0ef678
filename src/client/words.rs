//! Times and amounts in few characters.

use std::time::Duration;

use brain::page::STALE_AFTER;
use shadow::Resource;

/// A time span as people say it, in its largest unit: `12 s`, `4 min`, `3 h`, `2 d`.
pub(crate) fn age(ms: i64) -> String {
    let seconds = ms.max(0) / 1_000;
    match seconds {
        0..100 => format!("{seconds} s"),
        100..6_000 => format!("{} min", seconds / 60),
        6_000..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// What is to be told of a picture that came `age_ms` ago; `None` where the next one is not overdue.
pub(crate) fn overdue(age_ms: u64) -> Option<String> {
    let is_overdue = Duration::from_millis(age_ms) > STALE_AFTER;
    is_overdue.then(|| format!("nothing new for {}", age(i64::try_from(age_ms).unwrap_or(i64::MAX))))
}

/// A host's value of `resource` in at most five characters: percent of shares, bytes a second with a letter, watts.
pub(crate) fn short(resource: Resource, value: f64) -> String {
    match resource {
        Resource::Cpu | Resource::Memory => format!("{:.0}", value * 100.0),
        Resource::Network | Resource::Disk => bytes(value),
        Resource::Power => format!("{value:.0}"),
    }
}

/// What [`short`] leaves out.
pub(crate) const fn unit(resource: Resource) -> &'static str {
    match resource {
        Resource::Cpu | Resource::Memory => "%",
        Resource::Network | Resource::Disk => "B/s",
        Resource::Power => "W",
    }
}

fn bytes(value: f64) -> String {
    let mut value = value;
    for letter in ["", "k", "M", "G", "T"] {
        // 999.5 would be written as 1000.
        if value.abs() < 999.5 {
            let decimals = usize::from(!letter.is_empty() && value.abs() < 9.95);
            return format!("{value:.decimals$}{letter}");
        }
        value /= 1_000.0;
    }
    format!("{value:.0}P")
}

/// A line that a terminal only shows: what hosts tell of themselves may hold bytes that would steer it.
pub(crate) fn harmless(line: &str) -> String {
    line.trim_end().replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_told_in_their_largest_unit() {
        for (ms, text) in [
            (-5, "0 s"),
            (99_999, "99 s"),
            (100_000, "1 min"),
            (5_999_000, "99 min"),
            (6_000_000, "1 h"),
            (172_800_000, "2 d"),
        ] {
            assert_eq!(age(ms), text);
        }
    }

    #[test]
    fn a_picture_is_overdue_after_half_a_minute() {
        for (age_ms, told) in [
            (0, None),
            (30_000, None),
            (30_001, Some("nothing new for 30 s")),
            (u64::MAX, Some("nothing new for 106751991167 d")),
        ] {
            assert_eq!(overdue(age_ms).as_deref(), told);
        }
    }

    #[test]
    fn nothing_that_is_told_steers_the_terminal() {
        assert_eq!(
            harmless("heat \u{1b}]0;owned\u{7} \r\u{9b}2J \n"),
            "heat  ]0;owned    2J"
        );
    }

    #[test]
    fn amounts_stay_within_five_characters() {
        for (value, text) in [
            (0.0, "0"),
            (999.4, "999"),
            (999.6, "1.0k"),
            (9_949.0, "9.9k"),
            (9_960.0, "10k"),
            (188_698_016.0, "189M"),
            (999_600_000.0, "1.0G"),
            (2e15, "2P"),
        ] {
            assert_eq!(short(Resource::Disk, value), text);
        }
        assert_eq!(short(Resource::Cpu, 0.756), "76");
        assert_eq!(short(Resource::Power, 231.4), "231");
    }
}
