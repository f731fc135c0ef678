//! Preemptive: reserve before the need, while the forecast is confident.

use crate::policy::{Class, Strategy};

use super::{ask::Pick, need::Need};

/// The highest need up to the class's horizon among those whose forecast is confident: narrow enough, and better
/// than repeating the last value.
///
/// # Errors
/// Why it is not to be trusted, in words, told of the forecast that is nearest to the horizon.
pub(super) fn pick(needs: &[Need], class: &Class) -> Result<Pick, String> {
    let within = || needs.iter().filter(|need| need.horizon_s <= class.horizon_s);
    let highest = within()
        .filter(|need| doubt(need, class).is_none())
        .max_by(|a, b| a.at(class.quantile).total_cmp(&b.at(class.quantile)));
    match highest {
        Some(need) => Ok(Pick::of(Strategy::Preemptive, need, class)),
        None => Err(within().next_back().map_or_else(
            || "preemptive: there is no forecast up to the horizon".to_owned(),
            |need| doubt(need, class).unwrap_or_default(),
        )),
    }
}

/// Why `need` is not to be trusted; `None` when it is.
fn doubt(need: &Need, class: &Class) -> Option<String> {
    let minutes = f64::from(need.horizon_s) / 60.0;
    let about = format!("preemptive for {minutes} min ahead");
    match need.skill {
        None => Some(format!("{about}: the forecast has not been scored yet")),
        Some(skill) if skill.is_nan() || skill <= class.confident.skill => {
            let least = class.confident.skill;
            Some(format!("{about}: skill is {skill:.2}, more than {least} is asked"))
        }
        Some(_) if need.width.is_nan() || need.width > class.confident.width => {
            let (width, most) = (need.width * 100.0, class.confident.width * 100.0);
            Some(format!(
                "{about}: p95 lies {width:.0} % of the host above the median, at most {most:.0} % is asked"
            ))
        }
        Some(_) => None,
    }
}
