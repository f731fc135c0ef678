//! Histograms that forget, as VPA and Autopilot keep them.

/// Percentiles that are asked for.
pub(super) const PERCENTILES: [f64; 7] = [0.5, 0.9, 0.95, 0.98, 0.99, 0.999, 1.0];

/// The first bucket's width, as a share of the capacity, and how much wider each next one is.
const FIRST: f64 = 0.001;
const RATIO: f64 = 1.05;

/// Where buckets end.
const END: f64 = 1.3;

/// A share of the weight that counts as none.
const EPSILON: f64 = 1e-4;

/// Days of peaks that VPA remembers.
const DAYS: usize = 20;

/// A histogram with exponential buckets whose weights decay.
pub(super) struct Histogram {
    edges: Vec<f64>,
    weights: Vec<f64>,
    keep: f64,
    /// Whether a bucket counts by the load in it, as Autopilot's do.
    by_load: bool,
}

impl Histogram {
    /// Half of the weight is gone after so many samples.
    pub(super) fn new(half_life: f64, by_load: bool) -> Self {
        let mut edges = vec![0.0];
        let (mut edge, mut width) = (0.0, FIRST);
        for _ in 0..82 {
            edge += width;
            width *= RATIO;
            if edge < END {
                edges.push(edge);
            }
        }
        Self {
            weights: vec![0.0; edges.len()],
            edges,
            keep: 0.5_f64.powf(1.0 / half_life),
            by_load,
        }
    }

    pub(super) fn add(&mut self, value: f64) {
        for weight in &mut self.weights {
            *weight *= self.keep;
        }
        let bucket = self.edges.partition_point(|edge| *edge <= value).saturating_sub(1);
        if let Some(weight) = self.weights.get_mut(bucket) {
            *weight += 1.0;
        }
    }

    fn top(&self, bucket: usize) -> f64 {
        let top = self.edges.get(bucket + 1).or_else(|| self.edges.last());
        top.copied().unwrap_or(END)
    }

    /// The ends of the buckets that hold [`PERCENTILES`].
    pub(super) fn percentiles(&self) -> [f64; PERCENTILES.len()] {
        let weigh = |(bucket, weight): (usize, &f64)| {
            if self.by_load {
                weight * self.top(bucket)
            } else {
                *weight
            }
        };
        let mut sum = 0.0;
        let sums: Vec<f64> = self
            .weights
            .iter()
            .enumerate()
            .map(|bucket| {
                sum += weigh(bucket);
                sum
            })
            .collect();
        PERCENTILES.map(|percentile| {
            let wanted = f64::min(percentile * sum, sum - EPSILON * sum);
            self.top(sums.partition_point(|sum| *sum < wanted).min(self.weights.len() - 1))
        })
    }
}

/// The peak of each day, the running one included; older ones count half as much a day.
pub(super) struct DailyPeaks {
    rows_a_day: usize,
    rows: usize,
    peaks: Vec<f64>,
}

impl DailyPeaks {
    pub(super) const fn new(rows_a_day: usize) -> Self {
        Self {
            rows_a_day,
            rows: 0,
            peaks: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, value: f64) {
        if self.rows.is_multiple_of(self.rows_a_day) {
            self.peaks.push(value);
        } else if let Some(peak) = self.peaks.last_mut() {
            *peak = peak.max(value);
        }
        self.rows += 1;
    }

    pub(super) fn percentiles(&self) -> [f64; PERCENTILES.len()] {
        let newest = self.peaks.iter().rev().take(DAYS);
        let mut sorted: Vec<(f64, f64)> = newest.zip(0..).map(|(peak, age)| (*peak, 0.5_f64.powi(age))).collect();
        sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
        let total: f64 = sorted.iter().map(|(_, weight)| weight).sum();
        PERCENTILES.map(|percentile| {
            let (wanted, mut sum) = (percentile * total - 1e-9, 0.0);
            let found = sorted.iter().find(|(_, weight)| {
                sum += weight;
                sum >= wanted
            });
            found.or(sorted.last()).map_or(1.0, |(peak, _)| *peak)
        })
    }
}
