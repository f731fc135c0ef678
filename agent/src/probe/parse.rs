//! Reading the kernel's text tables in place, without allocation.
//!
//! A tenth of a second later code is as cold as data, and fetching it costs more than running it. So these functions are
//! small, call nothing of the C library, and are there once for all probes instead of within each.

/// The lines of `text`, without their ends and without empty ones.
pub(super) fn lines(text: &[u8]) -> Lines<'_> {
    Lines(text)
}

/// The lines that were not taken yet.
pub(super) struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    #[inline(never)]
    fn next(&mut self) -> Option<&'a [u8]> {
        while let [b'\n', after @ ..] = self.0 {
            self.0 = after;
        }
        let (line, after) = self.0.split_at_checked(line_end(self.0))?;
        self.0 = after;
        (!line.is_empty()).then_some(line)
    }
}

/// Where the first line feed is; the length where there is none. Eight bytes at a time: in a byte that is not zero, and in
/// none below the first that is, subtracting one leaves the highest bit as the byte had it.
fn line_end(text: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const FEEDS: u64 = u64::from_ne_bytes([b'\n'; 8]);
    let (eights, rest) = text.as_chunks();
    for (at, eight) in eights.iter().enumerate() {
        let zero_where_feed = u64::from_le_bytes(*eight) ^ FEEDS;
        let found = zero_where_feed.wrapping_sub(ONES) & !zero_where_feed & (ONES << 7);
        if found != 0 {
            return at * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    text.len() - rest.len() + rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len())
}

/// What follows `start` in `line`; `None` where it begins with something else.
#[inline(never)]
pub(super) fn after<'a>(line: &'a [u8], start: &[u8]) -> Option<&'a [u8]> {
    let (head, rest) = line.split_at_checked(start.len())?;
    head.iter().eq(start).then_some(rest)
}

/// What stands between spaces, tabs and other control characters.
pub(super) fn fields(line: &[u8]) -> Fields<'_> {
    Fields(line)
}

/// The fields of a line that were not taken yet.
pub(super) struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    /// Whether there are no more.
    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|&b| b <= b' ')
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = &'a [u8];

    #[inline(never)]
    fn next(&mut self) -> Option<&'a [u8]> {
        let begin = self.0.iter().position(|&b| b > b' ')?;
        let from = self.0.get(begin..)?;
        let end = from.iter().position(|&b| b <= b' ').unwrap_or(from.len());
        let (field, after) = from.split_at_checked(end)?;
        self.0 = after;
        Some(field)
    }
}

/// So many digits fit in 64 bits, whatever they are.
const SURE_DIGITS: usize = 19;

/// An unsigned decimal number, digits only; `None` for anything else or more than 64 bits.
#[inline(never)]
pub(super) fn number(field: &[u8]) -> Option<u64> {
    if field.is_empty() {
        return None;
    }
    let (sure, rest) = field.split_at_checked(SURE_DIGITS).unwrap_or((field, &[]));
    let value = sure.iter().try_fold(0, |value, &b| Some(value * 10 + digit(b)?))?;
    rest.iter()
        .try_fold(value, |value: u64, &b| value.checked_mul(10)?.checked_add(digit(b)?))
}

fn digit(byte: u8) -> Option<u64> {
    let digit = byte.wrapping_sub(b'0');
    (digit < 10).then_some(digit.into())
}

/// The next field as a [`number`], found and read in one go; what is none is not passed.
#[inline(never)]
pub(super) fn next_number(fields: &mut Fields<'_>) -> Option<u64> {
    let begin = fields.0.iter().position(|&b| b > b' ')?;
    let field = fields.0.get(begin..)?;
    let (mut value, mut length) = (0_u64, 0);
    for &byte in field.iter().take_while(|&&b| b > b' ') {
        value = value.wrapping_mul(10).wrapping_add(digit(byte)?);
        length += 1;
    }
    let (field, rest) = field.split_at_checked(length)?;
    if length > SURE_DIGITS {
        value = number(field)?;
    }
    fields.0 = rest;
    Some(value)
}

/// A number of hundredths, such as `1.25`; `None` for anything else.
pub(super) fn hundredths(field: &[u8]) -> Option<f64> {
    let (whole, part) = field.split_at_checked(field.len().checked_sub(3)?)?;
    let part = part.strip_prefix(b".").and_then(number)?;
    let all = number(whole)?.checked_mul(100)?.checked_add(part)?;
    Some(all as f64 / 100.0)
}

/// `name` as a part of a metric's name: other than letters, digits, `.`, `-` and `_` becomes `_`,
/// and at most 63 characters are kept.
pub(crate) fn metric_part(name: &str) -> String {
    let safe = |c: char| {
        if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') {
            c
        } else {
            '_'
        }
    };
    name.chars().take(63).map(safe).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_digits_of_64_bits() {
        let check = |text: &str, value| assert_eq!(number(text.as_bytes()), value, "{text:?}");
        check("0", Some(0));
        check("18446744073709551615", Some(u64::MAX));
        for bad in ["18446744073709551616", "", "-1", "+1", "1.0", "0x1", " 1", "1 ", "١"] {
            check(bad, None);
        }
    }

    #[test]
    fn numbers_are_taken_field_by_field() {
        let mut found = fields(b" 12\t18446744073709551615 7x 9");
        assert_eq!(next_number(&mut found), Some(12));
        assert_eq!(next_number(&mut found), Some(u64::MAX));
        assert_eq!(next_number(&mut found), None);
        assert_eq!((found.next(), next_number(&mut found)), (Some(&b"7x"[..]), Some(9)));
        assert!(found.is_empty() && next_number(&mut found).is_none());
        for bad in ["18446744073709551616", "", " ", "-1", "1.0"] {
            assert_eq!(next_number(&mut fields(bad.as_bytes())), None, "{bad:?}");
        }
    }

    #[test]
    fn hundredths_have_two_digits_behind_the_point() {
        let check = |text: &str, value| assert_eq!(hundredths(text.as_bytes()), value, "{text:?}");
        check("1.25", Some(1.25));
        check("0.07", Some(0.07));
        check("1024.00", Some(1_024.0));
        for bad in [
            "",
            "1",
            ".25",
            "1.2",
            "1.255",
            "-1.25",
            "1,25",
            "18446744073709551615.00",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn a_line_ends_at_the_first_feed_whatever_its_bytes_are() {
        for byte in 0..=255_u8 {
            for length in 0..20 {
                let mut text = vec![byte; length];
                let end = |text: &[u8]| text.iter().position(|&b| b == b'\n').unwrap_or(text.len());
                assert_eq!(line_end(&text), end(&text), "{text:?}");
                text.extend([b'\n', byte, b'\n']);
                assert_eq!(line_end(&text), end(&text), "{text:?}");
            }
        }
    }

    #[test]
    fn what_follows_a_start_is_told() {
        assert_eq!(after(b"eth0: 1", b"eth0"), Some(&b": 1"[..]));
        assert_eq!(after(b"eth0", b"eth0"), Some(&b""[..]));
        assert_eq!(after(b"eth", b"eth0"), None);
        assert_eq!(after(b"eth1: 1", b"eth0"), None);
    }

    #[test]
    fn tables_fall_apart_into_lines_and_fields() {
        let table = b"a  1\n\n\tb 2 \nc";
        let found: Vec<Vec<&[u8]>> = lines(table).map(|line| fields(line).collect()).collect();
        assert_eq!(found, [vec![&b"a"[..], b"1"], vec![b"b", b"2"], vec![b"c"]]);
    }

    #[test]
    fn metric_parts_are_safe() {
        assert_eq!(metric_part("eth0.100"), "eth0.100");
        assert_eq!(metric_part("a/b c#+ä"), "a_b_c___");
        assert_eq!(metric_part(&"x".repeat(99)).len(), 63);
    }
}
