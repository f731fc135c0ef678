//! Names with `*` for any characters: `web*`, `*.slice`.

/// Whether `name` is what `pattern` describes.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(rest) = name.strip_prefix(head) else {
        return false;
    };
    // One star takes as little as it can; only the last must reach the end.
    (0..=rest.len())
        .filter_map(|at| rest.get(at..))
        .any(|rest| matches(tail, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_characters() {
        for (pattern, name) in [
            ("web", "web"),
            ("*", ""),
            ("*", "anything"),
            ("web*", "web-1"),
            ("*.slice", "user.slice"),
            ("a*b*c", "aXbYbZc"),
            ("**", "x"),
            ("ä*", "äß"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("web", "web1"),
            ("web*", "we"),
            ("*.slice", "user.slices"),
            ("a*b", "abc"),
            ("", "x"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }
}
