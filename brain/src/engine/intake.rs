//! What agents tell: births, frames, outcomes, statuses.

use std::{sync::Arc, time::Duration};

use bus::Kind;
use bytes::Bytes;
use runtime::LogLimit;
use shadow::{Event, Frame, Hole, UnixMs, Vantage};

use super::{
    Engine,
    buffer::{EVENT_WEIGHT, HOLE_WEIGHT, birth_weight, frame_weight},
};
use crate::{
    dispatch::Answer,
    ingest::{Refusal, Taken, Verdict},
    store::{FrameId, Stream},
};

/// When something came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At {
    /// By the brain's clock.
    pub(crate) now_ms: UnixMs,
    /// For what must not hang on how the clock is set.
    pub(crate) monotonic_ns: u64,
}

/// Refusals that are told: one each 10 s of each kind of message, so that a flood of frames hides no birth.
const TOLD: Duration = Duration::from_secs(10);
const KINDS: [&str; 5] = ["/birth", "/delta", "/event", "/hole", "/outcome"];
static OF_KIND: [LogLimit; KINDS.len()] = [const { LogLimit::new(TOLD) }; KINDS.len()];
static OTHERS: LogLimit = LogLimit::new(TOLD);

impl Engine {
    pub(super) fn message(&mut self, topic: &str, payload: &Bytes, at: At) {
        let address = match self.topics.parse(topic) {
            Ok(address) => address,
            Err(error) => return self.refuse("topic", &error, topic, at),
        };
        let stream = |vantage| Stream {
            host: address.host.as_str().into(),
            vantage,
        };
        let refusal = match address.kind {
            Kind::Birth(vantage) => self.birth(&stream(vantage), payload, at).err(),
            Kind::Delta(vantage) => self.delta(&stream(vantage), payload, at).err(),
            Kind::Event(vantage) => self.event(&stream(vantage), payload, at).err(),
            Kind::Hole(vantage) => self.hole(&stream(vantage), payload, at).err(),
            Kind::Outcome(vantage) => return self.outcome((&address.host, vantage), payload, topic, at),
            Kind::Status(vantage) => return self.agent_status(&address.host, vantage, payload, topic, at),
            // Its own words.
            Kind::Watermark(_) | Kind::Command(_) | Kind::View(_) => return,
        };
        if let Some(refusal) = refusal {
            self.refuse(refusal.label(), &refusal, topic, at);
        }
    }

    pub(super) fn refuse(&mut self, label: &'static str, reason: &dyn std::fmt::Display, topic: &str, at: At) {
        self.refused += 1;
        self.figures.refused.with(label).inc();
        let kind = KINDS.iter().position(|kind| topic.ends_with(kind));
        let limit = kind.and_then(|kind| OF_KIND.get(kind)).unwrap_or(&OTHERS);
        if let Some(suppressed) = limit.pass(at.monotonic_ns) {
            let topic: String = topic.chars().take(200).collect();
            tracing::warn!(topic, %reason, suppressed, "message refused");
            self.tell_refusal(label, &reason.to_string(), (&topic, suppressed), at);
        }
    }

    fn birth(&mut self, stream: &Stream, payload: &[u8], at: At) -> Result<(), Refusal> {
        if self.is_full() {
            return Ok(());
        }
        self.check_birth(stream, payload, at.now_ms)?;
        let Some(born) = self.ingest.birth(at.now_ms, stream, payload)? else {
            return Ok(());
        };
        self.buffered += birth_weight(&born.birth);
        self.figures.births.inc();
        tracing::info!(host = &*stream.host, vantage = %stream.vantage, epoch = born.birth.epoch, "birth");
        if born.newest {
            self.fleet.birth(stream, &born.birth, at.monotonic_ns);
        }
        self.batch.births.push((stream.clone(), born.birth));
        self.frames(born.held.into_iter().map(|frame| (stream.clone(), frame)), at);
        self.tell_watermarks();
        Ok(())
    }

    fn delta(&mut self, stream: &Stream, payload: &Bytes, at: At) -> Result<(), Refusal> {
        let frame = shadow::wire::decode_frame(payload.clone())?;
        self.check_signature(trust::Kind::Delta, (stream, frame.epoch), payload, at.now_ms)?;
        self.frame(stream, frame, at)
    }

    fn frame(&mut self, stream: &Stream, frame: Frame, at: At) -> Result<(), Refusal> {
        if self.is_full() || self.is_too_old(frame.start_ms, at.now_ms) {
            return Ok(());
        }
        let (epoch, sequence) = (frame.epoch, frame.sequence);
        let came_before = self.ingest.has_come(stream, epoch, sequence);
        let verdict = self.ingest.frame(at.now_ms, stream, frame);
        // What nobody is to send again, and cannot be kept, is no silent gap. One that is refused now may be kept already.
        if verdict.is_err() && !came_before && self.ingest.has_come(stream, epoch, sequence) {
            self.figures.lost.inc();
            let hole = Hole {
                epoch,
                first: sequence,
                end: sequence + 1,
            };
            self.lost(stream.clone(), hole, at);
        }
        match verdict? {
            Verdict::Taken(taken, next) => {
                self.take(*taken, at);
                self.frames(next.into_iter().map(|frame| (stream.clone(), frame)), at);
            }
            Verdict::Duplicate => self.figures.duplicates.inc(),
            Verdict::Held => self.figures.held.inc(),
        }
        Ok(())
    }

    /// Frames that have waited; a bad one among them costs itself alone.
    fn frames(&mut self, frames: impl IntoIterator<Item = (Stream, Frame)>, at: At) {
        for (stream, frame) in frames {
            if let Err(refusal) = self.frame(&stream, frame, at) {
                let topic = self.topics.delta(&stream.host, stream.vantage);
                self.refuse(refusal.label(), &refusal, &topic, at);
            }
        }
    }

    /// Stored frames that others are read against, or `None` when the store could not look.
    pub(super) fn found(&mut self, wanted: Vec<FrameId>, frames: Option<Vec<(Stream, Frame)>>, at: At) {
        let Some(frames) = frames else {
            return self.ingest.want(wanted);
        };
        for id in wanted {
            let is_before = |(stream, frame): &&(Stream, Frame)| {
                *stream == id.stream && frame.epoch == id.epoch && frame.sequence <= id.sequence
            };
            let mut chain: Vec<_> = frames.iter().filter(is_before).cloned().collect();
            self.ingest.prime(&mut chain);
            self.keep_references(&chain);
            let primed = chain.last().is_some_and(|(_, frame)| frame.sequence == id.sequence);
            // At once, for a decoder remembers few frames.
            let found = self.ingest.found(id, primed);
            for (stream, hole) in found.lost {
                self.figures.lost.inc();
                self.lost(stream, hole, at);
            }
            self.frames(found.readable, at);
        }
    }

    /// Keeps stored frames in memory as well: newer ones are read against them.
    pub(super) fn keep_references(&self, frames: &[(Stream, Frame)]) {
        for (stream, frame) in frames {
            if let Some(birth) = self.ingest.birth_of(stream, frame.epoch) {
                self.hot.keep(stream, birth, frame, frame.start_ms);
            }
        }
    }

    fn take(&mut self, taken: Taken, at: At) {
        let Taken {
            stream,
            frame,
            mut readings,
            birth,
        } = taken;
        self.fleet.reconcile(&stream, &mut readings);
        let added = self.hot.add(&stream.host, &readings, UnixMs::MIN, self.open);
        self.hot.keep(&stream, &birth, &frame, readings.newest_ms(&frame));
        if added.late {
            self.figures.late.inc();
        }
        if added.dropped {
            self.figures.dropped.inc();
        }
        self.fleet.samples(&stream, &readings, at.monotonic_ns);
        let samples = u64::from(frame.samples);
        self.figures.frames.inc();
        self.figures.samples.add(samples);
        self.figures.frame_bytes.add(frame.body.len() as u64);
        // A packed double is 8 bytes; a sample has its time and length besides.
        self.figures
            .packed_bytes
            .add(samples * (8 * birth.catalogue.len() as u64 + 9));
        if let Some(&(newest_ms, _)) = readings.times.last() {
            self.clock_of(&stream, newest_ms, at);
            let known = self.batch.hosts.entry(Arc::clone(&stream.host)).or_insert(newest_ms);
            *known = newest_ms.max(*known);
        }
        self.buffered += frame_weight(&frame);
        self.batch.frames.push((stream, frame));
    }

    fn event(&mut self, stream: &Stream, payload: &[u8], at: At) -> Result<(), Refusal> {
        let event = shadow::wire::decode_event(payload)?;
        self.check_signature(trust::Kind::Event, (stream, event.epoch), payload, at.now_ms)?;
        if self.is_full() {
            return Ok(());
        }
        if self.ingest.event(at.now_ms, stream, &event)? {
            self.figures.events.with(event.finding.severity.as_str()).inc();
            self.journal.add(stream, &event);
            self.watch.event(&stream.host, &event, at.now_ms);
            self.buffered += EVENT_WEIGHT;
            self.batch.events.push((stream.clone(), event));
        }
        self.tell_watermarks();
        Ok(())
    }

    fn hole(&mut self, stream: &Stream, payload: &[u8], at: At) -> Result<(), Refusal> {
        let hole = shadow::wire::decode_hole(payload)?;
        self.check_signature(trust::Kind::Hole, (stream, hole.epoch), payload, at.now_ms)?;
        if self.is_full() {
            return Ok(());
        }
        for part in self.ingest.hole(stream, &hole)? {
            let (host, vantage) = (&*stream.host, stream.vantage);
            let (epoch, first, end) = (part.epoch, part.first, part.end);
            tracing::warn!(host, %vantage, epoch, first, end, "lost by the agent for good");
            self.figures.lost.add(end - first);
            self.lost(stream.clone(), part, at);
        }
        self.tell_watermarks();
        Ok(())
    }

    fn lost(&mut self, stream: Stream, hole: Hole, at: At) {
        self.buffered += HOLE_WEIGHT;
        self.batch.holes.push((stream, hole, at.now_ms));
    }

    /// A frame has come: what it says of its agent's clock. A skew is told as an event of the host, with an epoch of its
    /// own, for the brain has no place among the agent's sequences.
    fn clock_of(&mut self, stream: &Stream, newest_ms: UnixMs, at: At) {
        let limit_ms = self.config.ingest.max_skew.as_millis();
        let Some(turn) = self.fleet.clock(stream, newest_ms, at, limit_ms) else {
            return;
        };
        let event = Event {
            epoch: u64::try_from(at.now_ms.saturating_mul(1_000)).unwrap_or(0),
            sequence: 0,
            time_ms: at.now_ms,
            finding: turn.finding(),
        };
        let text = &event.finding.text;
        tracing::warn!(host = &*stream.host, vantage = %stream.vantage, text, "clock of an agent");
        self.journal.add(stream, &event);
        self.buffered += EVENT_WEIGHT;
        self.batch.events.push((stream.clone(), event));
    }

    fn outcome(&mut self, (host, vantage): (&str, Vantage), payload: &[u8], topic: &str, at: At) {
        if let Err(fault) = self.check_seal(trust::Kind::Outcome, (host, vantage), payload, at.now_ms) {
            return self.refuse("seal", &fault, topic, at);
        }
        let outcome = match shadow::wire::decode_outcome(payload) {
            Ok(outcome) => outcome,
            Err(error) => return self.refuse("message", &error, topic, at),
        };
        // Somebody has told the agent what this brain has not said, or not now. A copy of a true command may be among it, so
        // it says nothing of the command of that id.
        if outcome.state == shadow::OutcomeState::Distrusted {
            let reason = format!(
                "its agent was told a command that this brain has not sent, or not now: {}",
                outcome.reason
            );
            self.dispatch.distrusted(host, &outcome, at.now_ms);
            return self.refuse("distrusted", &reason, topic, at);
        }
        match self.dispatch.outcome(host, &outcome) {
            Answer::Taken => {
                self.figures.outcomes.with(outcome.state.as_str()).inc();
                self.tell_outcome(host, &outcome, at);
                self.batch.outcomes.push(outcome);
            }
            Answer::Renewed => {
                self.figures.outcomes.with(outcome.state.as_str()).inc();
                self.tell_outcome(host, &outcome, at);
            }
            Answer::Repeated => {}
            Answer::Unknown => self.refuse("outcome", &"no command of this host has this id", topic, at),
        }
    }

    fn agent_status(&mut self, host: &str, vantage: Vantage, payload: &[u8], topic: &str, at: At) {
        if !self.fleet.status(host, vantage, payload) {
            self.refuse("status", &"no JSON with a field `state`", topic, at);
        }
    }
}
