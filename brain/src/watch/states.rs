//! The state of a host in a minute, and what is expected of it: is it one that the host was never in?

use anomaly::{Apart, HostDetector, HostJudged, Kind, Signal};
use shadow::{Channel, Forecast, Resource, Severity};

/// How many channels or resources an evidence names.
const NAMED: usize = 3;
/// What is nearer than this to what is usual is not worth naming, in spreads.
const LEAST_NAMED: f64 = 0.1;

/// How unusual a state is, and by what.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Seen {
    kind: Kind,
    /// What a chosen rate of alarms is compared with: [`HostJudged::alarm`].
    pub(super) score: f64,
    evidence: String,
}

impl Seen {
    /// As a signal of an incident.
    pub(super) fn signal(self) -> Signal {
        Signal {
            kind: self.kind,
            subject: "host".to_owned(),
            severity: if self.kind == Kind::Forecast {
                Severity::Info
            } else {
                Severity::Warning
            },
            score: self.score,
            evidence: self.evidence,
        }
    }
}

/// The states that a host has been in.
#[derive(Debug)]
pub(super) struct States(HostDetector);

impl Default for States {
    fn default() -> Self {
        Self(HostDetector::new(&Self::least()))
    }
}

impl States {
    /// Goes on with what was stored; `None` when it is not of this version.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        HostDetector::from_bytes(&Self::least(), bytes).map(Self)
    }

    /// To be stored.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        self.0.to_bytes()
    }

    fn least() -> [f64; Channel::COUNT] {
        Channel::ALL.map(|channel| least(channel.resource()))
    }

    /// Takes in the means of a minute; `None` when nothing was read, which tells nothing.
    pub(super) fn update(&mut self, means: &[f32; Channel::COUNT]) -> Option<Seen> {
        if means.iter().all(|mean| mean.is_nan()) {
            return None;
        }
        let judged = self.0.update(&means.map(f64::from));
        let named = |apart: &Apart| {
            let channel = Channel::ALL.get(apart.metric)?;
            let (now, usual) = both(channel.resource(), apart);
            Some(format!("{} {now} (then {usual})", channel.column()))
        };
        Some(seen(
            Kind::State,
            "in a state that it was never in",
            &self.0,
            &judged,
            named,
        ))
    }
}

/// What was expected of a host at the farthest horizon: the median of each resource.
#[derive(Debug)]
pub(super) struct Expected(HostDetector);

impl Default for Expected {
    fn default() -> Self {
        Self(HostDetector::new(&Resource::ALL.map(least)))
    }
}

impl Expected {
    /// Takes in the newest forecasts; `None` without any.
    pub(super) fn update(&mut self, forecasts: &[Forecast]) -> Option<Seen> {
        let horizon_s = forecasts.iter().map(|forecast| forecast.horizon_s).max()?;
        let mut medians = [f64::NAN; Resource::ALL.len()];
        for forecast in forecasts.iter().filter(|forecast| forecast.horizon_s == horizon_s) {
            if let Some(median) = medians.get_mut(forecast.resource.index()) {
                *median = forecast.quantiles.p50;
            }
        }
        let judged = self.0.update(&medians);
        let named = |apart: &Apart| {
            let resource = Resource::ALL.get(apart.metric)?;
            let (now, usual) = both(*resource, apart);
            Some(format!("{resource} {now} (then {usual})"))
        };
        let minutes = f64::from(horizon_s) / 60.0;
        let text = format!("in {minutes} min a state is expected that never was");
        Some(seen(Kind::Forecast, &text, &self.0, &judged, named))
    }
}

/// The evidence names what is farthest from the nearest state. It is put together only where it may be asked for.
fn seen(
    kind: Kind,
    text: &str,
    detector: &HostDetector,
    judged: &HostJudged,
    named: impl Fn(&Apart) -> Option<String>,
) -> Seen {
    let mut evidence = String::new();
    if judged.alarm > 0.0 {
        let ago = judged.rows_ago.unwrap_or(0);
        let apart = detector.apart(judged);
        let far = apart.iter().filter(|apart| apart.spreads >= LEAST_NAMED).take(NAMED);
        let far: Vec<String> = far.filter_map(named).collect();
        evidence = format!("{text}; nearest {ago} min ago: {}", far.join(", "));
    }
    Seen {
        kind,
        score: judged.alarm,
        evidence,
    }
}

/// The smallest spread that means anything to anybody, in the resource's unit.
const fn least(resource: Resource) -> f64 {
    match resource {
        Resource::Cpu | Resource::Memory => 0.02,
        Resource::Network => 100e3,
        Resource::Disk => 1e6,
        Resource::Power => 2.0,
    }
}

/// The level now and then, for people.
fn both(resource: Resource, apart: &Apart) -> (String, String) {
    let amount = |value: f64| match resource {
        Resource::Cpu | Resource::Memory => format!("{value:.2}"),
        Resource::Network | Resource::Disk => format!("{:.2} MB/s", value / 1e6),
        Resource::Power => format!("{value:.0} W"),
    };
    (amount(apart.level), amount(apart.usual))
}
