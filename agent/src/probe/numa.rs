//! How memory lies: use of each NUMA node and how broken up its free pages are. From
//! `/sys/devices/system/node/node*/meminfo`, `numastat` (kernel documentation, `admin-guide/numastat`) and
//! `/proc/buddyinfo` (`proc(5)`).
//!
//! Fragmentation is the share of a node's free memory that lies in blocks too small for a huge page of 2 MiB: 0 when all
//! of it could become huge pages, near 1 when none could. Where a page is not 4 KiB it is the share in blocks below
//! order 9 all the same.

use std::path::Path;

use shadow::{Bound, Metric, Reading, rate::RateMeter};

use super::{
    EVENTS_FLOOR, HALF_POINT, Place, Probe, Tier,
    file::KeptFile,
    parse::{fields, lines, next_number, number},
    power::entries,
};
use crate::error::ProbeError;

/// The order of a block of 2 MiB, of pages of 4 KiB.
const HUGE_ORDER: usize = 9;

/// The most nodes that are read.
const MAX_NODES: usize = 64;

/// Opens the nodes, and `/proc/buddyinfo` where it can be read.
///
/// # Errors
/// [`ProbeError::Absent`] when neither is there.
pub fn open(place: &Place) -> Result<Box<dyn Probe>, ProbeError> {
    let nodes: Vec<Node> = entries(&place.path("sys/devices/system/node"))
        .iter()
        .filter_map(|dir| Node::open(dir))
        .take(MAX_NODES)
        .collect();
    let buddies = Buddies::open(place).ok();
    if nodes.is_empty() && buddies.is_none() {
        return Err(ProbeError::Absent(
            "no NUMA nodes in sysfs and no /proc/buddyinfo".to_owned(),
        ));
    }
    let mut metrics: Vec<Metric> = nodes.iter().flat_map(Node::metrics).collect();
    metrics.extend(buddies.iter().flat_map(Buddies::metrics));
    Ok(Box::new(Numa {
        nodes,
        buddies,
        metrics,
    }))
}

struct Numa {
    nodes: Vec<Node>,
    buddies: Option<Buddies>,
    metrics: Vec<Metric>,
}

impl Probe for Numa {
    fn tier(&self) -> Tier {
        Tier::Middle
    }

    fn location(&self) -> String {
        let blocks = self.buddies.as_ref().map_or("", |_| ", free blocks of buddyinfo");
        format!("NUMA nodes: {}{blocks}", self.nodes.len())
    }

    fn metrics(&self) -> &[Metric] {
        &self.metrics
    }

    fn read(&mut self, now_ns: u64, out: &mut [Reading]) -> Result<(), ProbeError> {
        let (of_nodes, of_blocks) = out.split_at_mut(out.len().min(self.nodes.len() * Node::PARTS));
        for (node, places) in self.nodes.iter_mut().zip(of_nodes.chunks_mut(Node::PARTS)) {
            // A node may go offline; the others are read all the same.
            let readings = node.read(now_ns).unwrap_or([Reading::FAILED; Node::PARTS]);
            super::put(places, readings);
        }
        match &mut self.buddies {
            Some(buddies) => buddies.read(of_blocks),
            None => Ok(()),
        }
    }
}

/// One node.
struct Node {
    id: u64,
    meminfo: KeptFile,
    numastat: Option<KeptFile>,
    misses: RateMeter,
}

impl Node {
    const PARTS: usize = 2;

    fn open(dir: &Path) -> Option<Self> {
        let id = number(dir.file_name()?.to_str()?.strip_prefix("node")?.as_bytes())?;
        let meminfo = KeptFile::open(dir.join("meminfo")).ok()?;
        used_share(&meminfo.read().ok()?)?;
        Some(Self {
            id,
            meminfo,
            numastat: KeptFile::open(dir.join("numastat")).ok(),
            misses: RateMeter::default(),
        })
    }

    fn metrics(&self) -> [Metric; Self::PARTS] {
        let share = Bound::Absolute { step: 0.001 };
        [
            Metric::new(format!("memory.node{}.used", self.id), "1", share),
            Metric::rate(format!("memory.node{}.misses", self.id), "1/s", EVENTS_FLOOR),
        ]
    }

    /// Share of its memory that is not free, and pages a second that were meant for another node.
    fn read(&mut self, now_ns: u64) -> Result<[Reading; Self::PARTS], ProbeError> {
        let used = used_share(&self.meminfo.read()?);
        let misses = match &mut self.numastat {
            Some(file) => value_of(&file.read()?, b"numa_miss"),
            None => None,
        };
        Ok([
            used.map_or(Reading::FAILED, Reading::new),
            misses.map_or(Reading::ABSENT, |misses| self.misses.update(misses, now_ns)),
        ])
    }
}

/// Of lines such as `Node 0 MemTotal:  131072 kB`.
fn used_share(text: &[u8]) -> Option<f64> {
    let of = |name: &[u8]| {
        lines(text).find_map(|line| {
            let mut fields = fields(line);
            (fields.nth(2)? == name).then(|| next_number(&mut fields))?
        })
    };
    let (total, free) = (of(b"MemTotal:")?, of(b"MemFree:")?);
    (total > 0).then(|| total.saturating_sub(free) as f64 / total as f64)
}

fn value_of(text: &[u8], name: &[u8]) -> Option<u64> {
    lines(text).find_map(|line| {
        let mut fields = fields(line);
        (fields.next()? == name).then(|| next_number(&mut fields))?
    })
}

/// Free blocks by node.
struct Buddies {
    file: KeptFile,
    /// Nodes in the order of the file.
    nodes: Vec<u64>,
}

impl Buddies {
    fn open(place: &Place) -> Result<Self, ProbeError> {
        let file = KeptFile::open(place.path("proc/buddyinfo"))?;
        let mut nodes: Vec<u64> = lines(&file.read()?).filter_map(zone).map(|(node, _)| node).collect();
        nodes.dedup();
        nodes.truncate(MAX_NODES);
        if nodes.is_empty() {
            return Err(file.format("names no zone"));
        }
        Ok(Self { file, nodes })
    }

    fn metrics(&self) -> impl Iterator<Item = Metric> {
        let metric = |node: &u64| Metric::new(format!("memory.node{node}.fragmentation"), "1", HALF_POINT);
        self.nodes.iter().map(metric)
    }

    fn read(&mut self, out: &mut [Reading]) -> Result<(), ProbeError> {
        let text = self.file.read()?;
        for (&node, place) in self.nodes.iter().zip(out) {
            let zones = lines(&text).filter_map(zone).filter(|(of, _)| *of == node);
            let (small, all) = zones.fold((0, 0), |(small, all), (_, [few, many])| (small + few, all + few + many));
            *place = if all > 0 {
                Reading::new(small as f64 / all as f64)
            } else {
                Reading::ABSENT
            };
        }
        Ok(())
    }
}

/// The node of a line such as `Node 0, zone   Normal   4381   1093 ...`, and its free pages in blocks below the order of
/// a huge page, and from there on.
fn zone(line: &[u8]) -> Option<(u64, [u64; 2])> {
    let mut fields = fields(line);
    if fields.next()? != b"Node" {
        return None;
    }
    let node = number(fields.next()?.strip_suffix(b",")?)?;
    let mut pages = [0_u64; 2];
    for (order, blocks) in fields.skip(2).enumerate().take(32) {
        let free = number(blocks)?.checked_shl(u32::try_from(order).ok()?)?;
        let [small, large] = &mut pages;
        let side = if order < HUGE_ORDER { small } else { large };
        *side = side.saturating_add(free);
    }
    Some((node, pages))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tree::{Tree, check, read};

    const BUDDIES: &str = "Node 0, zone      DMA      0      0      0      0      0      0      0      0      0      1\n\
                           Node 0, zone   Normal    256    128      0      0      0      0      0      0      0      0\n\
                           Node 1, zone   Normal      0      0      0      0      0      0      0      0      0      2\n";

    fn node(total: u32, free: u32) -> String {
        format!("Node 0 MemTotal:       {total} kB\nNode 0 MemFree:        {free} kB\nNode 0 MemUsed: 1 kB\n")
    }

    #[test]
    fn nodes_and_their_free_blocks_are_told() {
        let dir = "sys/devices/system/node";
        let tree = Tree::new(&[
            ("proc/buddyinfo", BUDDIES),
            (&format!("{dir}/node0/meminfo"), &node(1_000, 400)),
            (&format!("{dir}/node0/numastat"), "numa_hit 5\nnuma_miss 10\n"),
            (
                &format!("{dir}/node1/meminfo"),
                "Node 1 MemTotal: 0 kB\nNode 1 MemFree: 0 kB\n",
            ),
            (&format!("{dir}/possible"), "0-1\n"),
        ]);
        let mut probe = open(&tree.place()).unwrap();
        read(probe.as_mut(), 0.0).unwrap();
        tree.set(&format!("{dir}/node0/numastat"), "numa_hit 5\nnuma_miss 40\n");
        let found = read(probe.as_mut(), 2.0).unwrap();
        check(
            &found,
            &[
                ("memory.node0.used", 0.6),
                ("memory.node0.misses", 15.0),
                ("memory.node0.fragmentation", 0.5),
                ("memory.node1.fragmentation", 0.0),
            ],
        );
        assert_eq!(found.len(), 4, "a node without memory is left out");
        tree.set(&format!("{dir}/node0/meminfo"), "gone\n");
        tree.set("proc/buddyinfo", "Node 0, zone DMA x\n");
        let found = read(probe.as_mut(), 3.0).unwrap();
        assert_eq!(found["memory.node0.used"], Reading::FAILED);
        assert_eq!(found["memory.node1.fragmentation"], Reading::ABSENT);
    }

    #[test]
    fn a_host_that_tells_neither_says_so() {
        let fault = open(&Tree::new(&[("proc/stat", "")]).place()).err().unwrap();
        assert_eq!(fault.state(), shadow::SourceState::Absent);
    }
}
