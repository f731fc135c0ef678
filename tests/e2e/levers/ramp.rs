//! What forecasts are for: a critical workload and one that may wait share one processor of a guest, and the critical one
//! is asked for more and more. With the real brain, broker and agent, beside a brain that only reacts, and beside none.
//!
//! Half an hour long, so it runs only where `FORESHADOW_EDGE_LOAD` names the agent's example `edge_load`, statically linked.

use std::{
    env, fs, thread,
    time::{Duration, Instant},
};

use self::figures::{Figures, Told, table};
use super::{
    cell::{Brain, FORECASTS, REACTS},
    edge::Edge,
};
use crate::{guest::Parts, harness::post, stack::Stack};

mod figures;

/// Seconds of one shape, of which 60 rise.
const LENGTH_S: u64 = 120;
/// Shapes that the past does not hold: straight ramps are all that the network has seen, and all that this was made with.
const SHAPES: [&str; 3] = ["decelerating", "landing", "waves"];
/// Rows of the past that the network learns from, and what reading and training may take.
const PAST: Duration = Duration::from_secs(1_500);

/// The clerk writes down how both workloads fare.
const CLERK: &str = "cp /share/load /tmp/load; chmod +x /tmp/load; /tmp/load watch /share/watch &\n";

impl Edge {
    /// `web` is asked for what `shape` says; what came of it, with what was forecast each second.
    fn shape(&mut self, shape: &str, is_planned: bool) -> Figures {
        let run = self.share.join("run");
        fs::remove_file(&run).ok();
        self.say(&format!(
            "sh -c 'echo 0 > /sys/fs/cgroup/web/cgroup.procs; cut -d\" \" -f1 /proc/uptime > /share/run.new; \
             /tmp/load serve {shape} {LENGTH_S} 5 >> /share/run.new; mv /share/run.new /share/run' &\n"
        ));
        let mut told = Vec::new();
        let start = Instant::now();
        while !run.exists() {
            assert!(
                start.elapsed() < Duration::from_secs(3 * LENGTH_S),
                "{shape} does not end"
            );
            assert!(self.guest.runs(), "the guest has ended: {}", self.guest.printed());
            if is_planned {
                told.extend(Told::of(&self.host()));
            }
            thread::sleep(Duration::from_secs(1));
        }
        let watched = fs::read_to_string(self.share.join("watch")).unwrap();
        Figures::new(&fs::read_to_string(&run).unwrap(), &watched, told)
    }

    fn shapes(&mut self, arm: &'static str, is_planned: bool) -> Vec<(&'static str, &'static str, Figures)> {
        let run = |shape| {
            let figures = self.shape(shape, is_planned);
            eprintln!("{arm}, {shape}: {}", figures.said());
            (shape, arm, figures)
        };
        shapes().into_iter().map(run).collect()
    }
}

/// Those that are not seen before, or `linear` to try this out.
fn shapes() -> Vec<&'static str> {
    match env::var_os("FORESHADOW_EDGE_REHEARSE") {
        Some(_) => vec!["linear"],
        None => SHAPES.to_vec(),
    }
}

#[test]
fn a_forecast_makes_room_before_a_ramp() {
    let Some(parts) = Parts::find() else { return };
    let Ok(load) = env::var("FORESHADOW_EDGE_LOAD") else {
        return eprintln!("SKIPPED: it takes half an hour; FORESHADOW_EDGE_LOAD names no edge_load");
    };
    let parts = parts.with(&["--cpus", "1", "--timeout", "4000"]);
    let stack = Stack::new();
    let _broker = stack.broker();
    let looks_ahead = Brain {
        strategies: FORECASTS,
        train: true,
        frozen: true,
        min_coverage: 0.85,
        data: "ahead",
    };
    let brain = looks_ahead.start(&stack);
    fs::create_dir_all(stack.path().join("share")).unwrap();
    fs::copy(load, stack.path().join("share/load")).unwrap();
    let mut edge = Edge::boot(&parts, &stack, CLERK);
    learn(&mut edge);
    edge.spin("batch");
    post(stack.page, "/api/v1/thaw", r#"{"by": "the test"}"#);
    thread::sleep(Duration::from_secs(15));
    let mut all = edge.shapes("forecast", true);
    brain.stop();
    let reacts = Brain {
        strategies: REACTS,
        train: false,
        frozen: false,
        min_coverage: 0.85,
        data: "reacts",
    };
    let brain = reacts.start(&stack);
    thread::sleep(Duration::from_secs(60));
    all.extend(edge.shapes("reactive", false));
    brain.stop();
    // Leases end.
    thread::sleep(Duration::from_secs(30));
    all.extend(edge.shapes("nothing", false));
    println!("{}", table(&all));
    for shape in shapes() {
        check(&all, shape);
    }
}

/// `web` alone is asked for straight ramps until a network serves.
fn learn(edge: &mut Edge) {
    edge.say(
        "sh -c 'echo $$ > /tmp/past; echo 0 > /sys/fs/cgroup/web/cgroup.procs; exec /tmp/load serve past 3000 1' > /dev/null &\n",
    );
    let mut told = String::new();
    edge.wait("a network serves", PAST, |edge| {
        let model = edge.model();
        if model["note"].as_str().is_some_and(|note| note != told) {
            told = model["note"].as_str().unwrap().to_owned();
            eprintln!("{} rows: {told}", model["rows"]);
        }
        model["state"] == "serving"
    });
    // What it says is scored by what comes.
    thread::sleep(Duration::from_secs(40));
    edge.say("kill $(cat /tmp/past)\n");
}

fn check(all: &[(&str, &str, Figures)], shape: &str) {
    let of = |arm: &str| &all.iter().find(|(of, by, _)| (*of, *by) == (shape, arm)).unwrap().2;
    let (forecast, reactive, nothing) = (of("forecast"), of("reactive"), of("nothing"));
    assert!(forecast.leads(), "{shape}: {}", forecast.said());
    assert!(
        forecast.throttled_s < reactive.throttled_s,
        "{shape}: {} against {}",
        forecast.said(),
        reactive.said()
    );
    assert!(
        forecast.waited_s < nothing.waited_s && forecast.done() > nothing.done(),
        "{shape}: {} against {}",
        forecast.said(),
        nothing.said()
    );
}
