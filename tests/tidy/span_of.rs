//! Between which values the code takes a number, found by asking it.

/// The ends of what is taken around a value that is: `None` where nothing bounds it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ends {
    pub(crate) low: Option<End>,
    pub(crate) high: Option<End>,
}

/// One end, which is taken itself or not.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct End {
    pub(crate) value: f64,
    pub(crate) is_taken: bool,
}

/// The ends around `start`, within `least` and `most`; whole numbers only, where `whole` says so.
pub(crate) fn ends(start: f64, least: f64, most: f64, whole: bool, takes: &dyn Fn(f64) -> bool) -> Ends {
    let end = |far: f64| (!takes(far)).then(|| bisected(start, far, whole, takes));
    // Nearly all numbers end at nothing, which halving would come near to for ever.
    let low = match least < 0.0 && start > 0.0 {
        true if takes(0.0) && !takes(-1e-9) => Some(End {
            value: 0.0,
            is_taken: true,
        }),
        true if !takes(0.0) => Some(bisected(start, 0.0, whole, takes)),
        _ => end(least),
    };
    Ends { low, high: end(most) }
}

/// Where between `taken` and `refused` the one becomes the other.
fn bisected(mut taken: f64, mut refused: f64, whole: bool, takes: &dyn Fn(f64) -> bool) -> End {
    let apart = |a: f64, b: f64| {
        if whole {
            (a - b).abs() > 1.0
        } else {
            (a - b).abs() > 1e-12 * a.abs().max(1e-9)
        }
    };
    for _ in 0..400 {
        if !apart(taken, refused) {
            break;
        }
        let middle = f64::midpoint(taken, refused);
        let middle = if whole { middle.round() } else { middle };
        *(if takes(middle) { &mut taken } else { &mut refused }) = middle;
    }
    let value = if whole { taken } else { rounded(taken) };
    End {
        value,
        is_taken: takes(value),
    }
}

/// Six digits, which nobody writes more of into a program.
fn rounded(value: f64) -> f64 {
    if value.abs() < 1e-9 {
        0.0
    } else {
        format!("{value:.5e}").parse().unwrap_or(value)
    }
}

#[test]
fn ends_are_found() {
    let end = |value, is_taken| Some(End { value, is_taken });
    for (start, whole, takes, low, high) in [
        (
            5.0,
            true,
            &(|v: f64| (1.0..=100.0).contains(&v)) as &dyn Fn(f64) -> bool,
            end(1.0, true),
            end(100.0, true),
        ),
        (
            0.5,
            false,
            &|v: f64| v > 0.0 && v < 1.0,
            end(0.0, false),
            end(1.0, false),
        ),
        (
            0.5,
            false,
            &|v: f64| (0.0..=1.0).contains(&v),
            end(0.0, true),
            end(1.0, true),
        ),
        (
            0.5,
            false,
            &|v: f64| (-1.0..=1.0).contains(&v),
            end(-1.0, true),
            end(1.0, true),
        ),
        (0.003, false, &|v: f64| v >= 1e-6, end(1e-6, true), None),
        (7.0, true, &|_| true, None, None),
    ] {
        assert_eq!(
            ends(start, if whole { 0.0 } else { -1e30 }, 1e15, whole, takes),
            Ends { low, high }
        );
    }
}
