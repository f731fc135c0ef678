//! Plain quantiles of the newest values: last hour, last 4 hours, last day.

use shadow::QUANTILES;

use crate::window::Layout;

/// Fewest rows of the shortest window.
const LEAST_ROWS: usize = 12;

/// Quantiles at [`QUANTILES`] of the last hour, 4 hours and day of `values`, the newest last, NaN = missing; by linear
/// interpolation. `None` when no value is known within the day.
pub(crate) fn recent(layout: &Layout, values: &[f32]) -> Option<[[f32; 4]; 3]> {
    let rows = [
        layout.hour.max(LEAST_ROWS),
        (4 * layout.hour).max(LEAST_ROWS),
        layout.day.max(LEAST_ROWS),
    ];
    let [hour, four, day] = rows.map(|rows| {
        let window = values.get(values.len().saturating_sub(rows)..).unwrap_or(values);
        let mut known: Vec<f32> = window.iter().copied().filter(|value| value.is_finite()).collect();
        quantiles(&mut known)
    });
    // Where the last hours tell nothing, the day does.
    let day = day?;
    let four = four.unwrap_or(day);
    Some([hour.unwrap_or(four), four, day])
}

/// Quantiles at [`QUANTILES`] of `values`, whose order is lost; `None` of none.
fn quantiles(values: &mut [f32]) -> Option<[f32; 4]> {
    let last = values.len().checked_sub(1)?;
    let (mut found, mut end) = ([0.0; 4], values.len());
    for (slot, tau) in found.iter_mut().zip(QUANTILES).rev() {
        let place = tau * last as f64;
        let (low, part) = (place.floor() as usize, place.fract() as f32);
        let (_, value, above) = values.get_mut(..end)?.select_nth_unstable_by(low, f32::total_cmp);
        *slot = *value;
        end = low + 1;
        if let Some((first, others)) = above.split_first_mut() {
            // The next larger one goes beside it: a lower quantile may lie between the same two.
            for other in others {
                if *other < *first {
                    std::mem::swap(first, other);
                }
            }
            *slot = *value + part * (*first - *value);
            end = low + 2;
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::Config;

    proptest! {
        #[test]
        fn quantiles_are_those_of_the_sorted_values(mut values in prop::collection::vec(-9.0_f32..9.0, 1..200)) {
            let found = quantiles(&mut values.clone()).unwrap();
            values.sort_by(f32::total_cmp);
            for (found, tau) in found.into_iter().zip(QUANTILES) {
                let place = tau * (values.len() - 1) as f64;
                let next = values[(place.ceil() as usize).min(values.len() - 1)];
                let low = values[place.floor() as usize];
                let exact = low + (next - low) * place.fract() as f32;
                prop_assert!((found - exact).abs() < 1e-5, "{} for {}", found, exact);
            }
        }
    }

    #[test]
    fn windows_differ_and_gaps_do_not_count() {
        let layout = Layout::new(&Config::for_step(60));
        let values: Vec<f32> = (0..2_000_u16)
            .map(|row| if row % 2 == 0 { f32::NAN } else { f32::from(row) })
            .collect();
        let [hour, four, day] = recent(&layout, &values).unwrap();
        assert_eq!((hour[0], four[0], day[0]), (1_970.0, 1_880.0, 1_280.0));
        let silent = [vec![7.0], vec![f32::NAN; 100]].concat();
        assert_eq!(recent(&layout, &silent).unwrap()[0], [7.0; 4]);
        assert!(recent(&layout, &[f32::NAN; 100]).is_none());
    }
}
