//! Traffic of network interfaces: `/proc/net/dev` (`proc_pid_net(5)`).
//!
//! Sampled are the interfaces that the configuration names, else those with a device behind them, else
//! all but loopback. Virtual interfaces carry the same bytes again, and would be counted twice.

use std::{fs, path::Path};

use shadow::{Channel, Metric, Reading, metric::channel_metric, rate::RateMeter};

use super::{
    BYTES_FLOOR, EVENTS_FLOOR, Place, Probe,
    file::KeptFile,
    parse::{after, fields, lines, metric_part, next_number},
};
use crate::error::ProbeError;

/// What is told of each interface, in this order: metric, unit, column of `/proc/net/dev`.
const PARTS: [(&str, &str, usize); 8] = [
    ("rx_bytes", "By/s", 0),
    ("tx_bytes", "By/s", 8),
    ("rx_packets", "1/s", 1),
    ("tx_packets", "1/s", 9),
    ("rx_errors", "1/s", 2),
    ("tx_errors", "1/s", 10),
    ("rx_drops", "1/s", 3),
    ("tx_drops", "1/s", 11),
];

/// How many columns follow an interface's name.
const COLUMNS: usize = 16;

/// Opens `/proc/net/dev`.
///
/// # Errors
/// [`ProbeError`] when it is not there, or shows no interface to sample.
pub fn open(place: &Place) -> Result<Box<dyn Probe>, ProbeError> {
    let table = KeptFile::open(place.path("proc/net/dev"))?;
    let names = chosen(place, &present(&table.read()?));
    if names.is_empty() {
        let wanted = &place.config.network.interfaces;
        return Err(ProbeError::Absent(match wanted.as_slice() {
            [] => "no interface but loopback".to_owned(),
            names => format!("none of the configured interfaces is there: {}", names.join(", ")),
        }));
    }
    let mut metrics = vec![channel_metric(Channel::NetworkRx), channel_metric(Channel::NetworkTx)];
    for name in &names {
        let metric = |(part, unit, _): (&str, &str, usize)| {
            let floor = if unit == "By/s" { BYTES_FLOOR } else { EVENTS_FLOOR };
            Metric::rate(format!("network.{}.{part}", metric_part(name)), unit, floor)
        };
        metrics.extend(PARTS.map(metric));
    }
    Ok(Box::new(Network {
        place: place.clone(),
        table,
        interfaces: names.into_iter().map(Interface::new).collect(),
        metrics,
    }))
}

/// The interfaces that are sampled on the host at `place`; empty where that cannot be told.
pub fn interfaces(place: &Place) -> Vec<String> {
    fs::read(place.path("proc/net/dev")).map_or_else(|_| Vec::new(), |text| chosen(place, &present(&text)))
}

/// Which of `present` are to be sampled.
fn chosen(place: &Place, present: &[String]) -> Vec<String> {
    let wanted = &place.config.network.interfaces;
    let pick = |keep: &dyn Fn(&str) -> bool| present.iter().filter(|name| keep(name)).cloned().collect::<Vec<_>>();
    if !wanted.is_empty() {
        return pick(&|name| wanted.iter().any(|w| w == name));
    }
    let class = place.path("sys/class/net");
    let physical = pick(&|name| has_device(&class, name));
    if physical.is_empty() {
        return pick(&|name| name != "lo");
    }
    physical
}

fn has_device(class: &Path, name: &str) -> bool {
    class.join(name).join("device").exists()
}

fn present(text: &[u8]) -> Vec<String> {
    let named = lines(text).filter_map(split);
    named
        .map(|(name, _)| String::from_utf8_lossy(name).into_owned())
        .collect()
}

/// An interface's name and counters; `None` for the two lines of headings.
fn split(line: &[u8]) -> Option<(&[u8], [u64; COLUMNS])> {
    // The first counter may follow the colon without a space.
    let colon = line.iter().rposition(|&b| b == b':')?;
    let (name, rest) = line.split_at_checked(colon)?;
    Some((name.trim_ascii(), counters(rest)?))
}

/// The counters behind a name; `None` where there are fewer.
fn counters(rest: &[u8]) -> Option<[u64; COLUMNS]> {
    let mut counters = [0; COLUMNS];
    let mut found = fields(rest.strip_prefix(b":")?);
    for counter in &mut counters {
        *counter = next_number(&mut found)?;
    }
    Some(counters)
}

struct Network {
    place: Place,
    table: KeptFile,
    interfaces: Vec<Interface>,
    metrics: Vec<Metric>,
}

impl Probe for Network {
    fn location(&self) -> String {
        let names: Vec<&str> = self.interfaces.iter().map(|i| i.name.as_str()).collect();
        format!("{}: {}", self.table.path().display(), names.join(", "))
    }

    fn metrics(&self) -> &[Metric] {
        &self.metrics
    }

    fn read(&mut self, now_ns: u64, out: &mut [Reading]) -> Result<(), ProbeError> {
        let (sums, parts) = out.split_at_mut(out.len().min(2));
        parts.fill(Reading::ABSENT);
        for line in lines(&self.table.read()?) {
            let line = line.trim_ascii_start();
            let mut places = self.interfaces.iter_mut().zip(parts.chunks_mut(PARTS.len()));
            // Of an alias, `eth0:1`, what is behind the name are no counters.
            let found = places.find_map(|(interface, out)| {
                let counters = after(line, interface.name.as_bytes()).and_then(counters)?;
                Some((interface, counters, out))
            });
            if let Some((interface, counters, out)) = found {
                interface.update(&counters, now_ns, out);
            }
        }
        for (column, sum) in sums.iter_mut().enumerate() {
            *sum = total(parts.iter().skip(column).step_by(PARTS.len()));
        }
        Ok(())
    }

    fn record(&self, number: usize) -> Option<usize> {
        Some(self.table.record(number))
    }

    fn outdated(&mut self) -> bool {
        let now = self.table.read().map(|text| present(&text));
        now.map_or(true, |present| {
            let chosen = chosen(&self.place, &present);
            !chosen.iter().eq(self.interfaces.iter().map(|i| &i.name))
        })
    }
}

/// The sum of those that have a value; without any, why the first has none.
pub(super) fn total<'a>(readings: impl Iterator<Item = &'a Reading> + Clone) -> Reading {
    let first = readings.clone().next().copied().unwrap_or(Reading::ABSENT);
    let sum = readings.filter_map(|r| r.value()).reduce(|a, b| a + b);
    sum.map_or(first, Reading::new)
}

struct Interface {
    name: String,
    meters: [RateMeter; PARTS.len()],
}

impl Interface {
    fn new(name: String) -> Self {
        Self {
            name,
            meters: Default::default(),
        }
    }

    fn update(&mut self, counters: &[u64; COLUMNS], now_ns: u64, out: &mut [Reading]) {
        for ((meter, (_, _, column)), place) in self.meters.iter_mut().zip(PARTS).zip(out) {
            let count = counters.get(column).copied().unwrap_or_default();
            *place = meter.update(count, now_ns);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tree::{Tree, check, read};

    fn table(eth0: [u64; 4], lo: u64) -> String {
        let [rx, rx_packets, tx, drops] = eth0;
        format!(
            "Inter-|   Receive  |  Transmit\n face |bytes packets errs drop fifo frame compressed multicast|bytes packets\n    lo: {lo} 1 0 0 0 0 0 0 {lo} 1 0 0 0 0 0 0\n  eth0:{rx} {rx_packets} 1 {drops} 0 0 0 0 {tx} 7 2 0 0 0 0 0\nveth0: {lo} 0 0 0 0 0 0 0 {lo} 0 0 0 0 0 0 0\n"
        )
    }

    fn tree(device: bool) -> Tree {
        let tree = Tree::new(&[("proc/net/dev", &table([1_000, 10, 500, 0], 5_000))]);
        if device {
            tree.link("sys/class/net/eth0/device", "../../../");
        }
        tree
    }

    fn names(tree: &Tree) -> Vec<String> {
        interfaces(&tree.place())
    }

    #[test]
    fn interfaces_with_a_device_are_counted_once() {
        let tree = tree(true);
        assert_eq!(names(&tree), ["eth0"]);
        let mut probe = open(&tree.place()).unwrap();
        check(&read(probe.as_mut(), 0.0).unwrap(), &[("host.network.rx", f64::NAN)]);
        tree.set("proc/net/dev", &table([3_000, 30, 1_500, 4], 99_000));
        check(
            &read(probe.as_mut(), 2.0).unwrap(),
            &[
                ("host.network.rx", 1_000.0),
                ("host.network.tx", 500.0),
                ("network.eth0.rx_bytes", 1_000.0),
                ("network.eth0.rx_packets", 10.0),
                ("network.eth0.rx_drops", 2.0),
                ("network.eth0.rx_errors", 0.0),
                ("network.eth0.tx_bytes", 500.0),
            ],
        );
        assert!(!probe.outdated());
    }

    #[test]
    fn without_devices_all_but_loopback_are_sampled_and_the_configuration_wins() {
        let mut tree = tree(false);
        assert_eq!(names(&tree), ["eth0", "veth0"]);
        tree.config.network.interfaces = vec!["lo".to_owned(), "eth7".to_owned()];
        assert_eq!(names(&tree), ["lo"]);
        tree.config.network.interfaces = vec!["eth7".to_owned()];
        assert!(open(&tree.place()).is_err());
    }

    #[test]
    fn an_interface_that_goes_is_absent() {
        let tree = tree(false);
        let mut probe = open(&tree.place()).unwrap();
        read(probe.as_mut(), 0.0).unwrap();
        tree.set("proc/net/dev", "veth0: 6000 0 0 0 0 0 0 0 5000 0 0 0 0 0 0 0\n");
        let found = read(probe.as_mut(), 1.0).unwrap();
        assert_eq!(found["network.eth0.rx_bytes"], Reading::ABSENT);
        check(&found, &[("host.network.rx", 1_000.0)]);
        assert!(probe.outdated());
    }
}
