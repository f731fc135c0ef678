//! Gorilla: Pelkonen and others, "Gorilla: A Fast, Scalable, In-Memory Time Series Database", VLDB 2015, section 4.1.
//!
//! Crates of it are first attempts of their authors, by their own words, or have had one release; hence this.

use super::bits::{Reader, Writer};

/// Widths of what is put for a difference of distances, the shortest first; a prefix of ones tells which.
const WIDTHS: [u32; 3] = [7, 9, 12];

/// What is told of leading zeros at most, for there are 5 bits for it.
const MOST_LEADING: u32 = 31;

/// The bits of a difference that are told: `leading` zeros before, `trailing` zeros behind.
#[derive(Debug, Clone, Copy)]
struct Window {
    leading: u32,
    trailing: u32,
}

impl Window {
    fn around(difference: u64) -> Self {
        Self {
            leading: difference.leading_zeros().min(MOST_LEADING),
            trailing: difference.trailing_zeros(),
        }
    }

    fn holds(self, difference: u64) -> bool {
        difference.leading_zeros() >= self.leading && difference.trailing_zeros() >= self.trailing
    }

    fn width(self) -> u32 {
        64 - self.leading - self.trailing
    }
}

/// One column's stream: the first value whole, then what each differs from the one before.
pub(super) fn encode(values: &[f64]) -> Vec<u8> {
    let mut out = Writer::default();
    let (mut last, mut window) = (None, None);
    for bits in values.iter().map(|value| value.to_bits()) {
        match last.replace(bits) {
            None => out.put(bits, 64),
            Some(last) => put_difference(&mut out, bits ^ last, &mut window),
        }
    }
    out.finish()
}

fn put_difference(out: &mut Writer, difference: u64, window: &mut Option<Window>) {
    if difference == 0 {
        return out.put(0, 1);
    }
    if let Some(window) = window.filter(|window| window.holds(difference)) {
        out.put(0b10, 2);
        return out.put(difference >> window.trailing, window.width());
    }
    let new = *window.insert(Window::around(difference));
    out.put(0b11, 2);
    out.put(u64::from(new.leading), 5);
    // 64 is told as 0, which is no width.
    out.put(u64::from(new.width()), 6);
    out.put(difference >> new.trailing, new.width());
}

/// `count` values of a stream.
pub(super) fn decode(bytes: &[u8], count: usize) -> anyhow::Result<Vec<f64>> {
    let mut stream = Reader::new(bytes);
    let mut values = Vec::new();
    let (mut bits, mut window) = (0, None);
    for at in 0..count {
        bits = if at == 0 {
            stream.take(64)?
        } else {
            bits ^ take_difference(&mut stream, &mut window)?
        };
        values.push(f64::from_bits(bits));
    }
    Ok(values)
}

fn take_difference(stream: &mut Reader<'_>, window: &mut Option<Window>) -> anyhow::Result<u64> {
    if stream.take(1)? == 0 {
        return Ok(0);
    }
    if stream.take(1)? == 1 {
        let leading = u32::try_from(stream.take(5)?)?;
        let width = match u32::try_from(stream.take(6)?)? {
            0 => 64,
            width => width,
        };
        let trailing = 64_u32.checked_sub(leading + width);
        *window = trailing.map(|trailing| Window { leading, trailing });
    }
    let window = window.ok_or_else(|| anyhow::anyhow!("a difference without its window"))?;
    Ok(stream.take(window.width())? << window.trailing)
}

/// The stream of a frame's times: the first whole, then how much each distance differs from the one before.
pub(super) fn encode_times(times_ms: &[i64]) -> Vec<u8> {
    let mut out = Writer::default();
    let (mut last, mut distance) = (None, 0_i64);
    for &time_ms in times_ms {
        let Some(last) = last.replace(time_ms) else {
            out.put(time_ms.cast_unsigned(), 64);
            continue;
        };
        let change = (time_ms - last) - distance;
        distance = time_ms - last;
        put_change(&mut out, change);
    }
    out.finish()
}

fn put_change(out: &mut Writer, change: i64) {
    if change == 0 {
        return out.put(0, 1);
    }
    for (ones, width) in (1..).zip(WIDTHS) {
        let half = 1_i64 << (width - 1);
        if (1 - half..=half).contains(&change) {
            out.put(((1 << ones) - 1) << 1, ones + 1);
            return out.put((change + half - 1).cast_unsigned(), width);
        }
    }
    out.put(0b1111, 4);
    out.put(change.cast_unsigned(), 64);
}

/// `count` times of a stream.
pub(super) fn decode_times(bytes: &[u8], count: usize) -> anyhow::Result<Vec<i64>> {
    let mut stream = Reader::new(bytes);
    let mut times = Vec::new();
    let (mut time_ms, mut distance) = (0_i64, 0_i64);
    for at in 0..count {
        if at == 0 {
            time_ms = stream.take(64)?.cast_signed();
        } else {
            distance = distance.wrapping_add(take_change(&mut stream)?);
            time_ms = time_ms.wrapping_add(distance);
        }
        times.push(time_ms);
    }
    Ok(times)
}

fn take_change(stream: &mut Reader<'_>) -> anyhow::Result<i64> {
    if stream.take(1)? == 0 {
        return Ok(0);
    }
    for width in WIDTHS {
        if stream.take(1)? == 0 {
            let half = 1_i64 << (width - 1);
            return Ok(stream.take(width)?.cast_signed() - half + 1);
        }
    }
    Ok(stream.take(64)?.cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_of_the_paper_takes_what_the_paper_says() {
        // Figure 2 of the paper: 12 and 24 differ in one bit behind 11 zeros.
        assert_eq!(encode(&[12.0]).len(), 8);
        let bits = 64 + (2 + 5 + 6 + 1);
        assert_eq!(encode(&[12.0, 24.0]).len(), usize::div_ceil(bits, 8));
        assert_eq!(encode(&[12.0, 12.0, 12.0]).len(), 9, "a bit for what stays");
    }

    #[test]
    fn times_come_back() {
        let check = |times: &[i64], bits: usize| {
            let stream = encode_times(times);
            assert_eq!(decode_times(&stream, times.len()).unwrap(), times);
            assert_eq!(stream.len(), bits.div_ceil(8), "{times:?}");
        };
        check(&[], 0);
        check(&[-5], 64);
        check(&[0, 64, 128, 192, 256], 64 + (2 + 7) + 3);
        // Changes of 100, 1, -2 and 2,049.
        check(&[0, 100, 201, 300, 2_448], 64 + (3 + 9) + 2 * (2 + 7) + (4 + 64));
    }
}
