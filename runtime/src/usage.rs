//! What this process takes of its machine, as the kernel counts it (`man 5 proc`).

use std::fs;

/// Memory and processor time of a process.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usage {
    /// Bytes of it that lie in memory.
    pub resident_bytes: u64,
    /// Seconds of all processors since it started, in user mode and in the kernel.
    pub cpu_s: f64,
}

impl Usage {
    /// Of this process now; `None` where there is no `/proc`.
    pub fn now() -> Option<Self> {
        let statm = fs::read_to_string("/proc/self/statm").ok()?;
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        let page = rustix::param::page_size() as u64;
        parse(&statm, &stat, page, rustix::param::clock_ticks_per_second())
    }
}

/// `page`: bytes; `tick`: how many are a second.
fn parse(statm: &str, stat: &str, page: u64, tick: u64) -> Option<Usage> {
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    // The name before the last parenthesis may hold anything. Behind it stands field 3; 14 and 15 are wanted.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut ticks = fields.split_whitespace().skip(11).map(str::parse::<u64>);
    let cpu = ticks.next()?.ok()? + ticks.next()?.ok()?;
    Some(Usage {
        resident_bytes: pages * page,
        cpu_s: cpu as f64 / tick as f64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_fields_are_read() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 2 3 4 250 50 9 9 20 0 5 0 100 200 300";
        let usage = parse("900 12 3 1 0 5 0\n", stat, 4_096, 100);
        assert_eq!(
            usage,
            Some(Usage {
                resident_bytes: 49_152,
                cpu_s: 3.0
            })
        );
        assert_eq!(parse("900", stat, 4_096, 100), None);
        assert!(Usage::now().is_some_and(|usage| usage.resident_bytes > 100_000));
    }
}
