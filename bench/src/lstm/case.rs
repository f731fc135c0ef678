//! What is measured.

use clap::ValueEnum;
use forecast::{lstm::trial::Workload, trial::Served};

/// Hosts that are forecast in one pass.
const SERVED_AT_ONCE: usize = 64;

/// Work, sizes and threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Case {
    #[value(name = "train/h64l2/t1")]
    TrainH64L2T1,
    #[value(name = "train/h64l2/t2")]
    TrainH64L2T2,
    #[value(name = "train/h128l1/t2")]
    TrainH128L1T2,
    #[value(name = "infer/b1/t1")]
    InferB1T1,
    #[value(name = "infer/b64/t2")]
    InferB64T2,
    #[value(name = "infer/b1024/t2")]
    InferB1024T2,
    #[value(name = "train/served")]
    TrainServed,
    #[value(name = "infer/served")]
    InferServed,
}

/// What is done in a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    Training,
    Inference,
}

impl Case {
    pub(super) fn all() -> &'static [Self] {
        Self::value_variants()
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::TrainH64L2T1 => "train/h64l2/t1",
            Self::TrainH64L2T2 => "train/h64l2/t2",
            Self::TrainH128L1T2 => "train/h128l1/t2",
            Self::InferB1T1 => "infer/b1/t1",
            Self::InferB64T2 => "infer/b64/t2",
            Self::InferB1024T2 => "infer/b1024/t2",
            Self::TrainServed => "train/served",
            Self::InferServed => "infer/served",
        }
    }

    pub(super) fn work(self) -> Work {
        match self {
            Self::TrainH64L2T1 | Self::TrainH64L2T2 | Self::TrainH128L1T2 | Self::TrainServed => Work::Training,
            Self::InferB1T1 | Self::InferB64T2 | Self::InferB1024T2 | Self::InferServed => Work::Inference,
        }
    }

    /// Whether it is the whole network that is served, not an LSTM with a linear layer.
    pub(super) fn is_served(self) -> bool {
        matches!(self, Self::TrainServed | Self::InferServed)
    }

    /// Windows a pass.
    pub(super) fn batch(self) -> usize {
        match self {
            Self::TrainServed => Served::default().shape().batch,
            Self::InferServed => SERVED_AT_ONCE,
            _ => self.workload().batch,
        }
    }

    /// Two layers of 64 units over 120 steps of 12 numbers, but where the name says otherwise.
    pub(super) fn workload(self) -> Workload {
        let usual = Workload {
            batch: 64,
            steps: 120,
            input: 12,
            hidden: 64,
            layers: 2,
        };
        match self {
            Self::TrainH64L2T1 | Self::TrainH64L2T2 | Self::InferB64T2 | Self::TrainServed | Self::InferServed => usual,
            Self::TrainH128L1T2 => Workload {
                hidden: 128,
                layers: 1,
                ..usual
            },
            Self::InferB1T1 => Workload { batch: 1, ..usual },
            Self::InferB1024T2 => Workload { batch: 1024, ..usual },
        }
    }

    pub(super) fn threads(self) -> usize {
        match self {
            Self::TrainH64L2T1 | Self::InferB1T1 => 1,
            _ => 2,
        }
    }

    /// Passes of a turn: some tens of milliseconds.
    pub(super) fn passes(self) -> usize {
        match self {
            Self::InferB1024T2 => 1,
            Self::TrainH64L2T1 | Self::TrainH64L2T2 | Self::TrainH128L1T2 => 2,
            Self::InferB64T2 => 10,
            Self::TrainServed => 2,
            Self::InferServed => 20,
            Self::InferB1T1 => 100,
        }
    }

    pub(super) fn rivals(self) -> &'static [&'static str] {
        match self.work() {
            Work::Training => &["pytorch"],
            Work::Inference => &["pytorch", "onnxruntime"],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_asked_for_by_their_names() {
        for case in Case::all() {
            assert_eq!(Case::from_str(case.name(), false), Ok(*case));
        }
    }
}
