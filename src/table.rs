//! Forecast scores as a table for people.

use forecast::{Loss, ScoreRow, ScoreTable};
use shadow::Resource;

/// How the values of one resource are shown: what they are divided by, and the unit that is left.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scale {
    divisor: f64,
    unit: &'static str,
}

/// `normalised` is the byte rate that stands for 1 in traces of shares.
pub(crate) fn scale(resource: Resource, normalised: Option<f64>) -> Scale {
    let (divisor, unit) = match (resource, normalised) {
        (Resource::Cpu | Resource::Memory, _) => (0.01, "%"),
        (Resource::Network | Resource::Disk, Some(full)) => (full / 100.0, "%"),
        (Resource::Network | Resource::Disk, None) => (1e6, "MB/s"),
        (Resource::Power, _) => (1.0, "W"),
    };
    Scale { divisor, unit }
}

/// The scores of every resource and horizon: each rung's losses over the same moments, what was served, its coverage.
pub(crate) fn render(scores: &ScoreTable, normalised: Option<f64>) -> String {
    let titles = format!(
        "{:<9}{:>8}{:>6}{:>9}  {:^32}  {:^32}  {:>7}  {:>14}",
        "", "", "", "", "mean absolute error", "pinball loss (p50 p90 p95 p99)", "p95", "served, %"
    );
    let names = ["last", "ewma", "lstm", "served"]
        .map(|name| format!("{name:>8}"))
        .concat();
    let columns = format!(
        "{:<9}{:>8}{:>6}{:>9}  {names}  {names}  {:>7}  {:>14}",
        "resource", "horizon", "unit", "moments", "covers", "last/ewma/lstm"
    );
    let rows = scores
        .rows
        .iter()
        .map(|row| render_row(row, scale(row.target.resource, normalised)));
    [titles, columns]
        .into_iter()
        .chain(rows)
        .map(|line| line + "\n")
        .collect()
}

fn render_row(row: &ScoreRow, scale: Scale) -> String {
    let compared = row.with_lstm.unwrap_or(row.all);
    let losses = [
        Some(compared.last),
        Some(compared.ewma),
        compared.lstm,
        Some(compared.served),
    ];
    let columns = |of: fn(&Loss) -> f64| {
        let shown = |loss: &Option<Loss>| {
            loss.as_ref()
                .map_or("-".to_owned(), |loss| number(of(loss) / scale.divisor))
        };
        losses
            .iter()
            .map(|loss| format!("{:>8}", shown(loss)))
            .collect::<Vec<_>>()
            .concat()
    };
    let [_, _, coverage, _] = row.coverage;
    let served = row.served_share.map(|share| format!("{:.0}", share * 100.0)).join("/");
    format!(
        "{:<9}{:>8}{:>6}{:>9}  {}  {}  {:>6.1}%  {:>14}",
        row.target.resource.as_str(),
        format!("{} min", row.horizon_s / 60),
        scale.unit,
        compared.n,
        columns(|loss| loss.mae),
        columns(|loss| loss.pinball),
        coverage * 100.0,
        served,
    )
}

/// Three significant digits or so, in at most seven characters.
fn number(value: f64) -> String {
    match value.abs() {
        v if v >= 1e6 => format!("{value:.1e}"),
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use forecast::score::Compared;

    use super::*;

    #[test]
    fn a_row_shows_each_rung_in_units_for_people() {
        let loss = |mae| Loss {
            mae,
            pinball: mae / 2.0,
            pinball_p95: mae / 4.0,
        };
        let compared = Compared {
            n: 120,
            last: loss(2e6),
            ewma: loss(1.5e6),
            served: loss(1.25e6),
            ..Compared::default()
        };
        let row = ScoreRow {
            target: forecast::Target::whole(Resource::Network),
            horizon_s: 300,
            all: compared,
            with_lstm: None,
            coverage: [0.5, 0.9, 0.95, 0.99],
            served_share: [0.25, 0.75, 0.0],
        };
        let text = render(&ScoreTable { rows: vec![row] }, None);
        let shown: Vec<&str> = text.lines().last().unwrap().split_whitespace().collect();
        let expected = "network 5 min MB/s 120 2.00 1.50 - 1.25 1.00 0.750 - 0.625 95.0% 25/75/0";
        assert_eq!(shown.join(" "), expected);
    }

    #[test]
    fn numbers_keep_their_size_and_width() {
        for (value, text) in [
            (0.01234, "0.012"),
            (1.234, "1.23"),
            (12.34, "12.3"),
            (123.4, "123"),
            (1.5e7, "1.5e7"),
        ] {
            assert_eq!(number(value), text);
        }
    }
}
