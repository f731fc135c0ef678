//! Maintenance windows: times in which less is changed, weekly or by calendar, of all or of some hosts and classes.
//!
//! Times of the day are those of `utc_offset` (`+02:00`), UTC without it: a fixed offset, so a window does not follow
//! daylight saving time. A calendar window has its offset in its own times.

use shadow::UnixMs;
use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};
use toml::{Value, value::Datetime};

use super::{
    act::matches,
    section::{Faults, Section},
};

const MINUTE_MS: i64 = 60_000;
const DAY_MINUTES: i64 = 24 * 60;

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// A time in which less is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// What people call it.
    pub name: String,
    /// What it holds back.
    pub effect: Effect,
    /// When it is.
    pub when: When,
    /// The hosts that it is for, with `*` for any characters; empty for all of the cell.
    pub hosts: Vec<String>,
    /// The classes that it is for; empty for all.
    pub classes: Vec<String>,
}

/// What a window holds back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Nothing is lowered; what is needed is still raised.
    NoLowering,
    /// Nothing is changed.
    NoChange,
}

impl Effect {
    /// The word in policies and explanations.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoLowering => "no lowering",
            Self::NoChange => "no change",
        }
    }
}

/// When a window is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Each week.
    Weekly {
        /// Whether it begins on Monday, Tuesday, ...
        days: [bool; 7],
        /// From this minute of the day on, 0 to 1439.
        from: i64,
        /// Until this minute, which is not of it; not after `from`, it is one of the next day.
        until: i64,
        /// Local time less UTC, in minutes.
        offset: i64,
    },
    /// Once.
    Calendar {
        /// From then on.
        begin_ms: UnixMs,
        /// Until then, which is not of it.
        end_ms: UnixMs,
    },
}

impl When {
    /// Whether `now_ms` is in it.
    pub fn holds(self, now_ms: UnixMs) -> bool {
        match self {
            Self::Calendar { begin_ms, end_ms } => (begin_ms..end_ms).contains(&now_ms),
            Self::Weekly {
                days,
                from,
                until,
                offset,
            } => {
                let minutes = now_ms.div_euclid(MINUTE_MS).saturating_add(offset);
                let (day, minute) = (minutes.div_euclid(DAY_MINUTES), minutes.rem_euclid(DAY_MINUTES));
                // The first day of the unix clock was a Thursday.
                let begins = |day: i64| {
                    let at = usize::try_from((day + 3).rem_euclid(7)).unwrap_or(0);
                    days.get(at).copied().unwrap_or(false)
                };
                if from < until {
                    begins(day) && (from..until).contains(&minute)
                } else {
                    (begins(day) && minute >= from) || (begins(day - 1) && minute < until)
                }
            }
        }
    }
}

impl Window {
    /// Whether it is for workloads of `class` on `host`.
    pub fn covers(&self, host: &str, class: &str) -> bool {
        let hosts = self.hosts.is_empty() || self.hosts.iter().any(|pattern| matches(pattern, host));
        hosts && (self.classes.is_empty() || self.classes.iter().any(|own| own == class))
    }
}

/// One `[[window]]`; `known` are the classes of the policy.
pub(super) fn read(mut section: Section, known: &[String], faults: &mut Faults) -> Window {
    let window = Window {
        name: section.text("name", "", faults),
        effect: section.read("effect", Effect::NoLowering, faults, effect),
        hosts: section.texts("hosts", faults),
        classes: section.texts("classes", faults),
        when: when(&mut section, faults),
    };
    if window.name.is_empty() {
        faults.add(section.at("name"), "is missing; a window needs a name to be told by");
    }
    for class in window.classes.iter().filter(|class| !known.contains(class)) {
        faults.add(section.at("classes"), format!("no class is called {class:?}"));
    }
    section.end(faults);
    window
}

fn effect(value: &Value) -> Result<Effect, String> {
    let all = [Effect::NoLowering, Effect::NoChange];
    let found = all.into_iter().find(|effect| value.as_str() == Some(effect.as_str()));
    found.ok_or_else(|| format!("is {value}; \"no lowering\" or \"no change\" is expected"))
}

fn when(section: &mut Section, faults: &mut Faults) -> When {
    let calendar = section.table.contains_key("begin") || section.table.contains_key("end");
    if calendar {
        let begin_ms = section.read("begin", 0, faults, moment);
        let end_ms = section.read("end", i64::MAX, faults, moment);
        if end_ms <= begin_ms {
            faults.add(section.at("end"), "is not after begin");
        }
        return When::Calendar { begin_ms, end_ms };
    }
    for key in ["from", "until"] {
        if !section.table.contains_key(key) {
            faults.add(
                section.at(key),
                "is missing; a window has from and until (\"22:00\"), or begin and end",
            );
        }
    }
    When::Weekly {
        days: section.read("days", [true; 7], faults, days),
        from: section.read("from", 0, faults, minute),
        until: section.read("until", 0, faults, minute),
        offset: section.read("utc_offset", 0, faults, offset),
    }
}

fn days(value: &Value) -> Result<[bool; 7], String> {
    let expected = || format!("is {value}; a list of {} is expected", DAYS.join(", "));
    let list = value.as_array().filter(|list| !list.is_empty()).ok_or_else(expected)?;
    let mut days = [false; 7];
    for day in list {
        let at = DAYS
            .iter()
            .position(|known| day.as_str() == Some(known))
            .ok_or_else(expected)?;
        if let Some(day) = days.get_mut(at) {
            *day = true;
        }
    }
    Ok(days)
}

/// `22:00`, as minutes.
fn clock(text: &str) -> Option<i64> {
    let (hours, minutes) = text.split_once(':')?;
    let two = |digits: &str, most: i64| {
        let sound = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse::<i64>().ok().filter(|number| sound && *number <= most)
    };
    Some(two(hours, 23)? * 60 + two(minutes, 59)?)
}

fn minute(value: &Value) -> Result<i64, String> {
    let read = value.as_str().and_then(clock);
    read.ok_or_else(|| format!("is {value}; a time of the day such as \"22:00\" is expected"))
}

fn offset(value: &Value) -> Result<i64, String> {
    let read = value.as_str().and_then(|text| match text.split_at_checked(1)? {
        ("+", rest) => clock(rest),
        ("-", rest) => clock(rest).map(|minutes| -minutes),
        _ => None,
    });
    let sound = read.filter(|minutes| minutes.abs() <= 14 * 60);
    sound.ok_or_else(|| format!("is {value}; an offset from UTC such as \"+02:00\" is expected"))
}

/// A time with its offset; none is UTC.
fn moment(value: &Value) -> Result<UnixMs, String> {
    let read = value.as_datetime().and_then(unix_ms);
    read.ok_or_else(|| format!("is {value}; a time such as 2026-12-24T18:00:00+01:00 is expected, without quotes"))
}

fn unix_ms(told: &Datetime) -> Option<UnixMs> {
    let date = told.date?;
    let month = Month::try_from(date.month).ok()?;
    let date = Date::from_calendar_date(i32::from(date.year), month, date.day).ok()?;
    let time = match told.time {
        Some(time) => Time::from_hms(time.hour, time.minute, time.second.unwrap_or(0).min(59)).ok()?,
        None => Time::MIDNIGHT,
    };
    let offset = match told.offset {
        Some(toml::value::Offset::Custom { minutes }) => UtcOffset::from_whole_seconds(i32::from(minutes) * 60).ok()?,
        Some(toml::value::Offset::Z) | None => UtcOffset::UTC,
    };
    let moment: OffsetDateTime = PrimitiveDateTime::new(date, time).assume_offset(offset);
    moment.unix_timestamp().checked_mul(1_000)
}

/// In words: `sat, sun 22:00 to 04:00 UTC+02:00`.
pub(super) fn words(when: When) -> String {
    match when {
        When::Calendar { begin_ms, end_ms } => {
            let told = |ms: UnixMs| {
                let moment = OffsetDateTime::from_unix_timestamp(ms.div_euclid(1_000)).ok();
                moment.map_or_else(
                    || ms.to_string(),
                    |m| format!("{} {:02}:{:02}", m.date(), m.hour(), m.minute()),
                )
            };
            format!("{} until {} UTC", told(begin_ms), told(end_ms))
        }
        When::Weekly {
            days,
            from,
            until,
            offset,
        } => {
            let clock = |minutes: i64| format!("{:02}:{:02}", minutes / 60, minutes % 60);
            let named: Vec<&str> = DAYS
                .into_iter()
                .zip(days)
                .filter(|(_, on)| *on)
                .map(|(day, _)| day)
                .collect();
            let named = if named.len() == 7 {
                "every day".to_owned()
            } else {
                named.join(", ")
            };
            let sign = if offset < 0 { '-' } else { '+' };
            let zone = if offset == 0 {
                "UTC".to_owned()
            } else {
                format!("UTC{sign}{}", clock(offset.abs()))
            };
            format!("{named} {} to {} {zone}", clock(from), clock(until))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policy;

    fn window(text: &str) -> Window {
        Policy::parse(&format!("[[window]]\nname = \"w\"\n{text}"))
            .unwrap()
            .windows
            .remove(0)
    }

    /// The unix time of a moment of the first days of December 2026; the 1st is a Tuesday.
    fn at(day: i64, hour: i64, minute: i64) -> UnixMs {
        1_796_083_200_000 + ((day - 1) * DAY_MINUTES + hour * 60 + minute) * MINUTE_MS
    }

    #[test]
    fn weekly_windows_may_pass_midnight_and_have_an_offset() {
        let night = window("days = [\"tue\"]\nfrom = \"22:00\"\nuntil = \"04:00\"").when;
        for (moment, expected) in [
            (at(1, 21, 59), false),
            (at(1, 22, 0), true),
            (at(2, 3, 59), true),
            (at(2, 4, 0), false),
            (at(1, 2, 0), false),
            (at(2, 23, 0), false),
        ] {
            assert_eq!(night.holds(moment), expected, "{moment}");
        }
        let local = window("from = \"09:00\"\nuntil = \"10:00\"\nutc_offset = \"+02:00\"").when;
        assert!(local.holds(at(1, 7, 30)) && !local.holds(at(1, 9, 30)));
        let west = window("days = [\"mon\"]\nfrom = \"20:00\"\nuntil = \"23:00\"\nutc_offset = \"-05:30\"").when;
        assert!(west.holds(at(1, 2, 0)), "Monday 20:30 there is Tuesday 02:00 in UTC");
        assert!(!local.holds(i64::MIN) || !west.holds(i64::MAX), "no time is too far");
    }

    #[test]
    fn calendar_windows_have_their_own_offset() {
        let release = window("begin = 2026-12-01T18:00:00+01:00\nend = 2026-12-01T20:00:00Z").when;
        assert!(!release.holds(at(1, 16, 59)) && release.holds(at(1, 17, 0)));
        assert!(release.holds(at(1, 19, 59)) && !release.holds(at(1, 20, 0)));
        let day = window("begin = 2026-12-01\nend = 2026-12-02").when;
        assert!(day.holds(at(1, 0, 0)) && !day.holds(at(2, 0, 0)));
        assert_eq!(words(day), "2026-12-01 00:00 until 2026-12-02 00:00 UTC");
    }

    #[test]
    fn a_window_may_be_for_some_hosts_and_classes_only() {
        let some = window(
            "from = \"00:00\"\nuntil = \"00:00\"\nhosts = [\"db-*\"]\nclasses = [\"critical\"]\n[class.critical]",
        );
        assert!(some.covers("db-1", "critical") && !some.covers("db-1", "batch") && !some.covers("web", "critical"));
        assert!(some.when.holds(at(1, 12, 0)), "from a time to itself is the whole day");
        let all = window("from = \"00:00\"\nuntil = \"01:00\"");
        assert!(all.covers("anything", "host"));
        assert_eq!(words(all.when), "every day 00:00 to 01:00 UTC");
    }

    #[test]
    fn faults_are_told_with_their_place() {
        let check = |text: &str, path: &str| {
            let refused = Policy::parse(text).unwrap_err().faults;
            assert!(refused.iter().any(|fault| fault.path == path), "{text}: {refused:?}");
        };
        check("[[window]]\nfrom = \"1:00\"\nuntil = \"02:00\"", "window[0].from");
        check("[[window]]\nfrom = \"01:00\"\nuntil = \"24:00\"", "window[0].until");
        check("[[window]]\nfrom = \"01:00\"\nuntil = \"02:00\"", "window[0].name");
        check("[[window]]\nname = \"w\"", "window[0].from");
        check(
            "[[window]]\nname = \"w\"\nbegin = 2026-01-02\nend = 2026-01-01",
            "window[0].end",
        );
        check(
            "[[window]]\nname = \"w\"\nbegin = \"soon\"\nend = 2026-01-01",
            "window[0].begin",
        );
        let base = "[[window]]\nname = \"w\"\nfrom = \"01:00\"\nuntil = \"02:00\"\n";
        check(&format!("{base}effect = \"calm\""), "window[0].effect");
        check(&format!("{base}days = [\"friday\"]"), "window[0].days");
        check(&format!("{base}utc_offset = \"CET\""), "window[0].utc_offset");
        check(&format!("{base}classes = [\"unheard\"]"), "window[0].classes");
        check(&format!("{base}hosts = \"all\""), "window[0].hosts");
        check(&format!("{base}mood = 1"), "window[0].mood");
    }
}
