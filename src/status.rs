//! How a cell stands, in a few lines, for people and for monitors: by the exit code.

use std::collections::BTreeMap;

use brain::allocate::amount;
use clap::Args;
use runtime::{
    output::print,
    process::{Attention, EXIT_ATTENTION},
};
use serde::Serialize;

use crate::client::{
    Page,
    picture::{Fleet, Incident, Issued, Model},
    words::age,
};

/// Exits with 0 where all is well, 2 where something needs attention, 1 where no brain can be asked.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    page: Page,
    /// As one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) async fn main(arguments: &StatusArgs) -> anyhow::Result<()> {
    let fleet: Fleet = arguments.page.get("/api/v1/fleet").await?;
    let status = Status::of(&fleet);
    if arguments.json {
        print(&(serde_json::to_string_pretty(&status)? + "\n"))?;
    } else {
        print(&words(&fleet, &status))?;
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
    hosts: BTreeMap<&'a str, usize>,
    model: &'a str,
    samples_per_s: f64,
    /// Bytes of frames of those of packed doubles; `None` before the first.
    share_of_packed: Option<f64>,
    missing_frames: u64,
    incidents: usize,
    /// The code that the command ends with.
    exit_code: u8,
    /// What a person should look at, in words.
    attention: Vec<String>,
}

impl<'a> Status<'a> {
    fn of(fleet: &'a Fleet) -> Self {
        let mut hosts = BTreeMap::new();
        for host in &fleet.hosts {
            *hosts.entry(host.state.as_str()).or_default() += 1;
        }
        let attention = attention(fleet);
        let totals = &fleet.totals;
        Self {
            cell: &fleet.cell,
            mode: &fleet.mode,
            hosts,
            model: &fleet.model.state,
            samples_per_s: totals.samples_per_s,
            share_of_packed: (totals.packed_bytes > 0).then(|| totals.frame_bytes as f64 / totals.packed_bytes as f64),
            missing_frames: totals.missing,
            incidents: fleet.incidents.iter().filter(|incident| incident.goes_on).count(),
            exit_code: if attention.is_empty() { 0 } else { EXIT_ATTENTION },
            attention,
        }
    }
}

/// What a person should look at.
fn attention(fleet: &Fleet) -> Vec<String> {
    let silent = fleet.hosts.iter().filter(|host| host.state != "online").map(|host| {
        let silence = age(fleet.time_ms - host.last_sample_ms);
        format!("{} is {}: its newest sample is {silence} old", host.name, host.state)
    });
    let open = |incident: &&Incident| {
        incident.goes_on && incident.severity == "critical" && incident.acknowledged_ms.is_none()
    };
    let incidents = fleet.incidents.iter().filter(open).map(|incident| {
        let since = age(fleet.time_ms - incident.since_ms);
        format!(
            "{}, for {since}: {} (nobody has acknowledged it)",
            incident.host, incident.cause
        )
    });
    let model = (fleet.model.state == "failed").then(|| format!("the model cannot be trained: {}", fleet.model.note));
    let unmet = fleet.unmet.iter().cloned();
    silent.chain(incidents).chain(model).chain(unmet).collect()
}

fn words(fleet: &Fleet, status: &Status<'_>) -> String {
    let by_state = |(state, count): (&&str, &usize)| format!("{count} {state}");
    let hosts: Vec<String> = status.hosts.iter().map(by_state).collect();
    let hosts = if hosts.is_empty() {
        "none yet".to_owned()
    } else {
        hosts.join(", ")
    };
    let mode = match &fleet.freeze {
        Some(freeze) => format!("frozen by {} ({})", freeze.by, freeze.reason),
        None => fleet.mode.clone(),
    };
    let volume = status.share_of_packed.map_or(String::new(), |share| {
        format!(", frames are {:.1} % of packed doubles", share * 100.0)
    });
    let mut lines = vec![
        ("cell", format!("{}, {mode}", fleet.cell)),
        ("hosts", hosts),
        (
            "data",
            format!(
                "{:.1} samples/s{volume}, {} frames missing",
                status.samples_per_s, status.missing_frames
            ),
        ),
        ("model", model(&fleet.model)),
        ("incidents", format!("{} go on", status.incidents)),
        ("command", command(fleet.commands.first(), fleet.time_ms)),
    ];
    if status.attention.is_empty() {
        lines.push(("all is well", String::new()));
    }
    lines.extend(status.attention.iter().map(|text| ("ATTENTION", text.clone())));
    lines
        .iter()
        .map(|(name, text)| format!("{name:<10} {text}").trim_end().to_owned() + "\n")
        .collect()
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

    fn fleet(changed: &Value) -> Fleet {
        let mut told = json!({
            "time_ms": 600_000, "cell": "main", "mode": "acting", "freeze": null, "unmet": [], "commands": [], "incidents": [],
            "hosts": [{"name": "a", "state": "online", "last_sample_ms": 600_000, "anomalies": 0, "resources": []}],
            "model": {
                "state": "serving", "version": "7", "rows": 9, "rows_needed": 9, "served": [0.1, 0.4, 0.5], "note": "",
                "progress": null,
            },
            "totals": {"samples_per_s": 10.0, "frame_bytes": 46, "packed_bytes": 1_000, "missing": 0},
        });
        for (name, value) in changed.as_object().unwrap() {
            told[name] = value.clone();
        }
        serde_json::from_value(told).unwrap()
    }

    fn told(fleet: &Fleet) -> String {
        words(fleet, &Status::of(fleet))
    }

    #[test]
    fn a_cell_that_is_well_says_so() {
        let fleet = fleet(&json!({}));
        assert_eq!(
            told(&fleet),
            "cell       main, acting\nhosts      1 online\n\
             data       10.0 samples/s, frames are 4.6 % of packed doubles, 0 frames missing\n\
             model      serving 7, LSTM in 50 % of the series\nincidents  0 go on\ncommand    none yet\nall is well\n"
        );
        assert_eq!(Status::of(&fleet).exit_code, 0);
    }

    #[test]
    fn what_a_person_should_look_at_is_told_and_in_the_exit_code() {
        let incident = |severity, goes_on, acknowledged: Option<i64>| {
            json!({
                "host": "a", "since_ms": 0, "goes_on": goes_on, "severity": severity, "cause": "heat",
                "acknowledged_ms": acknowledged,
            })
        };
        for (changed, expected) in [
            (
                json!({"hosts": [{"name": "b", "state": "stale", "last_sample_ms": 0, "anomalies": 0, "resources": []}]}),
                "ATTENTION  b is stale: its newest sample is 10 min old",
            ),
            (
                json!({"incidents": [incident("critical", true, None)]}),
                "ATTENTION  a, for 10 min: heat (nobody has acknowledged it)",
            ),
            (
                json!({"unmet": ["cpu of web cannot be met"]}),
                "ATTENTION  cpu of web cannot be met",
            ),
        ] {
            let fleet = fleet(&changed);
            let text = told(&fleet);
            assert!(text.contains(expected) && !text.contains("all is well"), "{text}");
            assert_eq!(Status::of(&fleet).exit_code, EXIT_ATTENTION);
        }
        for quiet in [
            incident("warning", true, None),
            incident("critical", false, None),
            incident("critical", true, Some(1)),
        ] {
            assert_eq!(Status::of(&fleet(&json!({"incidents": [quiet]}))).exit_code, 0);
        }
    }
}
