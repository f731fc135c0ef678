//! Series, loads and columns in characters.

use ratatui::style::{Color, Modifier, Style};
use shadow::UnixMs;

/// From this share of what there is a value is worth a look, and from the second on a hurry.
const WARM: f64 = 0.75;
const HOT: f64 = 0.9;

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// How a share of what there is looks; a plain look where nobody knows what there is.
pub(super) fn heat(share: Option<f64>) -> Style {
    match share {
        Some(share) if share >= HOT => Style::new().fg(Color::Red).add_modifier(Modifier::BOLD),
        Some(share) if share >= WARM => Style::new().fg(Color::Yellow),
        _ => Style::new(),
    }
}

/// Of names and titles that stand behind what they name.
pub(super) fn faint() -> Style {
    Style::new().add_modifier(Modifier::DIM)
}

/// The highest value of each of `width` equal parts of the time from `since_ms` to `until_ms`, as bars between 0 and `top`;
/// blank where there is none.
pub(super) fn spark(
    points: &[(UnixMs, f64)],
    (since_ms, until_ms): (UnixMs, UnixMs),
    width: usize,
    top: f64,
) -> String {
    let (span, parts) = ((until_ms - since_ms).max(1), i64::try_from(width).unwrap_or(0));
    let mut highest = vec![None::<f64>; width];
    for &(time_ms, value) in points {
        let at = ((time_ms - since_ms).max(0) * parts / span).min(parts - 1);
        if let Some(part) = usize::try_from(at).ok().and_then(|at| highest.get_mut(at)) {
            *part = Some(part.map_or(value, |there| there.max(value)));
        }
    }
    highest
        .into_iter()
        .map(|value| value.map_or(' ', |value| bar(value, top)))
        .collect()
}

/// A bar of eight heights; the lowest stands for nothing too, so that it is told from a gap.
pub(super) fn bar(value: f64, top: f64) -> char {
    let share = if top > 0.0 { (value / top).clamp(0.0, 1.0) } else { 0.0 };
    let eighths = share * BARS.len() as f64;
    let height = (1..BARS.len()).filter(|level| eighths >= *level as f64).count();
    BARS.get(height).copied().unwrap_or('▁')
}

/// `text` in exactly `width` columns, cut with an ellipsis where it is longer.
pub(super) fn left(text: &str, width: usize) -> String {
    let count = text.chars().count();
    if count <= width {
        return format!("{text:<width$}");
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// Likewise at the right edge.
pub(super) fn right(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        format!("{text:>width$}")
    } else {
        left(text, width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spark_shows_peaks_and_gaps() {
        let points = [(0, 0.0), (10, 0.2), (19, 1.0), (90, 0.5), (100, 2.0)];
        assert_eq!(spark(&points, (0, 100), 10, 1.0), "▁█       █");
        assert_eq!(spark(&points, (0, 100), 0, 1.0), "");
        assert_eq!(spark(&[], (100, 100), 3, 0.0), "   ");
        assert_eq!(
            spark(&[(5, 3.0)], (0, 10), 2, 0.0),
            " ▁",
            "of nothing there is nothing to fill"
        );
    }

    #[test]
    fn columns_keep_their_width() {
        assert_eq!(left("äöü", 4), "äöü ");
        assert_eq!(left("äöüß", 3), "äö…");
        assert_eq!(right("42", 4), "  42");
    }

    #[test]
    fn heat_begins_at_three_quarters() {
        assert_eq!(heat(Some(0.74)), heat(None));
        assert_ne!(heat(Some(0.75)), heat(Some(0.9)));
    }
}
