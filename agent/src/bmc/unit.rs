//! Units of sensors (IPMI 2.0, table 43-15), in the notation of metrics.

/// The unit of three bytes of a sensor record: flags, base unit and modifier unit.
///
/// Values are told in the unit of the sensor; nothing is converted. `1` where there is none, `?` where the
/// code is not known.
pub fn unit(flags: u8, base: u8, modifier: u8) -> String {
    let mut unit = if flags & 1 == 1 && base == 0 {
        "%".to_owned()
    } else {
        name(base).to_owned()
    };
    match flags >> 1 & 3 {
        1 => unit = format!("{unit}/{}", name(modifier)),
        2 => unit = format!("{unit}.{}", name(modifier)),
        _ => {}
    }
    let per = ["", "/us", "/ms", "/s", "/min", "/h", "/d", ""];
    unit.push_str(per.get(usize::from(flags >> 3 & 7)).copied().unwrap_or_default());
    unit
}

/// In the order of codes, from 0.
const NAMES: [&str; 93] = [
    "1",
    "Cel",
    "[degF]",
    "K",
    "V",
    "A",
    "W",
    "J",
    "C",
    "V.A",
    "nit",
    "lm",
    "lx",
    "cd",
    "kPa",
    "[psi]",
    "N",
    "[cft]/min",
    "{rpm}",
    "Hz",
    "us",
    "ms",
    "s",
    "min",
    "h",
    "d",
    "wk",
    "[mil]",
    "[in]",
    "[ft]",
    "[cin]",
    "[cft]",
    "mm",
    "cm",
    "m",
    "cm3",
    "m3",
    "L",
    "[foz]",
    "rad",
    "sr",
    "{revolution}",
    "{cycle}",
    "[g]",
    "[oz]",
    "[lb]",
    "[ft].[lb]",
    "[oz].[in]",
    "G",
    "Gb",
    "H",
    "mH",
    "F",
    "uF",
    "Ohm",
    "S",
    "mol",
    "Bq",
    "[ppm]",
    "1",
    "dB",
    "dB[A]",
    "dB[C]",
    "Gy",
    "Sv",
    "{color_temperature}",
    "bit",
    "kbit",
    "Mbit",
    "Gbit",
    "By",
    "KiBy",
    "MiBy",
    "GiBy",
    "{word}",
    "{dword}",
    "{qword}",
    "{line}",
    "{hit}",
    "{miss}",
    "{retry}",
    "{reset}",
    "{overrun}",
    "{underrun}",
    "{collision}",
    "{packet}",
    "{message}",
    "{character}",
    "{error}",
    "{correctable_error}",
    "{uncorrectable_error}",
    "{fatal_error}",
    "{gram}",
];

fn name(code: u8) -> &'static str {
    NAMES.get(usize::from(code)).copied().unwrap_or("?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bases_modifiers_and_rates_are_put_together() {
        let check = |flags, base, modifier, expected: &str| assert_eq!(unit(flags, base, modifier), expected);
        check(0, 1, 0, "Cel");
        check(0x80, 18, 0, "{rpm}");
        check(1, 0, 0, "%");
        check(1, 6, 0, "W");
        check(0b0001_1000, 70, 0, "By/s");
        check(0b0000_0010, 7, 20, "J/us");
        check(0b0000_0100, 4, 5, "V.A");
        check(0, 6, 0, "W");
        check(0, 54, 0, "Ohm");
        check(0, 88, 0, "{error}");
        check(0, 200, 0, "?");
    }
}
