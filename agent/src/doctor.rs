//! `doctor`: what every source tells here, what it costs to read, and what is missing to read it.

use std::time::Duration;

use runtime::{Clock, Shutdown};
use serde::Serialize;
use shadow::{Source, SourceState};
use tokio::time::{Instant, sleep};

use crate::{
    agent::{own_host, place, views},
    bmc::{CommandTime, Watch},
    config::Config,
    probe::{Checkup, ProbeSet},
};

/// How often sources that have not answered yet are asked again.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// Details get at least so many columns, however narrow a terminal is.
const LEAST_ROOM: usize = 30;

/// What the doctor found of one host.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The host.
    pub host: String,
    /// From where it was looked at: `inband` or `oob`.
    pub vantage: &'static str,
    /// Every source.
    pub sources: Vec<Line>,
    /// What the BMC took for each command, where one is configured.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bmc: Vec<CommandTime>,
}

/// One source.
#[derive(Debug, Serialize)]
pub struct Line {
    /// The probe's name.
    pub source: String,
    /// `works`, `absent`, `no permission` or `failed`.
    pub state: &'static str,
    /// How many metrics it gives.
    pub metrics: usize,
    /// What one reading takes, in microseconds of real time; `None` where it is not read.
    pub read_us: Option<u64>,
    /// Where it reads, or why it does not.
    pub detail: String,
    /// What would help, or empty.
    pub remedy: &'static str,
}

impl Report {
    /// Whether any source works.
    pub fn anything_works(&self) -> bool {
        self.sources
            .iter()
            .any(|line| line.state == SourceState::Works.as_str())
    }

    /// For people: a line a source, and more where its detail does not fit in `width` columns.
    pub fn table(&self, width: usize) -> String {
        let row = |source: &str, state: &str, metrics: &str, read: &str, detail: &str| {
            let front = format!("{source:<10} {state:<14} {metrics:>7} {read:>9}  ");
            let indent = format!("\n{:1$}", "", front.len());
            let room = width.saturating_sub(front.len()).max(LEAST_ROOM);
            front + &wrapped(detail, room).join(&indent)
        };
        let mut lines = vec![
            format!("{} ({})", self.host, self.vantage),
            row("source", "state", "metrics", "read", "detail"),
        ];
        for line in &self.sources {
            let read = line.read_us.map_or_else(String::new, |us| format!("{us} us"));
            lines.push(row(
                &line.source,
                line.state,
                &line.metrics.to_string(),
                &read,
                &line.detail,
            ));
            if !line.remedy.is_empty() {
                lines.push(row("", "", "", "->", line.remedy));
            }
        }
        lines.extend(self.bmc_lines());
        lines.join("\n") + "\n"
    }

    fn bmc_lines(&self) -> Vec<String> {
        if self.bmc.is_empty() {
            return Vec::new();
        }
        let row = |command: &str, calls: &str, lost: &str, mean: &str, longest: &str| {
            format!("{command:<28} {calls:>6} {lost:>6} {mean:>10} {longest:>10}")
        };
        let us = |time: Duration| format!("{} us", time.as_micros());
        let told = self.bmc.iter().map(|time| {
            let (calls, lost) = (time.calls.to_string(), time.lost.to_string());
            row(&time.command, &calls, &lost, &us(time.mean), &us(time.longest))
        });
        let head = row("command of the BMC", "calls", "lost", "mean", "longest");
        [String::new(), head].into_iter().chain(told).collect()
    }
}

/// Lines of words, none longer than `room` columns but where a word is.
fn wrapped(text: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Examines every host that `config` has the agent speak for. Sources with a thread of their own get `patience` for
/// their first answers.
pub async fn examine(config: Config, patience: Duration, clock: &Clock, shutdown: &Shutdown) -> Vec<Report> {
    // A machine without a name that can be a host's is examined all the same.
    let own = own_host(&config).unwrap_or_else(|_| "this machine".to_owned());
    let mut reports = Vec::new();
    for view in views(config, &own) {
        let place = place(&view, None);
        let bmc = place.bmc.clone();
        let mut probes = ProbeSet::open(place);
        let until = Instant::now() + patience;
        let is_early = |probes: &ProbeSet| {
            probes.sources().iter().any(is_waiting) || bmc.as_ref().is_some_and(|bmc| !bmc.has_looked())
        };
        while is_early(&probes) && Instant::now() < until && !shutdown.is_triggered() {
            sleep(ASK_AGAIN).await;
            probes.refresh();
        }
        reports.push(Report {
            host: view.host.unwrap_or_else(|| own.clone()),
            vantage: view.vantage.as_str(),
            sources: probes.examine(clock).into_iter().map(line).collect(),
            bmc: bmc.as_ref().map(Watch::command_times).unwrap_or_default(),
        });
    }
    reports
}

/// Whether the answer may still come.
fn is_waiting(source: &Source) -> bool {
    source.state == SourceState::Failed && source.reason.ends_with("has not answered yet")
}

fn line(found: Checkup) -> Line {
    let Checkup { source, metrics, read } = found;
    Line {
        remedy: remedy(&source.name, source.state),
        state: source.state.as_str(),
        source: source.name,
        detail: source.reason,
        read_us: read.map(|read| u64::try_from(read.as_micros()).unwrap_or(u64::MAX)),
        metrics,
    }
}

/// What gives access, by probe.
fn remedy(source: &str, state: SourceState) -> &'static str {
    if state == SourceState::Absent {
        return match source {
            "pressure" => "boot with psi=1, or a kernel of 4.20 or later with CONFIG_PSI",
            "msr" => "modprobe msr",
            "bmc" => "set [bmc] address, and for \"local\": modprobe ipmi_devintf ipmi_si",
            _ => "",
        };
    }
    if state != SourceState::NoPermission {
        return "";
    }
    match source {
        "power" => "CAP_DAC_READ_SEARCH, or a udev rule that lets the agent's group read energy_uj",
        "msr" => "CAP_SYS_RAWIO, and a group that may read /dev/cpu/*/msr",
        "pci" => "CAP_SYS_ADMIN for registers past the first 64 bytes",
        "bmc" => "a group that may read and write /dev/ipmi0, or the right user and password",
        _ => "CAP_DAC_READ_SEARCH",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_are_wrapped_between_words() {
        assert_eq!(wrapped("no RAPL zone, no battery", 13), ["no RAPL zone,", "no battery"]);
        assert_eq!(wrapped("/proc/pressure", 5), ["/proc/pressure"]);
        assert_eq!(wrapped("", 5), [""]);
    }

    #[test]
    fn a_table_tells_state_cost_and_remedy() {
        let source = |name: &str, state, reason: &str| Source {
            name: name.to_owned(),
            state,
            reason: reason.to_owned(),
        };
        let found = [
            (
                source("cpu", SourceState::Works, "/proc/stat"),
                11,
                Some(Duration::from_micros(12)),
            ),
            (
                source("power", SourceState::NoPermission, "energy_uj: Permission denied"),
                1,
                None,
            ),
            (source("disk", SourceState::Absent, "no disk"), 0, None),
        ];
        let lines = found.map(|(source, metrics, read)| line(Checkup { source, metrics, read }));
        let report = Report {
            host: "web-1".to_owned(),
            vantage: "inband",
            sources: lines.into(),
            bmc: vec![CommandTime {
                command: "Get SDR".to_owned(),
                calls: 40,
                lost: 1,
                mean: Duration::from_micros(2_500),
                longest: Duration::from_millis(91),
            }],
        };
        assert!(report.anything_works());
        let table = report.table(usize::MAX);
        let rows: Vec<&str> = table.lines().collect();
        assert_eq!(rows.len(), 9, "{table}");
        assert!(
            rows[8].starts_with("Get SDR ") && rows[8].contains("2500 us"),
            "{table}"
        );
        assert!(rows[2].contains("12 us"), "{table}");
        assert!(rows[4].contains("->  CAP_DAC_READ_SEARCH"), "{table}");
        assert!(!is_waiting(&source("bmc", SourceState::Failed, "no route to host")));
        assert!(is_waiting(&source(
            "bmc",
            SourceState::Failed,
            "BMC at x: has not answered yet"
        )));
    }
}
