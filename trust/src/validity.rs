//! From when to when a certificate is good: the one part of X.509 that is needed and that webpki does not tell.

use shadow::UnixMs;

/// From when to when something is good, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// From when on.
    pub not_before_ms: UnixMs,
    /// Up to when.
    pub not_after_ms: UnixMs,
}

impl Validity {
    /// Whether it is good at `now_ms`.
    pub fn holds(&self, now_ms: UnixMs) -> bool {
        (self.not_before_ms..=self.not_after_ms).contains(&now_ms)
    }

    /// Of a certificate in DER (RFC 5280, 4.1); `None` where it is not one.
    pub(crate) fn of(der: &[u8]) -> Option<Self> {
        let certificate = Element::take(&mut &*der).filter(|element| element.tag == SEQUENCE)?;
        let tbs = Element::take(&mut &*certificate.content).filter(|element| element.tag == SEQUENCE)?;
        let mut rest = tbs.content;
        let first = Element::take(&mut rest)?;
        // The version is left out in certificates of version 1; then this was the serial number.
        let before = if first.tag == VERSION { 3 } else { 2 };
        for _ in 0..before {
            Element::take(&mut rest)?;
        }
        let validity = Element::take(&mut rest).filter(|element| element.tag == SEQUENCE)?;
        let mut times = validity.content;
        Some(Self {
            not_before_ms: Element::take(&mut times)?.time_ms()?,
            not_after_ms: Element::take(&mut times)?.time_ms()?,
        })
    }
}

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// One element of DER.
pub(crate) struct Element<'a> {
    pub(crate) tag: u8,
    pub(crate) content: &'a [u8],
}

impl<'a> Element<'a> {
    /// Takes the next one; `None` where it is cut off or longer than 64 KiB.
    pub(crate) fn take(bytes: &mut &'a [u8]) -> Option<Self> {
        let [tag, length, rest @ ..] = *bytes else { return None };
        let (length, rest) = match (*length, rest) {
            (short @ 0..=0x7f, rest) => (usize::from(short), rest),
            (0x81, [length, rest @ ..]) => (usize::from(*length), rest),
            (0x82, [high, low, rest @ ..]) => (usize::from(u16::from_be_bytes([*high, *low])), rest),
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        *bytes = rest;
        Some(Self { tag: *tag, content })
    }

    /// `YYMMDDhhmmssZ` or `YYYYMMDDhhmmssZ` (RFC 5280, 4.1.2.5).
    fn time_ms(&self) -> Option<UnixMs> {
        let text = std::str::from_utf8(self.content).ok()?.strip_suffix('Z')?;
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let (year, rest) = match (self.tag, text.len()) {
            (UTC_TIME, 12) => {
                let (year, rest) = text.split_at_checked(2)?;
                let year: i64 = year.parse().ok()?;
                (if year < 50 { 2_000 + year } else { 1_900 + year }, rest)
            }
            (GENERALIZED_TIME, 14) => {
                let (year, rest) = text.split_at_checked(4)?;
                (year.parse().ok()?, rest)
            }
            _ => return None,
        };
        let part = |at: usize, most: i64| {
            let value: i64 = rest.get(at..at + 2)?.parse().ok()?;
            (value <= most).then_some(value)
        };
        let (month, day) = (part(0, 12)?, part(2, 31)?);
        let (hour, minute, second) = (part(4, 23)?, part(6, 59)?, part(8, 59)?);
        if month == 0 || day == 0 {
            return None;
        }
        let seconds = ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
        Some(seconds * 1_000)
    }
}

/// Days since 1970-01-01 in the Gregorian calendar (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;

    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn time(tag: u8, text: &str) -> Option<UnixMs> {
        let content = text.as_bytes();
        Element { tag, content }.time_ms()
    }

    #[test]
    fn times_are_read() {
        assert_eq!(time(UTC_TIME, "700101000000Z"), Some(0));
        assert_eq!(time(UTC_TIME, "261124203015Z"), Some(1_795_552_215_000));
        assert_eq!(time(UTC_TIME, "500101000000Z"), Some(-631_152_000_000), "1950");
        assert_eq!(time(GENERALIZED_TIME, "20000229235959Z"), Some(951_868_799_000));
        assert_eq!(time(GENERALIZED_TIME, "99991231235959Z"), Some(253_402_300_799_000));
        for bad in [
            "",
            "Z",
            "261324203015Z",
            "260024203015Z",
            "2611242030+5Z",
            "261124203015",
        ] {
            assert_eq!(time(UTC_TIME, bad), None, "{bad}");
        }
    }

    #[test]
    fn a_certificate_tells_when_it_is_good() {
        let issued = crate::testing::Authority::new();
        let identity = issued.certificate(&["foreshadow:role/brain"], (1_000_000_000, 2_000_000_000));
        let validity = Validity::of(identity.der()).unwrap();
        assert_eq!(
            (validity.not_before_ms, validity.not_after_ms),
            (1_000_000_000_000, 2_000_000_000_000)
        );
        assert!(validity.holds(1_000_000_000_000) && validity.holds(2_000_000_000_000));
        assert!(!validity.holds(999_999_999_999) && !validity.holds(2_000_000_000_001));
        for end in 0..identity.der().len() {
            // Cut off anywhere, it may be read up to the times or not; it never panics.
            black_box(Validity::of(&identity.der()[..end]));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..200)) {
            black_box(Validity::of(&bytes));
            black_box(Validity::of(&[&[0x30, 0x81, 0xc8, 0x30, 0x81, 0xc5][..], &bytes].concat()));
        }
    }
}
