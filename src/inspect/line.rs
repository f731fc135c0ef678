//! A message or a row of a database to the object that is printed.

use brain::archive::{Entry, Stored};
use bus::{Kind, topics::Location};
use serde::Serialize;
use serde_json::Value;
use shadow::{Birth, Command, Event, Frame, Hole, Outcome, UnixMs, Vantage, Watermark, capture::Captured, wire};

use super::samples::{Samples, Values};

/// The longest status that is read, in bytes: ours have some hundred.
const MAX_STATUS_BYTES: usize = 64 << 10;

/// One object.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vantage: Option<Vantage>,
    /// How it came; `None` for what lies in a database.
    #[serde(flatten)]
    way: Option<Way>,
    /// Length of the message on the wire.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<usize>,
    #[serde(flatten)]
    content: Option<Content>,
    /// Why there is no content.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct Way {
    topic: String,
    came_ms: UnixMs,
    retained: bool,
}

/// What it says, under the name of its kind.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum Content {
    Birth(Box<Birth>),
    Frame(Envelope),
    Event(Event),
    Watermark(Watermark),
    Hole(Hole),
    Command(Command),
    Outcome(Outcome),
    Status(Value),
}

/// A frame as far as it is read without its birth, and with `--values` what it holds.
#[derive(Debug, Serialize)]
struct Envelope {
    epoch: u64,
    sequence: u64,
    start_ms: UnixMs,
    samples: u32,
    codec: u32,
    reference: u64,
    body_bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    values: Option<Values>,
    /// Why there are no values.
    #[serde(skip_serializing_if = "Option::is_none")]
    unread: Option<String>,
}

/// Makes lines of messages and rows; knows the births that it has seen where values are wanted.
#[derive(Debug)]
pub(super) struct Reader {
    samples: Option<Samples>,
}

impl Reader {
    /// `values`: whether frames are to be read.
    pub(super) fn new(values: bool) -> Self {
        Self {
            samples: values.then(Samples::default),
        }
    }

    /// A message as it went over a broker.
    pub(super) fn message(&mut self, message: Captured) -> Line {
        let bytes = message.payload.len();
        let (kind, from, read) = match Location::of(&message.topic) {
            Err(error) => ("unknown", None, Err(error.to_string())),
            Ok(location) => {
                let (kind, vantage) = named(&location.address.kind);
                let host = location.address.host;
                let agent = format!("{}/{}/{host}", location.prefix, location.cell);
                let read = self.payload(&location.address.kind, &agent, &message);
                (kind, Some((host, vantage)), read)
            }
        };
        let (host, vantage) = from.map_or((None, None), |(host, vantage)| (Some(host), vantage));
        let (content, error) = halves(read);
        Line {
            kind,
            host,
            vantage,
            way: Some(Way {
                topic: message.topic,
                came_ms: message.time_ms,
                retained: message.retained,
            }),
            bytes: Some(bytes),
            content,
            error,
        }
    }

    fn payload(&mut self, kind: &Kind, agent: &str, message: &Captured) -> Result<Content, String> {
        let bytes = &message.payload;
        let read = match kind {
            Kind::Birth(vantage) => {
                wire::decode_birth(bytes).map(|birth| self.birth(&format!("{agent}/{vantage}"), birth.into()))
            }
            Kind::Delta(vantage) => {
                wire::decode_frame(bytes.clone()).map(|frame| self.frame(&format!("{agent}/{vantage}"), &frame))
            }
            Kind::Event(_) => wire::decode_event(bytes).map(Content::Event),
            Kind::Watermark(_) => wire::decode_watermark(bytes).map(Content::Watermark),
            Kind::Hole(_) => wire::decode_hole(bytes).map(Content::Hole),
            Kind::Command(_) => wire::decode_command(bytes).map(Content::Command),
            Kind::Outcome(_) => wire::decode_outcome(bytes).map(Content::Outcome),
            Kind::Status(_) | Kind::View(_) => return json(bytes).map(Content::Status),
        };
        read.map_err(|error| error.to_string())
    }

    /// A row of a database.
    pub(super) fn entry(&mut self, entry: Entry) -> Line {
        let agent = match (&entry.host, entry.vantage) {
            (Some(host), Some(vantage)) => format!("{host}/{vantage}"),
            _ => String::new(),
        };
        let bytes = entry.stored.as_ref().ok().map(wire_bytes);
        let read = entry.stored.map(|stored| match stored {
            Stored::Birth(birth) => self.birth(&agent, birth),
            Stored::Frame(frame) => self.frame(&agent, &frame),
            Stored::Event(event) => Content::Event(event),
            Stored::Watermark(mark) => Content::Watermark(Watermark { epochs: vec![mark] }),
            Stored::Hole(hole) => Content::Hole(hole),
            Stored::Command(command) => Content::Command(command),
            Stored::Outcome(outcome) => Content::Outcome(outcome),
        });
        let (content, error) = halves(read);
        Line {
            kind: entry.kind,
            host: entry.host,
            vantage: entry.vantage,
            way: None,
            bytes,
            content,
            error,
        }
    }

    fn birth(&mut self, agent: &str, birth: Box<Birth>) -> Content {
        if let Some(samples) = &mut self.samples {
            samples.birth(agent, &birth);
        }
        Content::Birth(birth)
    }

    fn frame(&mut self, agent: &str, frame: &Frame) -> Content {
        let read = self.samples.as_mut().map(|samples| samples.read(agent, frame));
        let (values, unread) = read.map_or((None, None), halves);
        Content::Frame(Envelope {
            epoch: frame.epoch,
            sequence: frame.sequence,
            start_ms: frame.start_ms,
            samples: frame.samples,
            codec: frame.codec,
            reference: frame.reference,
            body_bytes: frame.body.len(),
            values,
            unread,
        })
    }
}

fn halves<T, E>(read: Result<T, E>) -> (Option<T>, Option<E>) {
    match read {
        Ok(told) => (Some(told), None),
        Err(fault) => (None, Some(fault)),
    }
}

const fn named(kind: &Kind) -> (&'static str, Option<Vantage>) {
    match kind {
        Kind::Birth(vantage) => ("birth", Some(*vantage)),
        Kind::Delta(vantage) => ("frame", Some(*vantage)),
        Kind::Event(vantage) => ("event", Some(*vantage)),
        Kind::Watermark(vantage) => ("watermark", Some(*vantage)),
        Kind::Hole(vantage) => ("hole", Some(*vantage)),
        Kind::Command(vantage) => ("command", Some(*vantage)),
        Kind::Outcome(vantage) => ("outcome", Some(*vantage)),
        Kind::Status(vantage) => ("status", Some(*vantage)),
        Kind::View(_) => ("view", None),
    }
}

fn json(bytes: &[u8]) -> Result<Value, String> {
    if bytes.len() > MAX_STATUS_BYTES {
        return Err(format!("more than {MAX_STATUS_BYTES} bytes"));
    }
    serde_json::from_slice(bytes).map_err(|error| format!("not JSON: {error}"))
}

/// How long the message is on the wire.
fn wire_bytes(stored: &Stored) -> usize {
    let message = match stored {
        Stored::Birth(birth) => wire::encode_birth(birth),
        Stored::Frame(frame) => wire::encode_frame(frame),
        Stored::Event(event) => wire::encode_event(event),
        Stored::Watermark(mark) => wire::encode_watermark(&Watermark {
            epochs: vec![mark.clone()],
        }),
        Stored::Hole(hole) => wire::encode_hole(hole),
        Stored::Command(command) => wire::encode_command(command),
        Stored::Outcome(outcome) => wire::encode_outcome(outcome),
    };
    message.len()
}

#[cfg(test)]
mod tests {
    use shadow::{Block, Catalogue, EpochMark, Finding, Metric, Reading, Severity, codec::Encoder};

    use super::*;

    fn told(reader: &mut Reader, topic: &str, payload: &[u8]) -> Value {
        let line = reader.message(Captured {
            time_ms: 1_795_486_574_187,
            retained: false,
            topic: topic.to_owned(),
            payload: payload.to_vec().into(),
        });
        serde_json::to_value(&line).unwrap()
    }

    fn birth() -> Birth {
        Birth {
            epoch: 7,
            catalogue: Catalogue::new(vec![Metric::share("host.cpu").key()]),
            ..Birth::default()
        }
    }

    fn frame(birth: &Birth) -> Vec<u8> {
        let mut block = Block::new(&birth.catalogue);
        block.push(1_000, &[Reading::new(0.25)]);
        let frame = Encoder::new(&birth.catalogue).frame(7, 3, &block).unwrap();
        wire::encode_frame(&frame)
    }

    #[test]
    fn a_frame_is_an_envelope_and_with_its_birth_has_values() {
        let (birth, topic) = (birth(), "f/lab/a/bin/inband/delta");
        let bytes = frame(&birth);
        let line = told(&mut Reader::new(false), topic, &bytes);
        assert_eq!(
            (&line["kind"], &line["host"], &line["vantage"]),
            (&"frame".into(), &"a".into(), &"inband".into())
        );
        assert_eq!((&line["topic"], &line["bytes"]), (&topic.into(), &bytes.len().into()));
        let envelope = &line["frame"];
        assert_eq!(
            [&envelope["epoch"], &envelope["sequence"], &envelope["samples"]],
            [7, 3, 1]
        );
        assert_eq!([&envelope["start_ms"], &envelope["reference"]], [1_000, 0]);
        assert!(
            envelope.get("values").is_none() && envelope.get("unread").is_none(),
            "not asked for: {line}"
        );

        let mut reader = Reader::new(true);
        let line = told(&mut reader, topic, &bytes);
        assert_eq!(line["frame"]["unread"], "no birth of epoch 7 has been seen");
        let line = told(&mut reader, "f/lab/a/bin/inband/birth", &wire::encode_birth(&birth));
        assert_eq!(line["birth"]["catalogue"][0]["name"], "host.cpu");
        assert_eq!(line["birth"]["catalogue"][0]["bound"]["absolute"]["step"], 0.005);
        let line = told(&mut reader, topic, &bytes);
        assert_eq!(line["frame"]["values"]["metrics"]["host.cpu"][0], 0.25);
        let line = told(&mut reader, "f/other/a/bin/inband/delta", &bytes);
        assert_eq!(
            line["frame"]["unread"], "no birth of epoch 7 has been seen",
            "another cell's host"
        );
    }

    #[test]
    fn every_kind_stands_under_its_name() {
        let reader = &mut Reader::new(false);
        let finding = Finding {
            source: "pci".to_owned(),
            subject: "0000:01:00.0".to_owned(),
            kind: "link_degraded".to_owned(),
            severity: Severity::Warning,
            text: String::new(),
            details: vec![("width".to_owned(), "x4".to_owned())],
        };
        let (epoch, sequence, time_ms) = (7, 4, 9);
        let event = wire::encode_event(&Event {
            epoch,
            sequence,
            time_ms,
            finding,
        });
        let line = told(reader, "f/lab/a/bin/oob/event", &event);
        assert_eq!(
            (&line["event"]["kind"], &line["event"]["severity"]),
            (&"link_degraded".into(), &"warning".into())
        );
        let mark = EpochMark {
            epoch,
            durable_below: 9,
            missing: vec![2..4, 5..6],
            birth_wanted: true,
        };
        let line = told(
            reader,
            "f/lab/a/bin/oob/watermark",
            &wire::encode_watermark(&Watermark { epochs: vec![mark] }),
        );
        assert_eq!(line["watermark"]["epochs"][0]["missing"][0]["end"], 4, "{line}");
        let hole = wire::encode_hole(&Hole {
            epoch,
            first: 2,
            end: 4,
        });
        let line = told(reader, "f/lab/a/bin/oob/hole", &hole);
        assert_eq!((&line["kind"], &line["hole"]["end"]), (&"hole".into(), &4.into()));
        let line = told(reader, "f/lab/a/status/oob", br#"{"state":"online"}"#);
        assert_eq!(
            (&line["kind"], &line["status"]["state"]),
            (&"status".into(), &"online".into())
        );
    }

    #[test]
    fn what_cannot_be_read_says_why_with_topic_and_size() {
        let reader = &mut Reader::new(true);
        for (topic, payload, kind, error) in [
            ("f/lab/a/bin/inband/birth", &b"\xff\xff"[..], "birth", "not a birth: "),
            (
                "f/lab/a/bin/inband/delta",
                b"\x20\x81\x20\x28\x01",
                "frame",
                "frame with bad samples",
            ),
            (
                "f/lab/a/bin/inband/command",
                b"\x12\x00",
                "command",
                "command with bad host",
            ),
            ("f/lab/a/status/inband", b"{", "status", "not JSON: "),
            ("f/lab/a/bin/inband/other", b"12", "unknown", "unknown kind"),
            ("x", b"", "unknown", "unknown kind"),
        ] {
            let line = told(reader, topic, payload);
            assert!(line["error"].as_str().unwrap().contains(error), "{line}");
            assert_eq!((&line["kind"], &line["topic"]), (&kind.into(), &topic.into()));
            assert_eq!(line["bytes"], payload.len());
            assert!(line.get(kind).is_none(), "no content: {line}");
        }
        let long = vec![b' '; MAX_STATUS_BYTES + 1];
        assert_eq!(
            told(reader, "f/lab/a/status/oob", &long)["error"],
            "more than 65536 bytes"
        );
    }
}
