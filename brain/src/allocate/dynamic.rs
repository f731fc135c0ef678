//! Dynamic: follow each new forecast of the nearest horizon, up at once and down slowly (the bounds see to that).

use crate::policy::{Class, Strategy};

use super::{ask::Pick, need::Need};

/// The need at the nearest horizon, confident or not; `None` without any forecast.
pub(super) fn pick(needs: &[Need], class: &Class) -> Option<Pick> {
    let nearest = needs.first()?;
    Some(Pick::of(Strategy::Dynamic, nearest, class))
}
