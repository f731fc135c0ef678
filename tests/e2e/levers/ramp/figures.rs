//! What became of one shape: of its requests, of the time that `web` lost, and of the room that was made for it.

use std::fmt::Write as _;

use serde_json::Value;

/// From this second of a shape on it rises, up to the other.
const RISE_S: (f64, f64) = (20.0, 80.0);
/// So much more of the time, over [`SPAN_S`], in which somebody of `web` waits than before the rise is pressure.
const PRESSURE: f64 = 0.25;
const SPAN_S: f64 = 3.0;
/// Levels of demand, in cores, whose room is looked at.
const LEVELS: [f64; 6] = [0.15, 0.25, 0.35, 0.45, 0.55, 0.65];

/// What the brain has told of `web` at one moment: the farthest forecast.
pub(super) struct Told {
    is_lstm: bool,
    lstm_share: f64,
    skill: Option<f64>,
}

impl Told {
    pub(super) fn of(host: &Value) -> Option<Self> {
        let web = host["workloads"].as_array()?.iter().find(|own| own["name"] == "web")?;
        let of_cpu = |forecast: &&Value| forecast["resource"] == "cpu" && forecast["horizon_s"] == 30;
        let forecast = web["forecasts"].as_array()?.iter().find(of_cpu)?;
        Some(Self {
            is_lstm: forecast["rung"] == "lstm",
            lstm_share: forecast["shares"]["lstm"].as_f64()?,
            skill: forecast["skill"].as_f64(),
        })
    }
}

/// One line of the clerk, in seconds from the shape's begin and in seconds of a processor.
#[derive(Clone, Copy)]
struct Moment {
    at_s: f64,
    used_s: f64,
    throttled_s: f64,
    waited_s: f64,
    /// Cores; infinite without a limit.
    limit: f64,
    batch_s: f64,
}

impl Moment {
    fn new(line: &str, begin_s: f64) -> Option<Self> {
        let numbers: Option<Vec<f64>> = line.split(' ').map(|word| word.parse().ok()).collect();
        let &[at_ms, used, throttled, waited, quota, batch, _] = &numbers?[..] else {
            return None;
        };
        Some(Self {
            at_s: at_ms / 1e3 - begin_s,
            used_s: used / 1e6,
            throttled_s: throttled / 1e6,
            waited_s: waited / 1e6,
            limit: if quota > 0.0 { quota / 1e5 } else { f64::INFINITY },
            batch_s: batch / 1e6,
        })
    }
}

/// What became of one shape under one brain.
pub(super) struct Figures {
    asked: f64,
    done: f64,
    late: f64,
    p99_ms: f64,
    used: f64,
    pub(super) throttled_s: f64,
    pub(super) waited_s: f64,
    batch: f64,
    /// How long before each level was asked for its room was there, in seconds; `None` where nothing limits.
    ahead_s: Option<Vec<f64>>,
    /// When the limit was raised first, and when pressure came first, behind the begin of the rise.
    raised_s: Option<f64>,
    pressed_s: Option<f64>,
    told: Vec<Told>,
}

impl Figures {
    pub(super) fn new(run: &str, watched: &str, told: Vec<Told>) -> Self {
        let number = |key: &str| {
            let found = run.lines().find_map(|line| line.strip_prefix(key)?.trim().parse().ok());
            found.unwrap_or_else(|| panic!("no {key} in {run:?}"))
        };
        let begin_s: f64 = run.lines().next().unwrap().parse().unwrap();
        let length_s = super::LENGTH_S as f64;
        let moments: Vec<Moment> = watched
            .lines()
            .filter_map(|line| Moment::new(line, begin_s))
            .filter(|moment| (0.0..=length_s).contains(&moment.at_s))
            .collect();
        let (first, last) = (moments[0], moments[moments.len() - 1]);
        let demand = |line: &str| {
            let (second, cores) = line.strip_prefix("at ")?.split_once(' ')?;
            Some((second.parse().ok()?, cores.parse().ok()?))
        };
        let demand: Vec<(f64, f64)> = run.lines().filter_map(demand).collect();
        let span_s = last.at_s - first.at_s;
        Self {
            asked: number("asked "),
            done: number("done "),
            late: number("late "),
            p99_ms: number("p99_ms "),
            used: (last.used_s - first.used_s) / span_s,
            throttled_s: last.throttled_s - first.throttled_s,
            waited_s: last.waited_s - first.waited_s,
            batch: (last.batch_s - first.batch_s) / span_s,
            ahead_s: ahead(&moments, &demand),
            raised_s: raised(&moments),
            pressed_s: pressed(&moments),
            told,
        }
    }

    /// Requests that were answered, as a share of those that were asked.
    pub(super) fn done(&self) -> f64 {
        self.done / self.asked
    }

    /// Whether there was room for each level before it was asked for, and the limit rose before the pressure did.
    pub(super) fn leads(&self) -> bool {
        let ahead = self
            .ahead_s
            .as_ref()
            .is_some_and(|ahead_s| ahead_s.iter().all(|ahead_s| *ahead_s > 0.0));
        let raised_s = self.raised_s.unwrap_or(f64::INFINITY);
        ahead && self.pressed_s.is_none_or(|pressed_s| raised_s < pressed_s)
    }

    fn ahead(&self) -> String {
        let Some(ahead_s) = &self.ahead_s else {
            return "no limit".to_owned();
        };
        let mut sorted = ahead_s.clone();
        sorted.sort_by(f64::total_cmp);
        let least = if sorted[0].is_finite() {
            format!("{:+.0}", sorted[0])
        } else {
            "never".to_owned()
        };
        format!("{:+.0} ({least})", sorted[sorted.len() / 2])
    }

    fn when(second: Option<f64>) -> String {
        second.map_or("never".to_owned(), |second| format!("{second:.0}"))
    }

    /// The table's cells behind shape and brain.
    pub(super) fn said(&self) -> String {
        format!(
            "{} | {:.1} % | {:.1} % | {:.0} | {:.2} | {:.2} | {} | {} | {} | {:.2} | {:.2}",
            self.asked,
            100.0 * self.done(),
            100.0 * (self.done - self.late) / self.asked,
            self.p99_ms,
            self.throttled_s,
            self.waited_s,
            self.ahead(),
            Self::when(self.raised_s),
            Self::when(self.pressed_s),
            self.used,
            self.batch
        )
    }

    /// The forecaster's rung and the network's share, over the shape.
    fn forecaster(&self) -> Option<String> {
        let count = self.told.len() as f64;
        let lstm = self.told.iter().filter(|told| told.is_lstm).count() as f64;
        let shares = self.told.iter().map(|told| told.lstm_share);
        let skill = self.told.iter().filter_map(|told| told.skill).next_back();
        (count > 0.0).then(|| {
            let least = shares.clone().fold(f64::INFINITY, f64::min);
            format!(
                "rung lstm in {:.0} % of {count} looks, the LSTM's share {:.0} % on average ({:.0} % at least), skill {:.2}",
                100.0 * lstm / count,
                100.0 * shares.sum::<f64>() / count,
                100.0 * least,
                skill.unwrap_or(f64::NAN)
            )
        })
    }
}

/// For each level: from when on until it was asked for its room was there, told as seconds before; less than 0 where it came
/// late. The first second of a shape is where it is counted from.
fn ahead(moments: &[Moment], demand: &[(f64, f64)]) -> Option<Vec<f64>> {
    if moments.iter().all(|moment| moment.limit.is_infinite()) {
        return None;
    }
    let of = |level: f64| {
        let asked_s = demand.iter().find(|(_, cores)| *cores >= level)?.0;
        let before = moments.iter().take_while(|moment| moment.at_s <= asked_s);
        let lacking = before.filter(|moment| moment.limit < level).last();
        let room = moments
            .iter()
            .find(|moment| moment.at_s > lacking.map_or(-1.0, |moment| moment.at_s) && moment.limit >= level);
        Some(asked_s - room.map_or(f64::INFINITY, |moment| moment.at_s))
    };
    Some(LEVELS.into_iter().filter_map(of).collect())
}

fn rises(moment: &Moment) -> bool {
    moment.at_s >= RISE_S.0 && moment.at_s <= RISE_S.1
}

fn raised(moments: &[Moment]) -> Option<f64> {
    let pairs = moments.iter().zip(moments.iter().skip(1)).filter(|(_, now)| rises(now));
    let mut raises = pairs.filter(|(before, now)| now.limit > before.limit);
    raises.next().map(|(_, now)| now.at_s - RISE_S.0)
}

/// The share of time in which somebody of `web` waited between two moments.
fn waited(from: &Moment, to: &Moment) -> f64 {
    (to.waited_s - from.waited_s) / (to.at_s - from.at_s)
}

fn pressed(moments: &[Moment]) -> Option<f64> {
    let rest = moments.iter().rfind(|moment| moment.at_s < RISE_S.0)?;
    let usual = waited(moments.first()?, rest);
    let presses = |now: &&Moment| {
        let before = moments.iter().rfind(|before| before.at_s <= now.at_s - SPAN_S);
        before.is_some_and(|before| waited(before, now) > usual + PRESSURE)
    };
    let found = moments.iter().filter(|now| rises(now)).find(presses);
    found.map(|now| now.at_s - RISE_S.0)
}

/// All of it as a table in Markdown, and what the forecaster told.
pub(super) fn table(all: &[(&str, &str, Figures)]) -> String {
    let mut text =
        "| shape | brain | asked | done | within 100 ms | p99 ms | throttled s | waited s (PSI) | room ahead s: \
                    median (least) | first raise s | first pressure s | web cores | batch cores |\n\
                    |---|---|---|---|---|---|---|---|---|---|---|---|---|\n"
            .to_owned();
    for (shape, arm, figures) in all {
        writeln!(text, "| {shape} | {arm} | {} |", figures.said()).unwrap();
    }
    for (shape, _, figures) in all {
        if let Some(forecaster) = figures.forecaster() {
            writeln!(text, "{shape}: {forecaster}").unwrap();
        }
    }
    text
}
