//! [`Event`]s on the wire.

use prost::Message;
use schemas::v1;

use super::{WireError, check::Check, scan::List};
use crate::{
    Event, Severity,
    event::{Finding, MAX_DETAILS},
};

/// The longest event.
pub const MAX_EVENT_BYTES: usize = 64 << 10;

const CHECK: Check = Check {
    message: "event",
    max_bytes: MAX_EVENT_BYTES,
    lists: &[List {
        name: "details",
        path: &[9],
        most: MAX_DETAILS,
    }],
};

/// The bytes of `event`.
pub fn encode_event(event: &Event) -> Vec<u8> {
    let Finding {
        source,
        subject,
        kind,
        severity,
        text,
        details,
    } = &event.finding;
    let detail = |(name, value): &(String, String)| v1::Detail {
        name: name.clone(),
        value: value.clone(),
    };
    let message = v1::Event {
        epoch: event.epoch,
        sequence: event.sequence,
        time_ms: event.time_ms,
        source: source.clone(),
        subject: subject.clone(),
        kind: kind.clone(),
        severity: severity_to_wire(*severity).into(),
        text: text.clone(),
        details: details.iter().map(detail).collect(),
    };
    message.encode_to_vec()
}

/// Reads an event.
///
/// # Errors
/// [`WireError`] when it is too long, not protobuf, of no believable time, epoch or sequence, of an unknown
/// severity, or has a name or a text that is none.
pub fn decode_event(bytes: &[u8]) -> Result<Event, WireError> {
    let message: v1::Event = CHECK.decode(bytes)?;
    let severity = severity_from_wire(message.severity());
    let severity = severity.ok_or_else(|| CHECK.bad(format_args!("severity"), format!("{}", message.severity)))?;
    let details = message.details.into_iter().enumerate();
    Ok(Event {
        epoch: CHECK.number(format_args!("epoch"), message.epoch)?,
        sequence: CHECK.number(format_args!("sequence"), message.sequence)?,
        time_ms: CHECK.time(format_args!("time_ms"), message.time_ms)?,
        finding: Finding {
            source: CHECK.name(format_args!("source"), message.source)?,
            subject: CHECK.name(format_args!("subject"), message.subject)?,
            kind: CHECK.name(format_args!("kind"), message.kind)?,
            severity,
            text: CHECK.text(format_args!("text"), message.text)?,
            details: details
                .map(|(i, detail)| detail_from_wire(i, detail))
                .collect::<Result<_, _>>()?,
        },
    })
}

fn detail_from_wire(i: usize, detail: v1::Detail) -> Result<(String, String), WireError> {
    Ok((
        CHECK.name(format_args!("details[{i}].name"), detail.name)?,
        CHECK.text(format_args!("details[{i}].value"), detail.value)?,
    ))
}

const fn severity_to_wire(severity: Severity) -> v1::event::Severity {
    match severity {
        Severity::Info => v1::event::Severity::Info,
        Severity::Warning => v1::event::Severity::Warning,
        Severity::Critical => v1::event::Severity::Critical,
    }
}

const fn severity_from_wire(severity: v1::event::Severity) -> Option<Severity> {
    match severity {
        v1::event::Severity::Unspecified => None,
        v1::event::Severity::Info => Some(Severity::Info),
        v1::event::Severity::Warning => Some(Severity::Warning),
        v1::event::Severity::Critical => Some(Severity::Critical),
    }
}
