//! What goes out, in each receiver's form.

use serde_json::{Value, json};
use shadow::UnixMs;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::desk::{Notice, Why};

/// How long an Alertmanager believes that an incident goes on without being told so again.
const BELIEVED_MS: i64 = 5 * 60_000;

/// Notices that go out together.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    /// The cell of the hosts.
    pub(crate) cell: String,
    /// Where the page is, without a slash at its end.
    pub(crate) page: String,
    pub(crate) now_ms: UnixMs,
    /// At least one, the gravest first.
    pub(crate) notices: Vec<Notice>,
}

impl Message {
    /// In a line: `[foreshadow main] critical: node-1: memory leaks (and 2 more)`.
    pub(crate) fn subject(&self) -> String {
        let more = match self.notices.len() {
            0 | 1 => String::new(),
            count => format!(" (and {} more)", count - 1),
        };
        let first = self.notices.first().map_or_else(String::new, line);
        format!("[foreshadow {}] {first}{more}", self.cell)
    }

    /// For people who read.
    pub(crate) fn text(&self) -> String {
        self.notices.iter().map(|notice| self.paragraph(notice)).collect()
    }

    fn paragraph(&self, notice: &Notice) -> String {
        let Notice { incident, why } = notice;
        let until = match why {
            Why::Ended => format!(" until {}", moment(incident.until_ms)),
            _ => String::new(),
        };
        let when = format!("since {}{until}", moment(incident.since_ms));
        let evidence = incident.evidence.iter().cloned();
        let below = [when].into_iter().chain(evidence).chain([self.link(&incident.host)]);
        let below: Vec<String> = below.map(|line| format!("\n  {line}")).collect();
        format!("{}{}\n\n", line(notice), below.concat())
    }

    /// For a webhook: `text` is what chats show, the rest is for programs.
    pub(crate) fn json(&self) -> Value {
        let notices = self.notices.iter().map(|Notice { incident, why }| {
            json!({
                "host": incident.host,
                "severity": incident.severity.as_str(),
                "why": why,
                "since": moment(incident.since_ms),
                "until": moment(incident.until_ms),
                "cause": incident.cause,
                "evidence": incident.evidence,
                "acknowledged": incident.is_acknowledged,
                "link": self.link(&incident.host),
            })
        });
        json!({
            "version": 1,
            "cell": self.cell,
            "time": moment(self.now_ms),
            "text": format!("{}\n{}", self.subject(), self.text()),
            "notices": notices.collect::<Vec<_>>(),
        })
    }

    /// For an Alertmanager (`/api/v2/alerts`).
    pub(crate) fn alerts(&self) -> Value {
        let alerts = self.notices.iter().map(|Notice { incident, why }| {
            let ends_ms = if *why == Why::Ended {
                incident.until_ms.min(self.now_ms)
            } else {
                self.now_ms + BELIEVED_MS
            };
            json!({
                "labels": {
                    "alertname": "ForeshadowIncident",
                    "cell": self.cell,
                    "host": incident.host,
                    "since": moment(incident.since_ms),
                    "severity": incident.severity.as_str(),
                },
                "annotations": { "summary": incident.cause, "description": incident.evidence.join("\n") },
                "startsAt": moment(incident.since_ms),
                "endsAt": moment(ends_ms),
                "generatorURL": self.link(&incident.host),
            })
        });
        alerts.collect()
    }

    fn link(&self, host: &str) -> String {
        format!("{}/#/hosts/{host}", self.page)
    }
}

fn line(notice: &Notice) -> String {
    let Notice { incident, why } = notice;
    let how = match why {
        Why::Began => "",
        Why::BecameGraver => ", graver than before",
        Why::GoesOn => ", it goes on",
        Why::Ended => ", it has ended",
    };
    // A name or a cause with line ends in it must not end a header of a mail.
    let text = format!(
        "{}: {}: {}{how}",
        incident.severity.as_str(),
        incident.host,
        incident.cause
    );
    text.replace(char::is_control, " ")
}

fn moment(ms: UnixMs) -> String {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000);
    time.ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use shadow::Severity;

    use super::*;
    use crate::incident::Incident;

    fn message(why: Why) -> Message {
        let incident = |host: &str| Incident {
            host: host.to_owned(),
            since_ms: 0,
            until_ms: 60_000,
            goes_on: why != Why::Ended,
            severity: Severity::Critical,
            cause: "memory\r\nleaks".to_owned(),
            evidence: vec!["14 GiB, expected were 3".to_owned()],
            is_acknowledged: false,
        };
        let notices = ["a", "b"]
            .map(|host| Notice {
                incident: incident(host),
                why,
            })
            .to_vec();
        Message {
            cell: "main".to_owned(),
            page: "http://127.0.0.1:8420".to_owned(),
            now_ms: 120_000,
            notices,
        }
    }

    #[test]
    fn a_subject_is_one_line_and_the_text_has_the_rest() {
        let message = message(Why::Ended);
        assert_eq!(
            message.subject(),
            "[foreshadow main] critical: a: memory  leaks, it has ended (and 1 more)"
        );
        let text = message.text();
        for part in [
            "since 1970-01-01T00:00:00Z until 1970-01-01T00:01:00Z",
            "14 GiB",
            "http://127.0.0.1:8420/#/hosts/b",
        ] {
            assert!(text.contains(part), "{part:?} in {text}");
        }
    }

    #[test]
    fn an_alertmanager_is_told_an_end_or_to_be_told_again() {
        let ends = |why| message(why).alerts()[0]["endsAt"].clone();
        assert_eq!(ends(Why::Ended), "1970-01-01T00:01:00Z");
        assert_eq!(ends(Why::Began), "1970-01-01T00:07:00Z");
    }
}
