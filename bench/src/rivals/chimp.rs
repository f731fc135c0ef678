//! Chimp: Liakos, Papakonstantinopoulou and Kotidis, "Chimp: Efficient Lossless Floating Point Compression for Time
//! Series Databases", VLDB 2022, section 3.2 (the one with the value before as its only reference).

use super::bits::{Reader, Writer};

/// Numbers of leading zeros that can be told; 3 bits say which.
const LEADING: [u32; 8] = [0, 8, 12, 16, 18, 20, 22, 24];

/// With more zeros than these behind it, the middle of a difference is told by itself.
const FEW_TRAILING: u32 = 6;

/// Differs in nothing.
const SAME: u64 = 0b00;
/// Leading zeros, width and middle.
const MIDDLE: u64 = 0b01;
/// As many leading zeros as before, and the rest.
const REST_AS_BEFORE: u64 = 0b10;
/// Leading zeros and the rest.
const REST: u64 = 0b11;

/// One column's stream: the first value whole, then what each differs from the one before.
pub(super) fn encode(values: &[f64]) -> Vec<u8> {
    let mut out = Writer::default();
    let (mut last, mut before) = (None, None);
    for bits in values.iter().map(|value| value.to_bits()) {
        match last.replace(bits) {
            None => out.put(bits, 64),
            Some(last) => before = put_difference(&mut out, bits ^ last, before),
        }
    }
    out.finish()
}

/// Returns the leading zeros that the next may refer to.
fn put_difference(out: &mut Writer, difference: u64, before: Option<u32>) -> Option<u32> {
    if difference == 0 {
        out.put(SAME, 2);
        return None;
    }
    let (code, leading) = leading_of(difference);
    let trailing = difference.trailing_zeros();
    if trailing > FEW_TRAILING {
        let width = 64 - leading - trailing;
        out.put(MIDDLE, 2);
        out.put(code, 3);
        out.put(u64::from(width), 6);
        out.put(difference >> trailing, width);
        return None;
    }
    if before == Some(leading) {
        out.put(REST_AS_BEFORE, 2);
    } else {
        out.put(REST, 2);
        out.put(code, 3);
    }
    out.put(difference, 64 - leading);
    Some(leading)
}

/// The largest number of leading zeros that can be told and that `difference` has, with its code.
fn leading_of(difference: u64) -> (u64, u32) {
    let has = difference.leading_zeros();
    let told = (0..).zip(LEADING).take_while(|&(_, leading)| leading <= has);
    told.last().unwrap_or((0, 0))
}

/// `count` values of a stream.
pub(super) fn decode(bytes: &[u8], count: usize) -> anyhow::Result<Vec<f64>> {
    let mut stream = Reader::new(bytes);
    let mut values = Vec::new();
    let (mut bits, mut leading) = (0, 0);
    for at in 0..count {
        bits = if at == 0 {
            stream.take(64)?
        } else {
            bits ^ take_difference(&mut stream, &mut leading)?
        };
        values.push(f64::from_bits(bits));
    }
    Ok(values)
}

fn take_difference(stream: &mut Reader<'_>, leading: &mut u32) -> anyhow::Result<u64> {
    match stream.take(2)? {
        SAME => Ok(0),
        MIDDLE => {
            let leading = take_leading(stream)?;
            let width = u32::try_from(stream.take(6)?)?;
            let trailing = 64_u32.checked_sub(leading + width).filter(|&trailing| trailing < 64);
            let trailing = trailing.ok_or_else(|| anyhow::anyhow!("a middle of {width} bits behind {leading}"))?;
            Ok(stream.take(width)? << trailing)
        }
        REST_AS_BEFORE => stream.take(64 - *leading),
        _ => {
            *leading = take_leading(stream)?;
            stream.take(64 - *leading)
        }
    }
}

fn take_leading(stream: &mut Reader<'_>) -> anyhow::Result<u32> {
    let code = usize::try_from(stream.take(3)?)?;
    LEADING.get(code).copied().ok_or_else(|| anyhow::anyhow!("code {code}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_flag_takes_its_bits() {
        let check = |values: &[f64], bits: usize| {
            assert_eq!(encode(values).len(), bits.div_ceil(8), "{values:?}");
        };
        check(&[12.0, 12.0], 64 + 2);
        // One bit differs, behind 11 zeros, of which 8 can be told.
        check(&[12.0, 24.0], 64 + 2 + 3 + 6 + 4);
        let near = |steps: u64| f64::from_bits(1.0_f64.to_bits() + steps);
        check(&[1.0, near(1)], 64 + 2 + 3 + 40);
        check(&[1.0, near(1), near(2)], 64 + 5 + 40 + 2 + 40);
        check(&[1.0, near(1), near(1), near(2)], 64 + 5 + 40 + 2 + 5 + 40);
    }
}
