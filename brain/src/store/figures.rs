//! What is kept of the channels of a host in a row of the grid, a minute or an hour, and the columns that it is kept in.

use shadow::Channel;

use super::Rollup;

/// The columns of the channels' means, in the order of [`Channel::ALL`]. A column of another figure has its name after it.
pub(super) const CHANNELS: [&str; Channel::COUNT] = [
    "cpu",
    "memory",
    "network_rx_bytes_per_s",
    "network_tx_bytes_per_s",
    "disk_read_bytes_per_s",
    "disk_write_bytes_per_s",
    "power_w",
];

/// What is kept of each channel.
pub(super) struct Figure {
    /// The ending of its columns.
    pub(super) ending: &'static str,
    /// In words.
    pub(super) text: &'static str,
    /// What becomes of it in a row that is told again, and in a row of an hour.
    pub(super) merge: Merge,
    pub(super) of: fn(&Rollup) -> &[f32; Channel::COUNT],
}

/// How a figure of a row that is there already is merged with what is told anew.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Merge {
    /// That of the row of which more is known: after a restart, or where a row is no longer in memory, late samples make
    /// one that knows little. In an hour it is the mean.
    Mean,
    /// It never falls: after a restart a row knows only the mean of what came before, and after the clock was set back
    /// perhaps nothing.
    Largest,
    /// It never rises, for the same reason.
    Smallest,
    /// As of the mean. Hours do not have it.
    Newest,
}

/// All of them, in the order of their columns.
pub(super) const FIGURES: [Figure; 5] = [
    Figure {
        ending: "",
        text: "mean over the row, weighted by time",
        merge: Merge::Mean,
        of: |rollup| &rollup.mean,
    },
    Figure {
        ending: "_max",
        text: "largest sample",
        merge: Merge::Largest,
        of: |rollup| &rollup.max,
    },
    Figure {
        ending: "_min",
        text: "smallest sample",
        merge: Merge::Smallest,
        of: |rollup| &rollup.min,
    },
    Figure {
        ending: "_last",
        text: "newest sample",
        merge: Merge::Newest,
        of: |rollup| &rollup.last,
    },
    Figure {
        ending: "_p95",
        text: "95th percentile of the samples, weighted by time",
        merge: Merge::Newest,
        of: |rollup| &rollup.p95,
    },
];

/// The figures that hours have.
pub(super) fn of_hours() -> impl Iterator<Item = &'static Figure> + Clone {
    FIGURES.iter().filter(|figure| figure.merge != Merge::Newest)
}

/// Each channel's column of each figure.
pub(super) fn each_column(
    figures: impl IntoIterator<Item = &'static Figure>,
) -> impl Iterator<Item = (&'static Figure, String)> {
    let of = |figure: &'static Figure| CHANNELS.map(|channel| (figure, format!("{channel}{}", figure.ending)));
    figures.into_iter().flat_map(of)
}

impl Figure {
    /// What a column of an hour is. Of nothing known nothing is known. In double precision: some databases refuse a
    /// product or a sum that a single cannot hold.
    pub(super) fn of_minutes(&self, column: &str) -> String {
        match self.merge {
            Merge::Mean | Merge::Newest => format!(
                "sum(CAST({column} AS double precision) * coverage) \
                 / nullif(sum(CASE WHEN {column} IS NULL THEN 0 ELSE coverage END), 0)"
            ),
            Merge::Largest => format!("max({column})"),
            Merge::Smallest => format!("min({column})"),
        }
    }
}
