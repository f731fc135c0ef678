//! Where each message goes, and what a topic names. `docs/topics.md` has the table.
//!
//! `<prefix>/<cell>/<host>/bin/<vantage>/<kind>`, `<prefix>/<cell>/<host>/status/<vantage>`,
//! `<prefix>/<cell>/<host>/view/<path>`, `<prefix>/<cell>/_brain/{status,view/<path>}`.
//! No name begins with `_`, so `_brain` is never a host.

use shadow::{Vantage, check_name};

use crate::TopicError;

mod location;

pub use location::{Location, filters};

/// The level in place of a host, for what belongs to the brain.
const BRAIN: &str = "_brain";

/// The level in place of a name that is refused: no agent has it, and [`Topics::parse`] refuses it too.
const REFUSED: &str = "_refused";

/// The topics of one cell.
///
/// A host's name is a topic level, so it must pass [`check_name`]. Builders cannot fail: a name that does
/// not pass ends at a topic that nobody has, and never at another host's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics {
    /// `<prefix>/<cell>/`.
    root: String,
}

/// What a topic of a host names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The host, checked.
    pub host: String,
    /// What is told of it.
    pub kind: Kind,
}

/// The kinds of message about one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Catalogue, inventory and epoch; retained.
    Birth(Vantage),
    /// A frame of samples.
    Delta(Vantage),
    /// Register and system event log diagnostics.
    Event(Vantage),
    /// Sequences that nobody has any more.
    Hole(Vantage),
    /// What is durable; retained, from the brain.
    Watermark(Vantage),
    /// Changes of allocations, from the brain.
    Command(Vantage),
    /// What came of a command.
    Outcome(Vantage),
    /// Whether the agent lives; retained JSON and last will.
    Status(Vantage),
    /// Flat JSON for people and tools; retained, from the brain.
    View(String),
}

impl Topics {
    /// The topics of `cell` under `prefix`, which may have several levels.
    ///
    /// # Errors
    /// [`TopicError::Name`] when a level is no name.
    pub fn new(prefix: &str, cell: &str) -> Result<Self, TopicError> {
        for level in prefix.split('/').chain([cell]) {
            check_name(level)?;
        }
        Ok(Self {
            root: format!("{prefix}/{cell}/"),
        })
    }

    /// The client id of `who` in this cell. Brokers serve many cells, and a second client with the same id takes the
    /// place of the first. Longer than the 23 bytes that every broker must allow (MQTT 3.1.1, 3.1.3.1), as usual.
    pub fn client_id(&self, who: &str) -> String {
        format!("{}{who}", self.root)
    }

    /// Where the agent tells what it samples.
    pub fn birth(&self, host: &str, vantage: Vantage) -> String {
        self.binary(host, vantage, "birth")
    }

    /// Where the agent sends its frames.
    pub fn delta(&self, host: &str, vantage: Vantage) -> String {
        self.binary(host, vantage, "delta")
    }

    /// Where the agent sends diagnostics.
    pub fn event(&self, host: &str, vantage: Vantage) -> String {
        self.binary(host, vantage, "event")
    }

    /// Where the agent tells what it has lost.
    pub fn hole(&self, host: &str, vantage: Vantage) -> String {
        self.binary(host, vantage, "hole")
    }

    /// Where the brain tells what is durable.
    pub fn watermark(&self, host: &str, vantage: Vantage) -> String {
        self.binary(host, vantage, "watermark")
    }

    /// Where the brain sends commands.
    pub fn command(&self, host: &str, vantage: Vantage) -> String {
        self.binary(host, vantage, "command")
    }

    /// Where the agent answers commands.
    pub fn outcome(&self, host: &str, vantage: Vantage) -> String {
        self.binary(host, vantage, "outcome")
    }

    /// Where the agent, or its last will, tells whether it lives.
    pub fn status(&self, host: &str, vantage: Vantage) -> String {
        format!("{}{}/status/{vantage}", self.root, level(host))
    }

    /// Where the brain shows a host: `cpu`, `forecast/cpu/5m`, ...
    pub fn view(&self, host: &str, path: &str) -> String {
        format!("{}{}/view/{path}", self.root, level(host))
    }

    /// Where the brain, or its last will, tells whether it lives.
    pub fn brain_status(&self) -> String {
        format!("{}{BRAIN}/status", self.root)
    }

    /// Where the brain shows the cell: `pool`, `fleet`, `models`.
    pub fn brain_view(&self, path: &str) -> String {
        format!("{}{BRAIN}/view/{path}", self.root)
    }

    /// Filter for the births of all hosts.
    pub fn births(&self) -> String {
        self.every("birth")
    }

    /// Filter for the frames of all hosts.
    pub fn deltas(&self) -> String {
        self.every("delta")
    }

    /// Filter for the diagnostics of all hosts.
    pub fn events(&self) -> String {
        self.every("event")
    }

    /// Filter for what agents have lost.
    pub fn holes(&self) -> String {
        self.every("hole")
    }

    /// Filter for the outcomes of all hosts.
    pub fn outcomes(&self) -> String {
        self.every("outcome")
    }

    /// Filter for the statuses of all agents.
    pub fn statuses(&self) -> String {
        format!("{}+/status/+", self.root)
    }

    /// What `topic` names.
    ///
    /// # Errors
    /// [`TopicError`] when it is no topic of a host of this cell.
    pub fn parse(&self, topic: &str) -> Result<Address, TopicError> {
        let foreign = || TopicError::Foreign(shortened(topic));
        let unknown = || TopicError::Kind(shortened(topic));
        let rest = topic.strip_prefix(&self.root).ok_or_else(foreign)?;
        let (host, rest) = rest.split_once('/').ok_or_else(unknown)?;
        if host == BRAIN {
            return Err(TopicError::Brain(shortened(topic)));
        }
        check_name(host)?;
        let kind = match rest.split_once('/').ok_or_else(unknown)? {
            ("bin", rest) => binary_kind(rest)?.ok_or_else(unknown)?,
            ("status", vantage) => Kind::Status(vantage.parse()?),
            ("view", path) if !path.is_empty() => Kind::View(path.to_owned()),
            _ => return Err(unknown()),
        };
        Ok(Address {
            host: host.to_owned(),
            kind,
        })
    }

    fn binary(&self, host: &str, vantage: Vantage, kind: &str) -> String {
        format!("{}{}/bin/{vantage}/{kind}", self.root, level(host))
    }

    fn every(&self, kind: &str) -> String {
        format!("{}+/bin/+/{kind}", self.root)
    }
}

fn level(host: &str) -> &str {
    if check_name(host).is_ok() { host } else { REFUSED }
}

fn binary_kind(rest: &str) -> Result<Option<Kind>, TopicError> {
    let Some((vantage, kind)) = rest.split_once('/') else {
        return Ok(None);
    };
    let vantage = vantage.parse()?;
    Ok(Some(match kind {
        "birth" => Kind::Birth(vantage),
        "delta" => Kind::Delta(vantage),
        "event" => Kind::Event(vantage),
        "hole" => Kind::Hole(vantage),
        "watermark" => Kind::Watermark(vantage),
        "command" => Kind::Command(vantage),
        "outcome" => Kind::Outcome(vantage),
        _ => return Ok(None),
    }))
}

/// A topic from the network, short enough for a log line.
fn shortened(topic: &str) -> String {
    topic.chars().take(200).collect()
}

/// Checks that `topic` can be published to.
pub(crate) fn check_publishable(topic: &str) -> Result<(), TopicError> {
    let good = !topic.is_empty() && u16::try_from(topic.len()).is_ok() && !topic.contains(['+', '#', '\0']);
    if good {
        Ok(())
    } else {
        Err(TopicError::Unpublishable(shortened(topic)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics() -> Topics {
        Topics::new("foreshadow", "lab").unwrap()
    }

    #[test]
    fn every_topic_of_a_host_is_read_back() {
        let t = topics();
        for vantage in [Vantage::Inband, Vantage::Oob] {
            for (topic, kind) in [
                (t.birth("web-1.a", vantage), Kind::Birth(vantage)),
                (t.delta("web-1.a", vantage), Kind::Delta(vantage)),
                (t.event("web-1.a", vantage), Kind::Event(vantage)),
                (t.hole("web-1.a", vantage), Kind::Hole(vantage)),
                (t.watermark("web-1.a", vantage), Kind::Watermark(vantage)),
                (t.command("web-1.a", vantage), Kind::Command(vantage)),
                (t.outcome("web-1.a", vantage), Kind::Outcome(vantage)),
                (t.status("web-1.a", vantage), Kind::Status(vantage)),
                (
                    t.view("web-1.a", "forecast/cpu/5m"),
                    Kind::View("forecast/cpu/5m".to_owned()),
                ),
            ] {
                let expected = Address {
                    host: "web-1.a".to_owned(),
                    kind,
                };
                assert_eq!(t.parse(&topic), Ok(expected), "{topic}");
                assert_eq!(check_publishable(&topic), Ok(()), "{topic}");
            }
        }
        assert_eq!(t.delta("a", Vantage::Inband), "foreshadow/lab/a/bin/inband/delta");
        assert_eq!(t.status("a", Vantage::Oob), "foreshadow/lab/a/status/oob");
    }

    #[test]
    fn the_prefix_may_have_levels() {
        let t = Topics::new("site/foreshadow", "lab").unwrap();
        assert_eq!(t.births(), "site/foreshadow/lab/+/bin/+/birth");
        assert_eq!(
            t.client_id("agent-web-1-inband"),
            "site/foreshadow/lab/agent-web-1-inband"
        );
        assert_eq!(t.parse("site/foreshadow/lab/a/status/inband").unwrap().host, "a");
        for (prefix, cell) in [
            ("", "a"),
            ("a/", "b"),
            ("/a", "b"),
            ("a", ""),
            ("a", "b/c"),
            ("a+", "b"),
            ("a", "#"),
        ] {
            assert!(Topics::new(prefix, cell).is_err(), "{prefix:?} {cell:?}");
        }
    }

    #[test]
    fn what_is_no_host_topic_of_the_cell_is_refused() {
        let t = topics();
        for (topic, expected) in [
            ("", TopicError::Foreign(String::new())),
            (
                "foreshadow/other/a/bin/inband/delta",
                TopicError::Foreign("foreshadow/other/a/bin/inband/delta".into()),
            ),
            (
                "foreshadow/lab/_brain/status",
                TopicError::Brain("foreshadow/lab/_brain/status".into()),
            ),
            ("foreshadow/lab/a", TopicError::Kind("foreshadow/lab/a".into())),
            (
                "foreshadow/lab/a/bin/inband",
                TopicError::Kind("foreshadow/lab/a/bin/inband".into()),
            ),
            (
                "foreshadow/lab/a/bin/inband/x",
                TopicError::Kind("foreshadow/lab/a/bin/inband/x".into()),
            ),
            (
                "foreshadow/lab/a/bin/inband/delta/x",
                TopicError::Kind("foreshadow/lab/a/bin/inband/delta/x".into()),
            ),
            (
                "foreshadow/lab/a/view/",
                TopicError::Kind("foreshadow/lab/a/view/".into()),
            ),
        ] {
            assert_eq!(t.parse(topic), Err(expected), "{topic}");
        }
        for topic in [
            "foreshadow/lab/_x/bin/inband/delta",
            "foreshadow/lab//bin/inband/delta",
            "foreshadow/lab/a+/bin/inband/delta",
            "foreshadow/lab/a/bin/outside/delta",
            "foreshadow/lab/a/status/inband/x",
        ] {
            assert!(matches!(t.parse(topic), Err(TopicError::Name(_))), "{topic}");
        }
    }

    #[test]
    fn a_name_that_is_refused_reaches_no_host() {
        let t = topics();
        for host in ["", "a/bin/inband/command", "+", "#", "a\0", "_brain"] {
            let topic = t.command(host, Vantage::Inband);
            assert_eq!(topic, "foreshadow/lab/_refused/bin/inband/command");
            assert!(t.parse(&topic).is_err());
        }
    }

    #[test]
    fn filters_and_oversize_topics_cannot_be_published_to() {
        let long = "x".repeat(65_536);
        for bad in ["", "a/+", "#", "a\0b", &long] {
            assert!(check_publishable(bad).is_err(), "{bad:.20?}");
        }
    }
}
