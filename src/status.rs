//! How a cell stands, in a few lines, for people and for monitors: by the exit code.

use brain::allocate::amount;
use clap::Args;
use runtime::{
    output::print,
    process::{Attention, EXIT_ATTENTION},
};
use serde::Serialize;

use crate::client::{
    Page,
    picture::{Fleet, HostCounts, Incident, IncidentCounts, Issued, Model, Newest, Rows},
    words::{age, harmless, overdue},
};

/// How a cell stands.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status: 0 when all is well; 2 when something needs attention: hosts that are silent, critical incidents that nobody has
acknowledged, a model that cannot be trained, needs that cannot be met, or a brain whose engine stands still; 1 when no brain
can be asked; 64 for bad usage.")]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    page: Page,
    /// As one JSON object
    #[arg(long)]
    json: bool,
}

/// Silent hosts that are named, at most; there may be more.
const NAMED: usize = 20;

/// Why nothing is new, and what to do. A lab's end is no fault, but what is shown of it is as old.
const STANDS_STILL: &str = "the brain answers, and its engine stands still: its log says why, or what it did last; \
     start it anew (a lab that is over with --stay ends by Ctrl-C)";

pub(crate) async fn main(arguments: &StatusArgs) -> anyhow::Result<()> {
    let page = &arguments.page;
    let silent = format!("/api/v1/hosts?show=silent&sort=age&order=descending&limit={NAMED}");
    let picture = Picture {
        fleet: page.get("/api/v1/fleet").await?,
        silent: page.get(&silent).await?,
        incidents: page.get("/api/v1/incidents").await?,
        commands: page.get("/api/v1/commands").await?,
    };
    let status = picture.status();
    if arguments.json {
        print(&(serde_json::to_string_pretty(&status)? + "\n"))?;
    } else {
        print(&picture.words(&status))?;
    }
    if status.attention.is_empty() {
        Ok(())
    } else {
        Err(Attention.into())
    }
}

/// What a script wants to know.
#[derive(Debug, PartialEq, Serialize)]
struct Status<'a> {
    cell: &'a str,
    mode: &'a str,
    /// How many hosts are in which state.
    hosts: &'a HostCounts,
    incidents: &'a IncidentCounts,
    model: &'a str,
    samples_per_s: f64,
    /// Bytes of frames of those of packed doubles; `None` before the first.
    share_of_packed: Option<f64>,
    missing_frames: u64,
    /// Milliseconds since all of this was new.
    age_ms: u64,
    /// Requests that wait for the pool.
    queued: u64,
    /// Proposals that wait for somebody's word.
    proposals: u64,
    /// The code that the command ends with.
    exit_code: u8,
    /// What a person should look at, in words.
    attention: Vec<String>,
}

/// What was asked of the page.
struct Picture {
    fleet: Fleet,
    silent: Rows,
    incidents: Newest<Incident>,
    commands: Newest<Issued>,
}

impl Picture {
    fn status(&self) -> Status<'_> {
        let (fleet, totals) = (&self.fleet, &self.fleet.totals);
        let attention = self.attention();
        let share = || totals.frame_bytes as f64 / totals.packed_bytes as f64;
        Status {
            cell: &fleet.cell,
            mode: &fleet.mode,
            hosts: &fleet.hosts,
            incidents: &fleet.incidents,
            model: &fleet.model.state,
            samples_per_s: totals.samples_per_s,
            share_of_packed: (totals.packed_bytes > 0).then(share),
            missing_frames: totals.missing,
            age_ms: fleet.age_ms,
            queued: fleet.queued,
            proposals: fleet.proposals,
            exit_code: if attention.is_empty() { 0 } else { EXIT_ATTENTION },
            attention,
        }
    }

    /// What a person should look at.
    fn attention(&self) -> Vec<String> {
        let now_ms = self.fleet.time_ms;
        let overdue = overdue(self.fleet.age_ms).map(|since| format!("{since}: {STANDS_STILL}"));
        let silent = self.silent.rows.iter().map(|host| {
            let silence = age(now_ms - host.last_sample_ms);
            format!("{} is {}: its newest sample is {silence} old", host.name, host.state)
        });
        let unnamed = self.silent.matching.saturating_sub(self.silent.rows.len());
        let more = (unnamed > 0).then(|| format!("{unnamed} more hosts are silent"));
        let is_open = |incident: &&Incident| {
            incident.goes_on && incident.severity == "critical" && incident.acknowledged_ms.is_none()
        };
        let incidents = self.incidents.rows.iter().filter(is_open).map(|incident| {
            let since = age(now_ms - incident.since_ms);
            format!(
                "{}, for {since}: {} (nobody has acknowledged it)",
                incident.host, incident.cause
            )
        });
        let model = &self.fleet.model;
        let failed = (model.state == "failed").then(|| format!("the model cannot be trained: {}", model.note));
        let unmet = self.fleet.unmet.iter().cloned();
        let silent = overdue.into_iter().chain(silent);
        silent.chain(more).chain(incidents).chain(failed).chain(unmet).collect()
    }

    fn words(&self, status: &Status<'_>) -> String {
        let fleet = &self.fleet;
        let mode = match &fleet.freeze {
            Some(freeze) => format!("frozen by {} ({})", freeze.by, freeze.reason),
            None => fleet.mode.clone(),
        };
        let volume = status.share_of_packed.map_or(String::new(), |share| {
            format!(", frames are {:.1} % of plain values", share * 100.0)
        });
        let (rate, missing) = (status.samples_per_s, status.missing_frames);
        let incidents = status.incidents;
        let mut lines = vec![
            ("cell", format!("{}, {mode}", fleet.cell)),
            ("hosts", hosts(status.hosts)),
            ("data", format!("{rate:.1} samples/s{volume}, {missing} frames missing")),
            ("model", model(&fleet.model)),
            (
                "incidents",
                format!(
                    "{} go on, {} critical, {} unnoticed",
                    incidents.open, incidents.critical, incidents.unnoticed
                ),
            ),
            ("command", command(self.commands.rows.first(), fleet.time_ms)),
            ("pool", format!("{} requests wait", status.queued)),
        ];
        if status.proposals > 0 {
            let told = format!("{} wait for approval: foreshadow proposals", status.proposals);
            lines.push(("proposals", told));
        }
        if status.attention.is_empty() {
            lines.push(("all is well", String::new()));
        }
        lines.extend(status.attention.iter().map(|text| ("ATTENTION", text.clone())));
        let line = |(name, text): &(&str, String)| harmless(&format!("{name:<10} {text}")) + "\n";
        lines.iter().map(line).collect()
    }
}

fn hosts(counts: &HostCounts) -> String {
    let states = [
        (counts.online, "online"),
        (counts.bmc_only, "bmc only"),
        (counts.stale, "stale"),
        (counts.offline, "offline"),
    ];
    let told: Vec<String> = states
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, state)| format!("{count} {state}"))
        .collect();
    if told.is_empty() {
        "none yet".to_owned()
    } else {
        told.join(", ")
    }
}

/// The model in a line.
pub(crate) fn model(model: &Model) -> String {
    if let Some(progress) = &model.progress {
        return format!("training, {} {} of {}", progress.part, progress.done, progress.of);
    }
    match model.state.as_str() {
        "waiting" => format!("waits for history: {} of {} rows", model.rows, model.rows_needed),
        "serving" => {
            let [_, _, lstm] = model.served;
            format!("serving {}, LSTM in {:.0} % of the series", model.version, lstm * 100.0)
        }
        _ => format!("{} {}", model.state, model.note).trim_end().to_owned(),
    }
}

/// The newest command in a line.
pub(crate) fn command(newest: Option<&Issued>, now_ms: i64) -> String {
    let Some(Issued { command, outcome }) = newest else {
        return "none yet".to_owned();
    };
    let state = outcome.as_ref().map_or("sent", |outcome| outcome.state.as_str());
    let what = command.changes.first().map_or_else(String::new, |change| {
        format!(
            "{} of {} to {}",
            change.resource,
            change.workload,
            amount(change.resource, change.target)
        )
    });
    let more = match command.changes.len() {
        0 | 1 => String::new(),
        count => format!(" and {} more", count - 1),
    };
    format!(
        "{} ago, {}: {what}{more}: {state}",
        age(now_ms - command.issued_ms),
        command.host
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A page's answers, with what is `changed` in them.
    fn picture(changed: &Value) -> Picture {
        let mut fleet = json!({
            "time_ms": 600_000, "cell": "main", "mode": "acting", "freeze": null, "unmet": [], "queued": 0, "pool": [],
            "age_ms": 900, "hosts": {"all": 1, "online": 1, "bmc_only": 0, "stale": 0, "offline": 0},
            "incidents": {"open": 0, "critical": 0, "warning": 0, "unnoticed": 0},
            "model": {
                "state": "serving", "version": "7", "rows": 9, "rows_needed": 9, "served": [0.1, 0.4, 0.5], "note": "",
                "progress": null,
            },
            "totals": {"samples_per_s": 10.0, "frame_bytes": 46, "packed_bytes": 1_000, "missing": 0},
        });
        for key in ["unmet", "age_ms"] {
            if let Some(value) = changed.get(key) {
                fleet[key] = value.clone();
            }
        }
        let silent = json!({"time_ms": 600_000, "matching": 0, "offset": 0, "rows": []});
        let silent = changed.get("silent").unwrap_or(&silent).clone();
        let incidents = changed.get("incidents").cloned().unwrap_or(json!([]));
        Picture {
            fleet: serde_json::from_value(fleet).unwrap(),
            silent: serde_json::from_value(silent).unwrap(),
            incidents: serde_json::from_value(json!({"rows": incidents})).unwrap(),
            commands: Newest { rows: Vec::new() },
        }
    }

    fn told(picture: &Picture) -> String {
        picture.words(&picture.status())
    }

    #[test]
    fn a_cell_that_is_well_says_so() {
        let picture = picture(&json!({}));
        assert_eq!(
            told(&picture),
            "cell       main, acting\nhosts      1 online\n\
             data       10.0 samples/s, frames are 4.6 % of plain values, 0 frames missing\n\
             model      serving 7, LSTM in 50 % of the series\nincidents  0 go on, 0 critical, 0 unnoticed\n\
             command    none yet\npool       0 requests wait\nall is well\n"
        );
        assert_eq!(picture.status().exit_code, 0);
        let mut asked = picture;
        asked.fleet.proposals = 2;
        let end = "proposals  2 wait for approval: foreshadow proposals\nall is well\n";
        assert!(told(&asked).ends_with(end), "{}", told(&asked));
    }

    #[test]
    fn what_a_person_should_look_at_is_told_and_in_the_exit_code() {
        let incident = |severity, goes_on, acknowledged: Option<i64>| {
            json!({
                "host": "a", "since_ms": 0, "goes_on": goes_on, "severity": severity, "cause": "heat",
                "acknowledged_ms": acknowledged,
            })
        };
        let silent = json!({"name": "b", "state": "stale", "last_sample_ms": 0, "incidents": 0, "resources": []});
        let silent = json!({"time_ms": 600_000, "matching": 3, "offset": 0, "rows": [silent]});
        for (changed, expected) in [
            (
                json!({"silent": silent}),
                "ATTENTION  b is stale: its newest sample is 10 min old",
            ),
            (json!({"silent": silent}), "ATTENTION  2 more hosts are silent"),
            (
                json!({"incidents": [incident("critical", true, None)]}),
                "ATTENTION  a, for 10 min: heat (nobody has acknowledged it)",
            ),
            (
                json!({"age_ms": 240_000}),
                "ATTENTION  nothing new for 4 min: the brain answers, and its engine stands still",
            ),
            (
                json!({"unmet": ["cpu of web cannot be met"]}),
                "ATTENTION  cpu of web cannot be met",
            ),
        ] {
            let picture = picture(&changed);
            let text = told(&picture);
            assert!(text.contains(expected) && !text.contains("all is well"), "{text}");
            assert_eq!(picture.status().exit_code, EXIT_ATTENTION);
        }
        for quiet in [
            incident("warning", true, None),
            incident("critical", false, None),
            incident("critical", true, Some(1)),
        ] {
            assert_eq!(picture(&json!({"incidents": [quiet]})).status().exit_code, 0);
        }
    }
}
