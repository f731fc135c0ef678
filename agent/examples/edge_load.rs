//! A workload for a guest that answers requests, and a clerk that writes down how two workloads fare. Statically linked, it
//! runs beside the agent where nothing else is.
//!
//! `edge_load serve SHAPE SECONDS SEED` is asked for [`COST`] seconds of processor time at a time, as often as SHAPE
//! says, whether it keeps up or not, and prints what became of the requests. `edge_load watch FILE` appends a line each
//! 200 ms until it is killed.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::pedantic,
    clippy::print_stdout,
    reason = "a tool of tests that meets what it does not expect is to fail there and then"
)]

use std::{
    env, fs,
    io::Write,
    thread,
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};

/// Processor time of one request, in seconds.
const COST: f64 = 0.005;
/// What is asked for at rest, and at most, in cores.
const REST: f64 = 0.08;
const TOP: f64 = 0.7;
/// A request that waits longer is late, in seconds.
const LATE: f64 = 0.1;
/// Between two lines of the clerk.
const LOOK: Duration = Duration::from_millis(200);

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["serve", shape, seconds, seed] => serve(shape, seconds.parse().unwrap(), seed.parse().unwrap()),
        ["watch", file] => watch(file),
        _ => panic!("serve SHAPE SECONDS SEED | watch FILE"),
    }
}

/// How much is asked for at `t` seconds, in cores, by a shape that rises between 20 and 80 s, stands until 100 s and has
/// fallen at 115 s.
fn demand(shape: &str, t: f64) -> f64 {
    let share = ((t - 20.0) / 60.0).clamp(0.0, 1.0);
    let up = match shape {
        "linear" => share,
        // Fast at first, then slower and slower.
        "decelerating" => share * (2.0 - share),
        // Half of the way, a rest, and the other half.
        "landing" => (1.25 * share.min(0.4)) + (1.25 * (share - 0.6).max(0.0)),
        // Three times fast and slow.
        "waves" => share - (18.85 * share).sin() / 18.85,
        other => panic!("there is no shape {other}"),
    };
    let down = ((115.0 - t) / 15.0).clamp(0.0, 1.0);
    REST + (TOP - REST) * up.min(down)
}

/// Pseudo-random numbers from 0 to 1 (splitmix64).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.next()
    }
}

/// A past to learn from: straight ramps of many lengths and heights, with rests between.
struct Past {
    chance: Chance,
    /// Begin, rise, stand and fall in seconds, and height in cores.
    ramp: [f64; 5],
}

impl Past {
    fn new(seed: u64) -> Self {
        let mut past = Self {
            chance: Chance(seed),
            ramp: [0.0; 5],
        };
        past.next(0.0);
        past
    }

    fn next(&mut self, now: f64) {
        let chance = &mut self.chance;
        self.ramp = [
            now + chance.between(8.0, 30.0),
            chance.between(15.0, 70.0),
            chance.between(3.0, 25.0),
            chance.between(8.0, 25.0),
            chance.between(0.25, TOP),
        ];
    }

    fn demand(&mut self, t: f64) -> f64 {
        let [begin, rise, stand, fall, height] = self.ramp;
        let end = begin + rise + stand + fall;
        if t > end {
            self.next(t);
        }
        let up = ((t - begin) / rise).clamp(0.0, 1.0);
        let down = ((end - t) / fall).clamp(0.0, 1.0);
        REST + (height - REST) * up.min(down)
    }
}

fn cpu_s() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 + 1e-9 * now.tv_nsec as f64
}

fn serve(shape: &str, seconds: f64, seed: u64) {
    let (mut past, mut chance) = (Past::new(seed), Chance(seed));
    let mut asked = |t: f64| {
        if shape == "past" {
            past.demand(t)
        } else {
            demand(shape, t)
        }
    };
    let start = Instant::now();
    let (mut due, mut count, mut late, mut waits) = (0.0, 0_u32, 0_u32, Vec::new());
    // A guest that is kept from running takes that for time of whoever runs: what a request has taken too much, the next has
    // not to take.
    let mut owed = cpu_s();
    loop {
        due += COST / asked(due) * chance.between(0.5, 1.5);
        if due >= seconds {
            break;
        }
        count += 1;
        let now = start.elapsed().as_secs_f64();
        if now >= seconds {
            continue;
        }
        if now < due {
            thread::sleep(Duration::from_secs_f64(due - now));
        }
        owed += COST;
        while cpu_s() < owed {}
        let waited = start.elapsed().as_secs_f64() - due;
        late += u32::from(waited > LATE);
        waits.push(waited);
    }
    waits.sort_by(f64::total_cmp);
    let at = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize] * 1e3;
    let (done, rest) = (waits.len(), start.elapsed().as_secs_f64());
    thread::sleep(Duration::from_secs_f64((seconds - rest).max(0.0)));
    let told = if shape == "past" { 0 } else { seconds as u32 };
    for second in 0..told {
        println!("at {second} {:.3}", demand(shape, f64::from(second)));
    }
    println!(
        "asked {count}\ndone {done}\nlate {late}\np50_ms {:.1}\np99_ms {:.1}",
        at(0.5),
        at(0.99)
    );
}

/// `key 5`: 5.
fn number(text: &str, key: &str) -> u64 {
    let found = text
        .lines()
        .find_map(|line| line.strip_prefix(key)?.trim().parse().ok());
    found.unwrap_or(0)
}

/// One line: milliseconds since the start of the machine; of `web` its processor time, throttled and waited time in
/// microseconds, and its limit in microseconds of 100 ms (0: none); the processor time and the limit of `batch`.
fn watch(file: &str) {
    let mut log = fs::OpenOptions::new().create(true).append(true).open(file).unwrap();
    let read = |name: &str| fs::read_to_string(format!("/sys/fs/cgroup/{name}")).unwrap_or_default();
    let limit = |name: &str| {
        let text = read(name);
        let quota = text.split(' ').next().and_then(|quota| quota.parse::<u64>().ok());
        quota.unwrap_or(0)
    };
    loop {
        let up = fs::read_to_string("/proc/uptime").unwrap();
        let up_s: f64 = up.split(' ').next().unwrap().parse().unwrap();
        let (web, batch) = (read("web/cpu.stat"), read("batch/cpu.stat"));
        let pressure = read("web/cpu.pressure");
        let waited = pressure.lines().next().and_then(|some| some.rsplit_once("total="));
        let waited = waited.map_or("0", |(_, total)| total);
        writeln!(
            log,
            "{:.0} {} {} {waited} {} {} {}",
            1e3 * up_s,
            number(&web, "usage_usec "),
            number(&web, "throttled_usec "),
            limit("web/cpu.max"),
            number(&batch, "usage_usec "),
            limit("batch/cpu.max"),
        )
        .unwrap();
        thread::sleep(LOOK);
    }
}
