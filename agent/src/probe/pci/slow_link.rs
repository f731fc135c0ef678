//! Links that do less than both their ends could. Pure.

use std::fmt;

use super::{express::Link, survey::Function};

/// A link that does less than it could: GT/s and lanes, now and at most.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct SlowLink {
    now: (f64, u32),
    could: (f64, u32),
}

impl SlowLink {
    /// The link between a function and the port above it, when it is slow.
    ///
    /// What it could is the least of what both ends can, and the speed that software has asked the port for: a card in
    /// a slot of fewer lanes is no fault. Only the lower end tells, and of a card with many functions the first.
    pub(super) fn of(function: &Function, above: Option<&Function>) -> Option<Self> {
        let express = function.express?;
        if express.port.is_upper_end() || !function.device.address.ends_with(".0") {
            return None;
        }
        let link = express.link?;
        let above: Link = above.and_then(|above| above.express?.link).unwrap_or_default();
        let could = (
            least([link.speed_max_gts, above.speed_max_gts, above.target_gts])?,
            least([link.width_max, above.width_max, None])?,
        );
        let now = (link.speed_gts?, link.width?);
        (now.0 < could.0 || now.1 < could.1).then_some(Self { now, could })
    }

    /// Names and values for an event.
    pub(super) fn details(&self) -> Vec<(String, String)> {
        let detail = |name: &str, value: String| (name.to_owned(), value);
        vec![
            detail("speed_gts", self.now.0.to_string()),
            detail("width", self.now.1.to_string()),
            detail("speed_max_gts", self.could.0.to_string()),
            detail("width_max", self.could.1.to_string()),
        ]
    }
}

impl fmt::Display for SlowLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ((speed, width), (speed_max, width_max)) = (self.now, self.could);
        write!(f, "{speed} GT/s x{width} of {speed_max} GT/s x{width_max}")
    }
}

fn least<T: PartialOrd>(values: [Option<T>; 3]) -> Option<T> {
    values.into_iter().flatten().reduce(|a, b| if b < a { b } else { a })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::probe::pci::{
        express::{Express, Port},
        survey::Survey,
    };

    fn function(address: &str, port: Port, speed: f64, width: u32) -> Function {
        let link = Link {
            speed_max_gts: Some(16.0),
            width_max: Some(16),
            speed_gts: Some(speed),
            width: Some(width),
            target_gts: Some(8.0),
        };
        let mut function = Function {
            express: Some(Express {
                port,
                device_status: 0,
                link: Some(link),
            }),
            ..Function::default()
        };
        function.device.address = address.to_owned();
        function
    }

    /// A root port that is told to run at 8 GT/s, and a card behind it.
    pub(in crate::probe::pci) fn host(speed: f64, width: u32) -> Survey {
        let mut card = function("0000:01:00.0", Port::Endpoint, speed, width);
        card.parent = Some("0000:00:01.0".to_owned());
        Survey {
            functions: vec![function("0000:00:01.0", Port::Root, speed, width), card],
            restricted: 0,
        }
    }

    #[test]
    fn only_the_lower_end_of_a_slow_link_tells() {
        let Survey { functions, .. } = host(5.0, 16);
        let slow = SlowLink::of(&functions[1], Some(&functions[0])).unwrap();
        assert_eq!(slow.to_string(), "5 GT/s x16 of 8 GT/s x16");
        assert_eq!(SlowLink::of(&functions[0], None), None);
        let second = function("0000:01:00.1", Port::Endpoint, 5.0, 16);
        assert_eq!(SlowLink::of(&second, Some(&functions[0])), None);
        let alone = SlowLink::of(&functions[1], None).unwrap();
        assert_eq!(alone.to_string(), "5 GT/s x16 of 16 GT/s x16", "as passed to a guest");
    }
}
