//! Forecasts of every host's resources, always with an answer and always with what it is worth.
//!
//! [`Forecaster::step`] takes each host's newest rows and gives four quantiles per target and horizon: a blend of
//! experts, weighed online by their losses, and calibrated online. The experts are one network of LSTMs for the whole fleet joined with
//! window statistics, an exponentially weighted average with its errors, and plain quantiles of the last hour, 4 hours and
//! day. A series of which little is known stands lower on the ladder: its last value stays, with the fleet's errors around
//! it. The network also says how high each target goes within a time ([`HostForecasts::peaks`]). What is published says on which rung it stands, what each expert counts, its skill and its coverage.
//! [`train`] fits the LSTM to stored history and gives an [`Artifact`], which the forecaster adopts.
//!
//! ```
//! use forecast::{Config, Forecaster, HostWindow};
//!
//! let mut forecaster = Forecaster::new(Config::for_step(10))?;
//! // cpu 0.3, memory 0.5, network 2 kB/s each way, disk 0 and 5 kB/s; power is not measured.
//! let rows = vec![[0.3, 0.5, 2e3, 2e3, 0.0, 5e3, f32::NAN]; 60];
//! let made = forecaster.step(600_000, &[HostWindow { host: "web-1", rows: &rows }]);
//! let cpu = &made[0].forecasts[0];
//! assert_eq!((cpu.resource, cpu.horizon_s), (shadow::Resource::Cpu, 300));
//! assert!((cpu.quantiles.p50 - 0.3).abs() < 0.01 && cpu.quantiles.p95 >= cpu.quantiles.p50);
//! assert_eq!(made[0].forecasts.len(), 4 * 3, "four resources at three horizons");
//! # Ok::<(), forecast::ConfigError>(())
//! ```
//!
//! The crate is pure: no clock, no socket, no file but an artifact's. The same inputs give the same
//! forecasts, bit by bit, whatever the number of threads; a training gives the same weights on the same device.
//!
//! | module | what it holds |
//! |---|---|
//! | [`config`] | grid, horizons, targets, training |
//! | [`target`] | a series that is forecast: a resource or one channel of it |
//! | `window` | which rows and channels a forecast looks at |
//! | `marks` | high marks: what much is of a series that has no capacity |
//! | `features` | what the network sees of one host at one moment, free of units |
//! | `scaler` | statistics of the features, which travel with the weights |
//! | `dataset` | moments of history with what came after them |
//! | `model` | the network: an LSTM joined with window statistics, quantiles that cannot cross |
//! | [`lstm`] | the LSTM within it: a kernel of its own, with a way back |
//! | `head` | the layers above it, likewise |
//! | `rise` | what comes out of it becomes quantiles |
//! | `device` | where a network is trained: the processor, or a graphics adapter |
//! | `training` | fit, average, hold out, score |
//! | `inference` | all hosts in one forward pass |
//! | `baseline` | exponentially weighted averages, and which one forecasts best |
//! | `spread` | quantiles of past errors |
//! | `recent` | quantiles of the newest values |
//! | `blend` | several experts become one |
//! | `calibrate` | quantile tracking |
//! | `ladder` | one series: experts, blend, calibration, what it is worth |
//! | `forecaster` | all hosts, step by step |
//! | [`drift`] | whether a network still knows its series |
//! | [`score`] | losses and the table of them |
//! | [`artifact`] | weights, scaler, configuration and scores in one versioned file |

#![allow(
    clippy::cast_possible_truncation,
    reason = "f64 sums become the network's f32 by design, and row counts come from checked settings"
)]

pub mod artifact;
mod baseline;
mod blend;
mod calibrate;
pub mod config;
mod dataset;
mod device;
pub mod drift;
pub mod error;
mod features;
mod forecaster;
mod head;
mod inference;
mod ladder;
pub mod lstm;
mod marks;
mod model;
mod recent;
mod rise;
mod scaler;
pub mod score;
mod spread;
#[cfg(test)]
mod synthetic;
pub mod target;
mod training;
mod window;

pub use artifact::Artifact;
pub use config::{Config, Training};
pub use drift::Drift;
pub use error::{ArtifactError, ConfigError, TrainError};
pub use forecaster::{Forecaster, HostForecasts, HostWindow, Matured, MaturedPeak};
pub use score::{Compared, Experts, Loss, ScoreRow, ScoreTable};
pub use target::Target;
#[cfg(feature = "trial")]
pub use training::trial;
pub use training::{History, Part, Progress, Watch, excess, train};
pub use window::resources;
