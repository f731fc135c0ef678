//! How many events an agent tells: a device that raises an error with every access must not fill the spool. Pure.

use shadow::{Finding, Severity};

/// Events that may come at once.
const BURST: u32 = 64;

/// One more may come each second.
const REFILL_NS: u64 = 1_000_000_000;

/// A bucket of events: full at first, refilled by one a second.
#[derive(Debug)]
pub(crate) struct Flood {
    left: u32,
    refilled_ns: u64,
    kept_back: u64,
}

impl Flood {
    pub(crate) const fn new(now_ns: u64) -> Self {
        Self {
            left: BURST,
            refilled_ns: now_ns,
            kept_back: 0,
        }
    }

    /// `finding` if there is room for it, and before it how many had to be kept back; else nothing, and it is counted.
    pub(crate) fn pass(&mut self, now_ns: u64, finding: Finding) -> Vec<Finding> {
        self.refill(now_ns);
        let needed = if self.kept_back > 0 { 2 } else { 1 };
        if self.left < needed {
            self.kept_back += 1;
            return Vec::new();
        }
        self.left -= needed;
        let mut told = Vec::new();
        if self.kept_back > 0 {
            told.push(kept_back(std::mem::take(&mut self.kept_back)));
        }
        told.push(finding);
        told
    }

    fn refill(&mut self, now_ns: u64) {
        let due = now_ns.saturating_sub(self.refilled_ns) / REFILL_NS;
        self.refilled_ns += due * REFILL_NS;
        self.left = u32::try_from(due).unwrap_or(BURST).saturating_add(self.left).min(BURST);
    }
}

fn kept_back(count: u64) -> Finding {
    Finding {
        source: "agent".to_owned(),
        subject: "events".to_owned(),
        kind: "kept_back".to_owned(),
        severity: Severity::Warning,
        text: format!("{count} events were not told: more than {BURST} at once and one a second"),
        details: vec![("count".to_owned(), count.to_string())],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn finding() -> Finding {
        Finding {
            source: "pci".to_owned(),
            subject: "0000:01:00.0".to_owned(),
            kind: "corrected_error".to_owned(),
            severity: Severity::Warning,
            text: "bad TLP".to_owned(),
            details: Vec::new(),
        }
    }

    #[test]
    fn a_flood_is_cut_and_counted() {
        let mut flood = Flood::new(0);
        let told = (0..200)
            .filter(|_| !flood.pass(SECOND / 2, finding()).is_empty())
            .count();
        assert_eq!(told, 64);
        assert_eq!(
            flood.pass(SECOND, finding()),
            [],
            "room for one, but two are to be told"
        );
        let told = flood.pass(2 * SECOND, finding());
        assert_eq!(told.len(), 2);
        assert_eq!(told[0].details[0].1, "137");
        assert_eq!(told[1], finding());
        assert_eq!(flood.pass(3 * SECOND, finding()), [finding()]);
    }

    #[test]
    fn rest_refills_no_more_than_the_bucket_holds() {
        let mut flood = Flood::new(0);
        let told = (0..100).filter(|_| !flood.pass(u64::MAX, finding()).is_empty()).count();
        assert_eq!(told, 64);
    }
}
