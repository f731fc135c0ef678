//! Which rows and channels a forecast looks at, counted back from the newest row.

use shadow::{Channel, Resource};

use crate::config::{Config, rows};

/// Values of a host's channels at one moment, in the order of [`Channel::ALL`]; NaN = missing.
pub(crate) type Row = [f32; Channel::COUNT];

/// How much of an earlier day or hour is read: so long after the time of the day that it is now, and so long before. It is
/// more than the farthest usual horizon, since what comes with the clock comes some minutes early or late.
const CYCLE_AHEAD_S: u32 = 1_200;
const CYCLE_BEFORE_S: u32 = 300;

/// Most bins that the window is averaged into, whatever the grid.
const BINS: usize = 60;

/// The sums of a row's channels by resource.
///
/// `row`: columns in the order of [`Channel::ALL`], NaN = missing. Returns values in the order of
/// [`Resource::ALL`], in their units; a resource with a missing channel is missing (NaN).
pub fn resources(row: &[f32; Channel::COUNT]) -> [f32; 5] {
    Resource::ALL.map(|resource| sum(row, resource.channels()))
}

/// The sum of some channels; NaN when one of them is missing.
pub(crate) fn sum(row: &Row, channels: &[Channel]) -> f32 {
    let value = |channel: &Channel| row.get(channel.index()).copied().filter(|value| value.is_finite());
    channels.iter().map(|channel| value(channel).unwrap_or(f32::NAN)).sum()
}

/// One series of a host that features are computed from: a channel, or the sum of a target's channels.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Track {
    pub(crate) channels: Vec<Channel>,
    /// Whether its values are shares of a capacity: these are taken as they are, others over their high mark.
    pub(crate) share: bool,
}

/// What belongs to one target.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Place {
    /// Its own track.
    pub(crate) track: usize,
    /// The tracks that are features beside it: every channel but its first one.
    pub(crate) others: Vec<usize>,
}

/// The rows and channels that a forecast looks at.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Layout {
    /// Seconds between rows.
    pub(crate) step_s: u32,
    /// Horizons in rows.
    pub(crate) horizons: Vec<usize>,
    /// Rows of the times whose peaks are forecast.
    pub(crate) holds: Vec<usize>,
    /// Rows looked at in all.
    pub(crate) lookback: usize,
    /// The channels in their order, then sums of several.
    pub(crate) tracks: Vec<Track>,
    /// How many of the tracks are channels: the LSTM reads these.
    pub(crate) channels: usize,
    /// The targets in their order.
    pub(crate) targets: Vec<Place>,
    /// What is read as sequences, each by an LSTM of its own.
    pub(crate) looks: Vec<Look>,
    /// Rows of the statistics windows: 5 min, 15 min, 1 h, 4 h, 1 day, within the lookback.
    pub(crate) windows: [usize; 5],
    /// Rows in an hour.
    pub(crate) hour: usize,
    /// Rows in a day.
    pub(crate) day: usize,
    /// Rows in a quarter of an hour.
    pub(crate) quarter: usize,
    /// The levels are taken from every so many rows: one each 5 min.
    pub(crate) thin: usize,
}

impl Layout {
    pub(crate) fn new(config: &Config) -> Self {
        let step_s = config.step_s;
        let lookback = config.lookback_rows();
        let within = |minutes: u32| rows(minutes * 60, step_s).max(2).min(lookback);
        let (tracks, targets) = tracks(config);
        Self {
            step_s,
            horizons: config.horizon_rows(),
            holds: config.holds_s.iter().map(|&hold| rows(hold, step_s)).collect(),
            lookback,
            channels: config.channels.len(),
            tracks,
            targets,
            looks: looks(config),
            windows: [5, 15, 60, 240, 1_440].map(within),
            hour: rows(3_600, step_s),
            day: rows(86_400, step_s),
            quarter: rows(900, step_s),
            thin: rows(300, step_s),
        }
    }
}

/// What one LSTM reads: some inputs, oldest first, each of `fold` bins that follow each other.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Look {
    /// Rows averaged into a bin.
    pub(crate) bin: usize,
    /// Consecutive bins that are folded into one input: fewer, wider steps are faster and were not worse.
    pub(crate) fold: usize,
    /// How many rows before the newest each input ends, oldest first.
    pub(crate) ends: Vec<usize>,
    /// Whether bins are told by their highest values as well as by their means.
    pub(crate) highs: bool,
}

impl Look {
    /// Values of one input.
    pub(crate) const fn width(&self, channels: usize) -> usize {
        let of_bin = if self.highs { 2 } else { 1 };
        self.fold * channels * of_bin
    }

    /// The last hours as they were.
    fn near(config: &Config) -> Self {
        let bin = config.window_rows().div_ceil(BINS);
        let fold = if config.step_s < 300 { 4 } else { 3 };
        let inputs = config.window_rows().div_ceil(bin * fold).max(1);
        Self::in_a_row(inputs, fold, bin, false)
    }

    /// Six hours in bins of 5 min, a day on a grid of 5 min.
    fn far(config: &Config) -> Self {
        Self::in_a_row(12, 6, rows(300, config.step_s).max(4), true)
    }

    /// The same time of earlier days, up to seven where the lookback reaches them, then of the last six hours: a few minutes
    /// before it, and what came after.
    fn cycles(config: &Config) -> Self {
        let step_s = config.step_s;
        let bin = rows(60, step_s);
        let ahead = rows(CYCLE_AHEAD_S, step_s);
        let fold = rows(CYCLE_AHEAD_S + CYCLE_BEFORE_S, step_s).div_ceil(bin);
        let days = (1..=7).rev().map(|back| back * rows(86_400, step_s));
        let hours = (1..=6).rev().map(|back| back * rows(3_600, step_s));
        Self {
            bin,
            fold,
            ends: days.chain(hours).filter_map(|back| back.checked_sub(ahead)).collect(),
            highs: false,
        }
    }

    fn in_a_row(inputs: usize, fold: usize, bin: usize, highs: bool) -> Self {
        Self {
            bin,
            fold,
            ends: (0..inputs).rev().map(|back| back * fold * bin).collect(),
            highs,
        }
    }

    /// Without inputs that begin before the last `rows`.
    fn within(mut self, rows: usize) -> Self {
        let own = self.fold * self.bin;
        self.ends.retain(|end| end + own <= rows);
        self
    }
}

fn looks(config: &Config) -> Vec<Look> {
    let most = config.lookback_rows();
    let [cycles, far] = [Look::cycles(config), Look::far(config)].map(|look| look.within(most));
    let looks = [Look::near(config), cycles, far].into_iter();
    looks.filter(|look| !look.ends.is_empty()).collect()
}

fn tracks(config: &Config) -> (Vec<Track>, Vec<Place>) {
    let track = |channels: &[Channel]| Track {
        channels: channels.to_vec(),
        share: config.normalised || channels.iter().all(|channel| channel.resource().unit() == "1"),
    };
    let mut tracks: Vec<Track> = config.channels.iter().map(|&channel| track(&[channel])).collect();
    let channels = tracks.len();
    let mut targets = Vec::new();
    for target in &config.targets {
        let own = tracks.iter().position(|known| known.channels == target.channels);
        let own = own.unwrap_or_else(|| {
            tracks.push(track(&target.channels));
            tracks.len() - 1
        });
        let first = config
            .channels
            .iter()
            .position(|channel| target.channels.first() == Some(channel));
        targets.push(Place {
            track: own,
            others: (0..channels).filter(|other| Some(*other) != first).collect(),
        });
    }
    (tracks, targets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_summed_and_gaps_stay_gaps() {
        let row = [0.5, 0.25, 1.0, 2.0, f32::NAN, 4.0, f32::INFINITY];
        let [cpu, memory, network, disk, power] = resources(&row);
        assert_eq!((cpu, memory, network), (0.5, 0.25, 3.0));
        assert!(disk.is_nan() && power.is_nan());
    }

    #[test]
    fn every_grid_has_about_fifteen_inputs() {
        for (step_s, bin, inputs) in [(2, 30, 15), (10, 6, 15), (60, 1, 15), (300, 1, 12)] {
            let layout = Layout::new(&Config::for_step(step_s));
            let look = &layout.looks[0];
            assert_eq!((look.bin, look.ends.len()), (bin, inputs), "step {step_s}");
        }
    }

    #[test]
    fn sums_are_tracks_of_their_own_beside_all_channels_but_their_first() {
        let layout = Layout::new(&Config::for_step(60));
        assert_eq!((layout.channels, layout.tracks.len(), layout.targets.len()), (7, 9, 5));
        let of: Vec<usize> = layout.targets.iter().map(|place| place.track).collect();
        assert_eq!(of, [0, 1, 7, 8, 6]);
        assert_eq!(layout.targets[2].others, [0, 1, 3, 4, 5, 6]);
        assert!(layout.tracks[0].share && !layout.tracks[7].share);
    }
}
