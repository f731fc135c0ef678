//! From a sensor's raw byte to its value (IPMI 2.0, 36.3 and table 43-1).

use super::{BmcError, bytes::Bytes};

/// How a raw byte is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// 0 to 255.
    Unsigned,
    /// -127 to 127, with two zeros.
    OnesComplement,
    /// -128 to 127.
    TwosComplement,
}

impl Format {
    /// Of bits 7:6 of the first byte of units; `None` where the sensor returns no number.
    pub fn from_units(units: u8) -> Option<Self> {
        match units >> 6 {
            0 => Some(Self::Unsigned),
            1 => Some(Self::OnesComplement),
            2 => Some(Self::TwosComplement),
            _ => None,
        }
    }

    /// The number in `raw`.
    pub fn number(self, raw: u8) -> i16 {
        match self {
            Self::Unsigned => i16::from(raw),
            Self::TwosComplement => i16::from(raw as i8),
            Self::OnesComplement if raw < 0x80 => i16::from(raw),
            Self::OnesComplement => -i16::from(!raw),
        }
    }
}

/// What is done to the linear value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Linearisation {
    /// Nothing.
    Linear,
    /// One of the eleven functions of table 43-1, by its code, 1 to 11.
    Function(u8),
    /// The factors are different for each raw byte: they are to be asked for (Get Sensor Reading Factors).
    Asked,
}

impl Linearisation {
    /// Of bits 6:0 of the record's byte; `None` of codes that are not known.
    pub fn from_code(code: u8) -> Option<Self> {
        match code & 0x7f {
            0 => Some(Self::Linear),
            code @ 1..=11 => Some(Self::Function(code)),
            // 70h is "non-linear", 71h to 7Fh the same by the manufacturer's word.
            0x70..=0x7f => Some(Self::Asked),
            _ => None,
        }
    }

    /// Functions are not defined everywhere: what they give then is not finite.
    fn apply(self, x: f64) -> f64 {
        let Self::Function(code) = self else { return x };
        match code {
            1 => x.ln(),
            2 => x.log10(),
            3 => x.log2(),
            4 => x.exp(),
            5 => 10_f64.powf(x),
            6 => x.exp2(),
            7 => x.recip(),
            8 => x * x,
            9 => x * x * x,
            10 => x.sqrt(),
            _ => x.cbrt(),
        }
    }
}

/// y = f((M x + B 10^K1) 10^K2), for a raw number x.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Factors {
    /// How the raw byte is read.
    pub format: Format,
    /// M, -512 to 511.
    pub m: i16,
    /// B, -512 to 511.
    pub b: i16,
    /// K1, the exponent of B: -8 to 7.
    pub b_exponent: i8,
    /// K2, the exponent of the result: -8 to 7.
    pub exponent: i8,
    /// f.
    pub linearisation: Linearisation,
}

impl Factors {
    /// Of the six bytes that begin with the low byte of M: in a full sensor record, and in the reply to Get
    /// Sensor Reading Factors behind its first byte.
    ///
    /// # Errors
    /// [`BmcError::Malformed`] when there are fewer than six.
    pub fn parse(bytes: &[u8], format: Format, linearisation: Linearisation) -> Result<Self, BmcError> {
        let [m, m_high, b, b_high, _, exponents] = Bytes::new(bytes, "sensor factors").array(0)?;
        Ok(Self {
            format,
            m: signed10(m, m_high),
            b: signed10(b, b_high),
            b_exponent: signed4(exponents),
            exponent: signed4(exponents >> 4),
            linearisation,
        })
    }

    /// The value of `raw` in the sensor's unit; `None` where the function is not defined.
    pub fn value(&self, raw: u8) -> Option<f64> {
        let offset = scaled(f64::from(self.b), self.b_exponent);
        let linear = f64::from(self.m) * f64::from(self.format.number(raw)) + offset;
        let value = self.linearisation.apply(scaled(linear, self.exponent));
        value.is_finite().then_some(value)
    }

    /// The distance of two neighbouring values; `None` where it is not the same everywhere.
    pub fn step(&self) -> Option<f64> {
        let step = scaled(f64::from(self.m).abs(), self.exponent);
        (self.linearisation == Linearisation::Linear && step > 0.0).then_some(step)
    }
}

/// `value` times ten to the `exponent`. Divides by positive powers, which are exact, for negative exponents.
fn scaled(value: f64, exponent: i8) -> f64 {
    let power = 10_f64.powi(i32::from(exponent.unsigned_abs()));
    if exponent < 0 { value / power } else { value * power }
}

/// Ten bits in two's complement: eight in `low`, the highest two in bits 7:6 of `high`.
fn signed10(low: u8, high: u8) -> i16 {
    (i16::from_le_bytes([low, high >> 6]) << 6) >> 6
}

/// Bits 3:0 in two's complement.
fn signed4(nibble: u8) -> i8 {
    ((nibble << 4) as i8) >> 4
}

#[cfg(test)]
#[allow(clippy::cast_possible_truncation, reason = "records in tests are short")]
mod tests {
    use super::*;

    /// M, B, K1, K2 as they stand in a record.
    fn factors(m: i16, b: i16, k1: i8, k2: i8, format: Format, code: u8) -> Factors {
        let high = |v: i16| ((v >> 8) as u8 & 3) << 6;
        let exponents = (k2 as u8) << 4 | (k1 as u8 & 0x0f);
        let bytes = [m as u8, high(m), b as u8, high(b), 0, exponents];
        Factors::parse(&bytes, format, Linearisation::from_code(code).unwrap()).unwrap()
    }

    fn check(factors: &Factors, raw: u8, expected: f64) {
        let value = factors.value(raw).unwrap();
        assert!(
            (value - expected).abs() < 1e-9 * expected.abs().max(1.0),
            "{factors:?} {raw}: {value}"
        );
    }

    #[test]
    fn every_factor_keeps_its_sign() {
        let unsigned = Format::Unsigned;
        check(&factors(1, 0, 0, 0, unsigned, 0), 45, 45.0);
        check(&factors(60, 0, 0, -3, unsigned, 0), 201, 12.06);
        check(&factors(-1, 100, 0, 0, unsigned, 0), 30, 70.0);
        check(
            &factors(-512, 511, 7, -8, unsigned, 0),
            255,
            (-512.0 * 255.0 + 511e7) / 1e8,
        );
        check(&factors(1, -128, 0, 0, unsigned, 0), 0x99, 25.0);
        check(&factors(511, -512, -8, 7, unsigned, 0), 1, (511.0 - 512e-8) * 1e7);
        assert_eq!(factors(0, 5, 0, 0, unsigned, 0).step(), None, "a constant has no step");
    }

    #[test]
    fn raw_bytes_are_signed_in_two_ways() {
        check(&factors(1, 0, 0, 0, Format::TwosComplement, 0), 0xf6, -10.0);
        check(&factors(1, 0, 0, 0, Format::TwosComplement, 0), 0x80, -128.0);
        check(&factors(1, 0, 0, 0, Format::OnesComplement, 0), 0xf6, -9.0);
        check(&factors(2, 0, 0, 0, Format::OnesComplement, 0), 0xff, 0.0);
        assert_eq!(Format::from_units(0xc0), None);
    }

    #[test]
    fn functions_follow_the_scale() {
        let of = |code| factors(2, 0, 0, 0, Format::Unsigned, code);
        let x = 8.0_f64;
        let expected = [
            (1, x.ln()),
            (2, x.log10()),
            (3, 3.0),
            (4, x.exp()),
            (5, 1e8),
            (6, 256.0),
            (7, 0.125),
            (8, 64.0),
            (9, 512.0),
            (10, x.sqrt()),
            (11, 2.0),
        ];
        for (code, value) in expected {
            check(&of(code), 4, value);
        }
        assert_eq!(of(7).value(0), None, "1/0");
        assert_eq!(of(1).value(0), None, "ln 0");
        assert_eq!(Linearisation::from_code(0x70), Some(Linearisation::Asked));
        assert_eq!(Linearisation::from_code(0x0c), None);
    }
}
