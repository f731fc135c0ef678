//! The recent window, with frames of the real codec.

use shadow::{Block, Catalogue, Channel, codec::Encoder, metric::channel_metric};

use super::*;

const EPOCH: u64 = 1_000_000;
const METRIC: &str = "host.cpu";

/// Frames of a second with ten samples each, of a processor that is busy now and then.
struct Agent {
    birth: Arc<Birth>,
    encoder: Encoder,
    frames: Vec<Frame>,
    values: Vec<(UnixMs, f64)>,
}

impl Agent {
    fn new(epoch: u64) -> Self {
        let catalogue = Catalogue::new(vec![channel_metric(Channel::Cpu), channel_metric(Channel::Memory)]);
        Self {
            encoder: Encoder::new(&catalogue),
            birth: Arc::new(Birth {
                epoch,
                catalogue,
                ..Birth::default()
            }),
            frames: Vec::new(),
            values: Vec::new(),
        }
    }

    fn tell(mut self, seconds: std::ops::Range<i64>) -> Self {
        for second in seconds {
            let mut block = Block::new(&self.birth.catalogue);
            for tenth in 0..10 {
                let time_ms = second * 1_000 + tenth * 100;
                let value = ((second * 7919 + tenth * 104_729) % 1_000) as f64 / 1_000.0;
                block.push(time_ms, &[Reading::new(value), Reading::new(0.5)]);
                self.values.push((time_ms, value));
            }
            let sequence = self.frames.len() as u64;
            let frame = self.encoder.frame(self.birth.epoch, sequence, &block).unwrap();
            self.frames.push(frame);
        }
        self
    }

    /// When the last sample of a frame was taken.
    fn newest_ms(frame: &Frame) -> UnixMs {
        frame.start_ms + 900
    }
}

fn window(agent: &Agent, order: impl IntoIterator<Item = usize>) -> Recent {
    let mut recent = Recent::default();
    for at in order {
        let frame = &agent.frames[at];
        recent.push(Vantage::Inband, &agent.birth, frame, Agent::newest_ms(frame));
    }
    recent
}

/// Checks that the samples that are told from `since_ms` on are those of `values`, within the bound.
fn check(recent: &Recent, values: &[(UnixMs, f64)], since_ms: UnixMs) {
    let chains = recent.since(Vantage::Inband, since_ms);
    let told = columns::read(&chains, &[METRIC, "host.nothing"], (since_ms, UnixMs::MAX));
    let [cpu, nothing] = told.columns.try_into().unwrap();
    let values: Vec<_> = values.iter().filter(|(time_ms, _)| *time_ms >= since_ms).collect();
    assert_eq!(
        told.times_ms,
        values.iter().map(|(time_ms, _)| *time_ms).collect::<Vec<_>>()
    );
    assert_eq!(nothing, vec![Reading::ABSENT; values.len()]);
    for (told, (_, value)) in cpu.iter().zip(&values) {
        assert!((told.or_nan() - value).abs() <= 0.0025 + 1e-9, "{told:?} {value}");
    }
    let whole = if since_ms % 1_000 == 0 { cpu.len() } else { 0 };
    for (told, sent) in cpu[..whole].chunks(10).zip(values.chunks(10)) {
        let most = told.iter().map(|told| told.or_nan()).fold(0.0, f64::max);
        assert_eq!(
            most,
            sent.iter().map(|(_, value)| *value).fold(0.0, f64::max),
            "a second's maximum"
        );
    }
}

#[test]
fn frames_come_back_as_columns_at_full_rate() {
    let agent = Agent::new(EPOCH).tell(1..301);
    let recent = window(&agent, 0..300);
    for since_ms in [0, 120_000, 299_500, 400_000] {
        check(&recent, &agent.values, since_ms);
    }
    assert!(recent.since(Vantage::Oob, 0).is_empty());
    let bounded = columns::read(&recent.since(Vantage::Inband, 0), &[METRIC], (60_000, 60_500));
    assert_eq!(bounded.times_ms, [60_000, 60_100, 60_200, 60_300, 60_400]);
}

#[test]
fn late_frames_take_their_place() {
    let agent = Agent::new(EPOCH).tell(1..301);
    // As a resend has it: what is missing comes in order, behind what is live.
    let order = (0..100).chain(180..240).chain(100..180).chain(240..300);
    check(&window(&agent, order), &agent.values, 0);
}

#[test]
fn epochs_follow_each_other_with_their_own_catalogues() {
    let first = Agent::new(EPOCH).tell(1..50);
    let second = Agent::new(EPOCH * 50).tell(50..100);
    let mut recent = window(&second, 0..50);
    for frame in &first.frames {
        recent.push(Vantage::Inband, &first.birth, frame, Agent::newest_ms(frame));
    }
    let values: Vec<_> = first.values.iter().chain(&second.values).copied().collect();
    check(&recent, &values, 0);
}

#[test]
fn what_is_kept_can_be_read_whatever_is_let_go_of() {
    let agent = Agent::new(EPOCH).tell(1..1_001);
    let mut recent = window(&agent, 0..1_000);
    recent.forget_before(700_000);
    let first = recent
        .since(Vantage::Inband, 0)
        .first()
        .map(|chain| chain.frames().next().unwrap());
    let first = first.unwrap();
    assert!(
        first.reference == 0 && first.start_ms <= 700_000 && first.start_ms > 630_000,
        "{first:?}"
    );
    check(&recent, &agent.values, first.start_ms);
    let bytes = recent.bytes();
    recent.shed(bytes / 2);
    assert!(recent.bytes() <= bytes / 2 && recent.bytes() > bytes / 4);
    let first_ms = recent.since(Vantage::Inband, 0)[0].frames().next().unwrap().start_ms;
    check(&recent, &agent.values, first_ms);
    recent.shed(0);
    assert_eq!(recent.bytes(), 0);
}

#[test]
fn a_frame_without_what_it_is_read_against_is_left_out_until_that_comes() {
    let agent = Agent::new(EPOCH).tell(1..21);
    let mut recent = window(&agent, 1..20);
    assert!(recent.since(Vantage::Inband, 0).is_empty());
    // A restarted brain reads the reference from the store.
    for frame in [&agent.frames[0], &agent.frames[1], &agent.frames[1]] {
        recent.push(Vantage::Inband, &agent.birth, frame, Agent::newest_ms(frame));
    }
    check(&recent, &agent.values[..20], 0);
}

#[test]
fn a_reader_keeps_what_it_took_while_frames_come() {
    let agent = Agent::new(EPOCH).tell(1..41);
    let mut recent = window(&agent, 0..20);
    let taken = recent.since(Vantage::Inband, 0);
    for frame in &agent.frames[20..] {
        recent.push(Vantage::Inband, &agent.birth, frame, Agent::newest_ms(frame));
    }
    assert_eq!(taken.iter().map(|chain| chain.frames().count()).sum::<usize>(), 20);
    check(&recent, &agent.values, 0);
}
