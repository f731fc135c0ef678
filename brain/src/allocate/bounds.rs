//! How far and how fast a reservation may move: floor, ceiling, capacity, hysteresis, slew and dwell.

use shadow::{Resource, UnixMs};

use crate::policy::Class;

use super::state::Reservation;

/// What a claim is to do in this round, if nobody else wanted anything.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Step {
    /// Stay.
    Keep,
    /// Rise to `to`; `clamp` is `slew` when that is less than what is asked for.
    Raise {
        /// The new amount.
        to: f64,
        /// The bound that holds it, or empty.
        clamp: &'static str,
    },
    /// Fall to `to`; `clamp` is `slew` when that is more than what is asked for.
    Lower {
        /// The new amount.
        to: f64,
        /// The bound that holds it, or empty.
        clamp: &'static str,
    },
}

/// `asked` within floor, ceiling and capacity, with the bound that holds it.
pub(super) fn clamp(asked: f64, class: &Class, resource: Resource, capacity: f64) -> (f64, &'static str) {
    let floor = class.floor.of(resource) * capacity;
    let share = class.ceiling.of(resource);
    let ceiling = share * capacity;
    if asked > ceiling {
        (ceiling, if share < 1.0 { "ceiling" } else { "capacity" })
    } else if asked < floor {
        (floor, "floor")
    } else {
        (asked, "")
    }
}

/// Where a reservation stands and what rules it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stand<'a> {
    /// What is held; `None` before the first reservation.
    pub(super) before: Option<Reservation>,
    /// What is asked for, within [`clamp`].
    pub(super) wanted: f64,
    /// The class that rules.
    pub(super) class: &'a Class,
    /// Of what.
    pub(super) resource: Resource,
    /// What the host has of it.
    pub(super) capacity: f64,
    /// The moment.
    pub(super) now_ms: UnixMs,
}

/// The step from what is held towards what is wanted: up at once, down slowly.
pub(super) fn step(stand: &Stand<'_>) -> Step {
    let Stand {
        class,
        resource,
        capacity,
        wanted,
        ..
    } = *stand;
    let Some(held) = stand.before else {
        return Step::Raise { to: wanted, clamp: "" };
    };
    let missing = wanted - held.amount;
    if missing > class.raise.hysteresis.of(resource) * capacity {
        let most = held.amount + class.raise.slew.of(resource) * capacity;
        let clamp = if wanted > most { "slew" } else { "" };
        return Step::Raise {
            to: wanted.min(most),
            clamp,
        };
    }
    // A reservation that seems to be from the future (a clock that was set back) has only begun.
    let stood_ms = u64::try_from(stand.now_ms.saturating_sub(held.since_ms)).unwrap_or(0);
    if -missing <= class.lower.hysteresis.of(resource) * capacity || stood_ms < class.lower.dwell_ms {
        return Step::Keep;
    }
    let least = held.amount * (1.0 - class.lower.slew.of(resource));
    let clamp = if wanted < least { "slew" } else { "" };
    Step::Lower {
        to: wanted.max(least),
        clamp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::PerResource;

    #[test]
    fn up_at_once_and_down_slowly() {
        let class = Class::default();
        let check = |held: Option<(f64, UnixMs)>, wanted: f64, expected: Step| {
            let stand = Stand {
                before: held.map(|(amount, since_ms)| Reservation { amount, since_ms }),
                wanted,
                class: &class,
                resource: Resource::Cpu,
                capacity: 10.0,
                now_ms: 1_000_000,
            };
            assert_eq!(step(&stand), expected, "{held:?} {wanted}");
        };
        let old = 400_000;
        check(None, 2.0, Step::Raise { to: 2.0, clamp: "" });
        check(Some((1.0, old)), 9.0, Step::Raise { to: 9.0, clamp: "" });
        check(Some((1.0, 1_000_000)), 2.0, Step::Raise { to: 2.0, clamp: "" });
        check(Some((1.0, old)), 1.04, Step::Keep);
        check(Some((2.0, old)), 1.6, Step::Keep);
        check(Some((4.0, old)), 3.4, Step::Lower { to: 3.4, clamp: "" });
        check(Some((4.0, old)), 1.0, Step::Lower { to: 3.0, clamp: "slew" });
        check(Some((4.0, old + 1)), 1.0, Step::Keep);
        check(Some((4.0, 2_000_000)), 1.0, Step::Keep);
    }

    #[test]
    fn a_raise_may_be_slowed_too() {
        let mut class = Class::default();
        class.raise.slew = PerResource::all(0.1);
        let stand = Stand {
            before: Some(Reservation {
                amount: 1.0,
                since_ms: 0,
            }),
            wanted: 9.0,
            class: &class,
            resource: Resource::Disk,
            capacity: 10.0,
            now_ms: 0,
        };
        assert_eq!(step(&stand), Step::Raise { to: 2.0, clamp: "slew" });
    }

    #[test]
    fn the_bound_that_binds_is_named() {
        let mut class = Class::default();
        let check = |class: &Class, asked: f64, expected: (f64, &str)| {
            assert_eq!(clamp(asked, class, Resource::Cpu, 10.0), expected);
        };
        check(&class, 5.0, (5.0, ""));
        check(&class, 50.0, (10.0, "capacity"));
        check(&class, 0.0, (0.1, "floor"));
        class.ceiling = PerResource::all(0.5);
        check(&class, 50.0, (5.0, "ceiling"));
    }
}
