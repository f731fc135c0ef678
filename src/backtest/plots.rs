//! Charts as SVG: fans of three hosts, skill by horizon, and how well quantiles are calibrated.

use std::{fs, path::Path};

use forecast::{Config, Target};
use shadow::QUANTILES;

use super::{
    data::Data,
    tally::{Line, Published, Tally},
};

/// Size of a chart, and of the margins around what is drawn.
const SIZE: (f64, f64) = (900.0, 360.0);
const MARGIN: f64 = 50.0;

/// Most moments of a fan.
const MOMENTS: usize = 300;

pub(crate) const COLOURS: [&str; 8] = [
    "#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b", "#17becf", "#7f7f7f",
];

/// Writes all charts.
pub(super) fn write(folder: &Path, data: &Data, config: &Config, tally: &Tally) -> anyhow::Result<()> {
    fs::create_dir_all(folder)?;
    let lines = tally.table();
    fs::write(folder.join("skill.svg"), skill(config, &lines))?;
    fs::write(folder.join("calibration.svg"), calibration(config, &lines))?;
    let horizon = config.horizons_s.len().saturating_sub(1);
    for (target, of) in config.targets.iter().enumerate() {
        let mut ranked: Vec<(f64, usize)> = (0..data.hosts.len())
            .filter_map(|host| Some((host_skill(tally, host, target, horizon)?, host)))
            .collect();
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
        let places = [
            ("best", 0),
            ("median", ranked.len() / 2),
            ("worst", ranked.len().saturating_sub(1)),
        ];
        for (word, place) in places {
            let Some((skill, host)) = ranked.get(place) else {
                continue;
            };
            let said = |said: &&Published| (said.host, said.target, said.horizon) == (*host, target, horizon);
            let mut said: Vec<&Published> = tally.published.iter().filter(said).collect();
            said.sort_by_key(|said| said.row);
            let name = data.hosts.get(*host).map_or("", |host| host.name.as_str());
            let title = format!(
                "{of} of {name}, {word} skill ({skill:.3}), said {}",
                ahead(config, horizon)
            );
            fs::write(folder.join(format!("fan-{of}-{word}.svg")), fan(&title, &said))?;
        }
    }
    Ok(())
}

fn ahead(config: &Config, horizon: usize) -> String {
    let horizon_s = config.horizons_s.get(horizon).copied().unwrap_or(0);
    format!("{:.0} min before, by row", f64::from(horizon_s) / 60.0)
}

fn host_skill(tally: &Tally, host: usize, target: usize, horizon: usize) -> Option<f64> {
    let total = |method: &str| {
        let figures = tally.of_host(host, target, horizon, method)?;
        Some(figures.pinball.iter().sum::<f64>())
    };
    let skill = 1.0 - total("published")? / total("last")?;
    skill.is_finite().then_some(skill)
}

/// From values to places of a chart.
pub(crate) struct Frame {
    x: (f64, f64),
    y: (f64, f64),
    svg: String,
}

impl Frame {
    pub(crate) fn new(title: &str, x: (f64, f64), y: (f64, f64)) -> Self {
        let (width, height) = SIZE;
        let svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
             font-size=\"12\">\n<rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n\
             <text x=\"{MARGIN}\" y=\"24\" font-size=\"14\">{}</text>\n",
            escaped(title)
        );
        let wide = |(low, high): (f64, f64)| {
            if high > low {
                (low, high)
            } else {
                (low - 0.5, low + 0.5)
            }
        };
        let mut frame = Self {
            x: wide(x),
            y: wide(y),
            svg,
        };
        frame.axes();
        frame
    }

    pub(crate) fn place(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let share = |value: f64, (low, high): (f64, f64)| (value - low) / (high - low);
        let (width, height) = SIZE;
        (
            MARGIN + share(x, self.x) * (width - 3.0 * MARGIN),
            height - MARGIN - share(y, self.y) * (height - 2.0 * MARGIN),
        )
    }

    fn axes(&mut self) {
        let (left, bottom) = self.place((self.x.0, self.y.0));
        let (right, _) = self.place((self.x.1, self.y.0));
        for y in ticks(self.y) {
            let (_, level) = self.place((self.x.0, y));
            self.add(&format!(
                "<line x1=\"{left:.1}\" y1=\"{level:.1}\" x2=\"{right:.1}\" y2=\"{level:.1}\" stroke=\"#ddd\"/>\n\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n",
                left - 6.0,
                level + 4.0,
                short(y)
            ));
        }
        for x in ticks(self.x) {
            let (along, _) = self.place((x, self.y.0));
            self.add(&format!(
                "<text x=\"{along:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n",
                bottom + 18.0,
                short(x)
            ));
        }
    }

    pub(crate) fn add(&mut self, part: &str) {
        self.svg.push_str(part);
    }

    fn path(&self, points: &[(f64, f64)]) -> String {
        let step = |(index, point): (usize, &(f64, f64))| {
            let (x, y) = self.place(*point);
            format!("{}{x:.1} {y:.1}", if index == 0 { 'M' } else { 'L' })
        };
        let steps: Vec<String> = points.iter().enumerate().map(step).collect();
        steps.concat()
    }

    pub(crate) fn line(&mut self, points: &[(f64, f64)], colour: &str, dashed: bool) {
        let path = self.path(points);
        let dash = if dashed { " stroke-dasharray=\"4 3\"" } else { "" };
        self.add(&format!(
            "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.4\"{dash}/>\n"
        ));
    }

    fn band(&mut self, low: &[(f64, f64)], high: &[(f64, f64)], opacity: f64) {
        let around: Vec<(f64, f64)> = low.iter().chain(high.iter().rev()).copied().collect();
        let path = self.path(&around);
        self.add(&format!(
            "<path d=\"{path}Z\" fill=\"#1f77b4\" fill-opacity=\"{opacity}\"/>\n"
        ));
    }

    pub(crate) fn dot(&mut self, point: (f64, f64), colour: &str) {
        let (x, y) = self.place(point);
        self.add(&format!(
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\" fill=\"{colour}\"/>\n"
        ));
    }

    /// A word in the right margin.
    pub(crate) fn legend(&mut self, place: usize, colour: &str, word: &str) {
        let (x, y) = (SIZE.0 - 1.9 * MARGIN, MARGIN + 18.0 * place as f64);
        self.add(&format!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" fill=\"{colour}\">{}</text>\n",
            escaped(word)
        ));
    }

    pub(crate) fn finish(mut self) -> String {
        self.add("</svg>\n");
        self.svg
    }
}

fn fan(title: &str, said: &[&Published]) -> String {
    let shown = said.get(said.len().saturating_sub(MOMENTS)..).unwrap_or(said);
    let of = |value: fn(&Published) -> f64| -> Vec<(f64, f64)> {
        shown.iter().map(|said| (said.row as f64, value(said))).collect()
    };
    let (truth, p50) = (of(|said| said.truth), of(|said| said.quantiles[0]));
    let (p95, p99) = (of(|said| said.quantiles[2]), of(|said| said.quantiles[3]));
    let values = || truth.iter().chain(&p50).chain(&p99);
    let (first, last) = (
        shown.first().map_or(0, |said| said.row),
        shown.last().map_or(1, |said| said.row),
    );
    let high = values().fold(f64::NEG_INFINITY, |high, (_, value)| high.max(*value));
    let low = values().fold(f64::INFINITY, |low, (_, value)| low.min(*value));
    let mut frame = Frame::new(title, (first as f64, last as f64), (low, high));
    frame.band(&p50, &p99, 0.15);
    frame.band(&p50, &p95, 0.25);
    frame.line(&p50, COLOURS[0], false);
    frame.line(&truth, "black", false);
    for (place, (colour, word)) in [("black", "truth"), (COLOURS[0], "p50 to p95"), ("#9ac4e4", "to p99")]
        .iter()
        .enumerate()
    {
        frame.legend(place, colour, word);
    }
    frame.finish()
}

fn published<'a>(lines: &'a [Line], target: &'a Target) -> impl Iterator<Item = &'a Line> {
    lines
        .iter()
        .filter(move |line| line.method == "published" && line.target == target.name())
}

fn skill(config: &Config, lines: &[Line]) -> String {
    let minutes = |line: &Line| f64::from(line.horizon_s) / 60.0;
    let all = || lines.iter().filter(|line| line.method == "published");
    let far = all().map(minutes).fold(1.0, f64::max);
    let near = all().map(minutes).fold(far, f64::min);
    let high = all().map(|line| line.skill).fold(0.1, f64::max);
    let low = all().map(|line| line.skill).fold(0.0, f64::min);
    let mut frame = Frame::new(
        "Skill against the last value, by minutes ahead",
        (near, far),
        (low, high),
    );
    for ((place, target), colour) in config.targets.iter().enumerate().zip(COLOURS) {
        let points: Vec<(f64, f64)> = published(lines, target)
            .map(|line| (minutes(line), line.skill))
            .collect();
        frame.line(&points, colour, false);
        frame.legend(place, colour, target.name());
    }
    frame.finish()
}

fn calibration(config: &Config, lines: &[Line]) -> String {
    let title = "Share of truths at or below each quantile, by the quantile, all horizons";
    let mut frame = Frame::new(title, (0.4, 1.0), (0.4, 1.0));
    frame.line(&[(0.4, 0.4), (1.0, 1.0)], "#999", true);
    for ((place, target), colour) in config.targets.iter().enumerate().zip(COLOURS) {
        let count = published(lines, target).count().max(1) as f64;
        let points: Vec<(f64, f64)> = QUANTILES
            .into_iter()
            .enumerate()
            .map(|(rank, tau)| {
                let covered = published(lines, target).filter_map(|line| line.figures.coverage.get(rank));
                (tau, covered.sum::<f64>() / count)
            })
            .collect();
        frame.line(&points, colour, false);
        frame.legend(place, colour, target.name());
    }
    frame.finish()
}

/// Round numbers within a range, four to ten of them.
fn ticks((low, high): (f64, f64)) -> Vec<f64> {
    let rough = (high - low) / 5.0;
    let power = 10_f64.powf(rough.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
    let Some(step) = steps.into_iter().rev().find(|step| *step <= rough * (1.0 + 1e-9)) else {
        return Vec::new();
    };
    let first = (low / step).ceil();
    let numbers = (0..=10).map(|number| (first + f64::from(number)) * step);
    numbers.take_while(|tick| *tick <= high + 1e-9 * step).collect()
}

fn short(value: f64) -> String {
    let text = match value.abs() {
        size if size >= 1e6 => return format!("{}M", short(value / 1e6)),
        size if size >= 100.0 => return format!("{value:.0}"),
        _ => format!("{value:.4}"),
    };
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_round_numbers() {
        let told = |range| ticks(range).into_iter().map(short).collect::<Vec<_>>().join(" ");
        assert_eq!(told((0.026, 1.0)), "0.1 0.2 0.3 0.4 0.5 0.6 0.7 0.8 0.9 1");
        assert_eq!(told((0.4, 1.0)), "0.4 0.5 0.6 0.7 0.8 0.9 1");
        assert_eq!(
            told((43_493.0, 47_380.0)),
            "43500 44000 44500 45000 45500 46000 46500 47000"
        );
        assert_eq!(told((-0.5, 0.5)), "-0.4 -0.2 0 0.2 0.4");
        assert_eq!(told((0.0, 3e6)), "0 500000 1M 1.5M 2M 2.5M 3M");
        assert_eq!(told((5.0, 15.0)), "6 8 10 12 14");
    }
}
