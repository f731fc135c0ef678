//! Names in records and inventories: type/length bytes (IPMI 2.0, 43.15; FRU 1.0, 13).

/// Splits `bytes` at its type/length byte into the text and what follows it; `None` at the end of fields
/// (`C1h` of FRU areas) and where it is cut off.
pub(super) fn field(bytes: &[u8]) -> Option<(String, &[u8])> {
    let (&kind, rest) = bytes.split_first()?;
    if kind == 0xc1 {
        return None;
    }
    let (data, rest) = rest.split_at_checked(usize::from(kind & 0x3f))?;
    Some((decode(kind >> 6, data), rest))
}

/// The text after the type/length byte of a sensor record, whose length has five bits; what is cut off is left out.
pub(super) fn id_string(bytes: &[u8]) -> String {
    let Some((&kind, rest)) = bytes.split_first() else {
        return String::new();
    };
    let length = usize::from(kind & 0x1f).min(rest.len());
    decode(kind >> 6, rest.get(..length).unwrap_or_default())
}

/// Text of kind 0 (binary), 1 (BCD plus), 2 (six bits a character) or 3 (Latin 1), without spaces around it.
fn decode(kind: u8, data: &[u8]) -> String {
    let text: String = match kind {
        0 => hex(data),
        1 => data
            .iter()
            .flat_map(|byte| [bcd(byte >> 4), bcd(byte & 0x0f)])
            .collect(),
        2 => six_bits(data),
        _ => data.iter().map(|&byte| char::from(byte)).collect(),
    };
    let printed = text.replace(|c: char| c.is_control(), " ");
    printed.trim().to_owned()
}

/// Two digits a byte.
pub(super) fn hex(data: &[u8]) -> String {
    let digits = data.iter().flat_map(|byte| [byte >> 4, byte & 0x0f]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

fn bcd(digit: u8) -> char {
    match digit {
        0..=9 => char::from(b'0' + digit),
        10 => ' ',
        11 => '-',
        12 => '.',
        _ => '?',
    }
}

/// Characters of 20h to 5Fh in six bits each, the first in the lowest bits.
fn six_bits(data: &[u8]) -> String {
    let mut text = String::new();
    let (mut bits, mut held) = (0_u32, 0);
    for &byte in data {
        bits |= u32::from(byte) << held;
        held += 8;
        while held >= 6 {
            text.push(char::from(b' ' + (bits & 0x3f) as u8));
            bits >>= 6;
            held -= 6;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_four_kinds_are_read() {
        let check = |bytes: &[u8], text: &str| assert_eq!(field(bytes).unwrap(), (text.to_owned(), &b"!"[..]));
        check(b"\xc3ab !", "ab");
        check(b"\x02\x0a\xff!", "0aff");
        check(b"\x42\x12\xb3!", "12-3");
        // The example of the FRU specification, 13.3: "IPMI".
        check(b"\x83\x29\xdc\xa6!", "IPMI");
        check(b"\xc2\x00x!", "x");
        check(b"\x00!", "");
    }

    #[test]
    fn ends_and_cuts_are_told_apart_from_text() {
        assert_eq!(field(b"\xc1rest"), None);
        assert_eq!(field(b"\xc9short"), None);
        assert_eq!(field(b""), None);
        assert_eq!(id_string(b"\xc9short"), "short");
        assert_eq!(id_string(b""), "");
    }
}
