//! The newest events of all hosts, to be shown; the store has the others.

use std::{collections::VecDeque, sync::Arc};

use shadow::Event;

use crate::{snapshot::EventView, store::Stream};

/// The most that are shown.
const MAX_SHOWN: usize = 200;

/// Events, newest last.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    events: VecDeque<EventView>,
    /// Newest first; `None` since one has come.
    shown: Option<Arc<Vec<EventView>>>,
}

impl Journal {
    /// Notes an event. One that comes late takes its place in time.
    pub(crate) fn add(&mut self, stream: &Stream, event: &Event) {
        self.shown = None;
        let place = self.events.partition_point(|known| known.time_ms <= event.time_ms);
        self.events.insert(place, view(stream, event));
        if self.events.len() > MAX_SHOWN {
            self.events.pop_front();
        }
    }

    /// The newest, newest first. Shared between pictures until one comes.
    pub(crate) fn shown(&mut self) -> Arc<Vec<EventView>> {
        let events = &self.events;
        let shown = self
            .shown
            .get_or_insert_with(|| Arc::new(events.iter().rev().cloned().collect()));
        Arc::clone(shown)
    }
}

/// As people and the API are told it.
pub(crate) fn view(stream: &Stream, event: &Event) -> EventView {
    let finding = &event.finding;
    EventView {
        host: stream.host.to_string(),
        vantage: stream.vantage.as_str(),
        time_ms: event.time_ms,
        source: finding.source.clone(),
        subject: finding.subject.clone(),
        kind: finding.kind.clone(),
        severity: finding.severity.as_str(),
        text: finding.text.clone(),
        details: finding.details.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::event;

    #[test]
    fn the_newest_are_shown_in_the_order_of_time() {
        let stream = Stream {
            host: "a".into(),
            vantage: shadow::Vantage::Inband,
        };
        let mut journal = Journal::default();
        for sequence in (0..300).filter(|n| *n != 150) {
            journal.add(&stream, &event(1, sequence, i64::try_from(sequence).unwrap()));
        }
        journal.add(&stream, &event(1, 150, 150));
        let shown = journal.shown();
        assert_eq!(shown.len(), MAX_SHOWN);
        assert!(shown.windows(2).all(|pair| pair[0].time_ms > pair[1].time_ms));
        assert_eq!((shown[0].time_ms, shown[199].time_ms), (299, 100));
    }
}
