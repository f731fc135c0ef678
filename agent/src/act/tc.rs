//! What may be sent by network devices: classes of the `htb` discipline, by the program `tc` with fixed arguments.
//!
//! | of | subject | text |
//! |---|---|---|
//! | the host as a whole | `eth0` | `none`, or `rate 80000Kbit`: a discipline of our own at the root, with one class |
//! | a workload | `eth0 1:10` | `prio 0 rate 8Mbit ceil 16Mbit burst 1600b cburst 1600b`: a class of the site, whose ceiling is moved |
//!
//! A device whose root somebody has put a discipline at is left alone, and so is what is received. What is a class's and
//! who sends through it is the site's business (a filter by cgroup, mark or address); the configuration names them.

use std::{path::Path, process::Command, time::Duration};

use serde::Deserialize;
use shadow::HOST_WORKLOAD;

use super::{Ask, Lever, LeverError, Quantity, Turn, exec::output};
use crate::config::TrafficClass;

/// Where the program may be.
const PROGRAMS: [&str; 3] = ["/usr/sbin/tc", "/sbin/tc", "/usr/bin/tc"];
/// How long it may take: a thousandth of this, as a rule.
const DEADLINE: Duration = Duration::from_secs(10);
/// The discipline of ours, and its class: a number that nobody takes by chance.
const HANDLE: &str = "f0e5:";
const CLASS: &str = "f0e5:1";
const NONE: &str = "none";
/// The least, in bits a second: so that an agent still reaches its broker.
const LEAST: f64 = 64_000.0;

/// `tc`, for the devices and classes that the configuration names.
pub(crate) struct Tc {
    /// The program, with what stands in front of its own arguments.
    argv: Vec<String>,
    devices: Vec<String>,
    classes: Vec<TrafficClass>,
}

/// What `tc -j qdisc show` tells of one.
#[derive(Deserialize)]
struct Discipline {
    kind: String,
    handle: String,
    #[serde(default)]
    root: bool,
}

impl Tc {
    /// `None` where the program is not installed, or there is nothing to limit.
    pub(crate) fn find(devices: Vec<String>, classes: Vec<TrafficClass>) -> Option<Self> {
        let program = PROGRAMS.into_iter().find(|program| Path::new(program).exists())?;
        let any = !devices.is_empty() || !classes.is_empty();
        any.then(|| Self::with(vec![program.to_owned()], devices, classes))
    }

    fn with(argv: Vec<String>, devices: Vec<String>, classes: Vec<TrafficClass>) -> Self {
        Self { argv, devices, classes }
    }

    fn run(&self, arguments: &str) -> Result<String, LeverError> {
        let (program, front) = self.argv.split_first().ok_or(LeverError::Gone)?;
        let mut command = Command::new(program);
        command.args(front).args(arguments.split(' ')).env_clear();
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        output(command, DEADLINE).map_err(|why| LeverError::Failed(format!("tc {arguments}: {why}")))
    }

    /// Device and class of a subject that the configuration still names.
    fn split<'a>(&self, subject: &'a str) -> Result<(&'a str, Option<&'a str>), LeverError> {
        let (device, class) = match subject.split_once(' ') {
            None => (subject, None),
            Some((device, class)) => (device, Some(class)),
        };
        let named = match class {
            None => self.devices.iter().any(|known| known == device),
            Some(class) => self
                .classes
                .iter()
                .any(|known| (&*known.device, &*known.class) == (device, class)),
        };
        let outside = || LeverError::Failed(format!("[act] does not name {subject}"));
        named.then_some((device, class)).ok_or_else(outside)
    }

    /// Whether the discipline at the device's root is ours.
    fn is_ours(&self, device: &str) -> Result<bool, LeverError> {
        let text = self.run(&format!("-j qdisc show dev {device}"))?;
        let all: Vec<Discipline> =
            serde_json::from_str(&text).map_err(|fault| LeverError::Failed(format!("tc: {fault}")))?;
        match all.iter().find(|discipline| discipline.root) {
            Some(root) if root.handle == HANDLE && root.kind == "htb" => Ok(true),
            // What the kernel has put there by itself comes back by itself.
            Some(root) if root.handle != "0:" => Err(LeverError::Failed(format!(
                "{device} has the discipline {} {} of somebody else",
                root.kind, root.handle
            ))),
            _ => Ok(false),
        }
    }

    /// The words of a class behind its parent.
    fn class(&self, device: &str, class: &str) -> Result<Option<String>, LeverError> {
        let text = self.run(&format!("class show dev {device}"))?;
        Ok(words_of(&text, class))
    }
}

/// `class htb 1:10 root prio 0 rate 8Mbit ceil 16Mbit burst 1600b cburst 1600b`: from `prio` on, with what a site may have set.
fn words_of(text: &str, class: &str) -> Option<String> {
    let head = format!("class htb {class} ");
    let line = text.lines().find(|line| line.starts_with(&head))?;
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let pairs = words.windows(2).filter_map(|pair| match pair {
        [key @ ("prio" | "rate" | "ceil" | "burst" | "cburst"), value] => Some(format!("{key} {value}")),
        _ => None,
    });
    Some(pairs.collect::<Vec<_>>().join(" "))
}

/// The value behind `key`.
fn word<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let mut words = text.split(' ');
    words.find(|word| *word == key)?;
    words.next()
}

/// Bits a second of `80Mbit`.
fn bits(rate: &str) -> Option<f64> {
    let digits = rate.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let by = match rate.get(digits.len()..)? {
        "bit" => 1.0,
        "Kbit" => 1e3,
        "Mbit" => 1e6,
        "Gbit" => 1e9,
        "Tbit" => 1e12,
        _ => return None,
    };
    digits.parse::<f64>().ok().map(|value| value * by)
}

/// As `tc` tells it: whole thousands.
fn kbits(bits: f64) -> String {
    format!("{:.0}Kbit", (bits / 1e3).round().max(1.0))
}

/// `old` with another ceiling, and no more guaranteed than that.
fn capped(old: &str, limit: f64) -> Option<String> {
    let rate = bits(word(old, "rate")?)?.min(limit);
    let mut words: Vec<String> = old.split(' ').map(str::to_owned).collect();
    for at in 1..words.len() {
        let value = match words.get(at - 1).map(String::as_str) {
            Some("rate") => kbits(rate),
            Some("ceil") => kbits(limit),
            _ => continue,
        };
        if let Some(word) = words.get_mut(at) {
            *word = value;
        }
    }
    Some(words.join(" "))
}

impl Lever for Tc {
    fn name(&self) -> &'static str {
        "tc"
    }

    fn quantity(&self) -> Quantity {
        Quantity::Network
    }

    fn aim(&mut self, ask: Ask<'_>) -> Result<Vec<Turn>, String> {
        let wanted = 8.0 * ask.amount;
        let limit = wanted.max(LEAST);
        let note = if limit > wanted { "raised to 64 kbit/s" } else { "" };
        let turn = |subject: String, text: String| Turn {
            subject,
            text,
            note: note.to_owned(),
        };
        if ask.workload == HOST_WORKLOAD {
            let rate = format!("rate {}", kbits(limit));
            let turns = self.devices.iter().map(|device| turn(device.clone(), rate.clone()));
            return some(turns.collect(), "[act] names no device, and none was found");
        }
        let own = self.classes.iter().filter(|class| class.workload == ask.workload);
        let mut turns = Vec::new();
        for TrafficClass { device, class, .. } in own {
            let subject = format!("{device} {class}");
            let old = self.class(device, class).map_err(|fault| fault.to_string())?;
            let text = old.and_then(|old| capped(&old, limit));
            turns.push(turn(
                subject,
                text.ok_or_else(|| format!("{device} has no class {class} of htb"))?,
            ));
        }
        some(turns, "[[act.class]] names no class that carries it")
    }

    fn read(&mut self, subject: &str) -> Result<String, LeverError> {
        let (device, class) = self.split(subject)?;
        if let Some(class) = class {
            return self.class(device, class)?.ok_or(LeverError::Gone);
        }
        if !self.is_ours(device)? {
            return Ok(NONE.to_owned());
        }
        let words = self.class(device, CLASS)?;
        let rate = words.as_deref().and_then(|words| word(words, "rate"));
        // A discipline without its class lets all pass; one that was not finished is put back by another write.
        Ok(rate.map_or_else(|| "open".to_owned(), |rate| format!("rate {rate}")))
    }

    fn write(&mut self, subject: &str, text: &str) -> Result<(), LeverError> {
        let (device, class) = self.split(subject)?;
        if let Some(class) = class {
            return self
                .run(&format!("class change dev {device} classid {class} htb {text}"))
                .map(drop);
        }
        let is_ours = self.is_ours(device)?;
        if text == NONE {
            let removed = is_ours.then(|| self.run(&format!("qdisc del dev {device} root")));
            return removed.transpose().map(drop);
        }
        let rate = word(text, "rate").and_then(bits);
        let rate = rate.ok_or_else(|| LeverError::Failed(format!("{text:?} is no limit")))?;
        let rate = kbits(rate);
        if !is_ours {
            self.run(&format!(
                "qdisc replace dev {device} root handle {HANDLE} htb default 1"
            ))?;
        }
        let class = format!("class replace dev {device} parent {HANDLE} classid {CLASS} htb rate {rate} ceil {rate}");
        self.run(&class).map(drop)
    }

    fn amount(&mut self, _subject: &str, text: &str) -> Option<f64> {
        let rate = word(text, "ceil").or_else(|| word(text, "rate"))?;
        bits(rate).map(|bits| bits / 8.0)
    }

    /// `tc` tells rates in whole thousands, cut off.
    fn is_same(&self, one: &str, other: &str) -> bool {
        let numbers = |text: &str| ["rate", "ceil"].map(|key| word(text, key).and_then(bits));
        let near = |pair: (Option<f64>, Option<f64>)| match pair {
            (Some(one), Some(other)) => (one - other).abs() <= 1e3 + 1e-3 * one,
            (one, other) => one == other,
        };
        let (one_is, other_is) = (numbers(one), numbers(other));
        let limited = one_is.iter().chain(&other_is).any(Option::is_some);
        if limited {
            one_is.into_iter().zip(other_is).all(near)
        } else {
            one == other
        }
    }

    fn is_slow(&self) -> bool {
        true
    }
}

fn some(turns: Vec<Turn>, lacking: &str) -> Result<Vec<Turn>, String> {
    if turns.is_empty() {
        Err(lacking.to_owned())
    } else {
        Ok(turns)
    }
}

#[cfg(test)]
mod tests;
