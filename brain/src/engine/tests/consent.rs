//! Decisions and the store: nothing comes of one that is not durable.

use super::*;
use crate::allocate::proposals::{Fate, Proposal, Refusal};

type Told = oneshot::Receiver<Result<Proposal, Refusal>>;

const ASKS: &str = "
[act]
\"*\" = [\"cpu\"]
[safety]
settle = \"0s\"
min_history = \"0s\"
min_coverage = 0
[class.default]
mode = \"recommend\"
";

/// A brain whose changes of cpu are by approval, at `now_ms`.
fn asking(now_ms: i64) -> Bench {
    asking_after(now_ms, None)
}

/// One that goes on with what a store has.
fn asking_after(now_ms: i64, recovered: Option<crate::store::Recovered>) -> Bench {
    let config = Config::default();
    let timing = config.allocate.timing();
    let mut bench = Bench::with(config, now_ms);
    bench.engine.dispatch = Dispatch::new(Policy::parse(ASKS).unwrap(), timing, 7, now_ms);
    if let Some(recovered) = recovered {
        bench.engine.restore(recovered, 0);
    }
    bench
}

/// One with an open proposal, and all that led to it durable.
fn proposing() -> (Bench, Proposal) {
    let mut bench = asking(START_MS);
    bench.born(EPOCH);
    // Until a forecast has met its truth nothing is limited.
    bench.live(420, |_| 0.5);
    bench.published.clear();
    let open = bench.proposals().remove(0);
    assert_eq!(open.fate, Fate::Open);
    (bench, open)
}

impl Bench {
    fn decide(&mut self, id: &str, approves: bool, by: &str) -> Told {
        let (done, told) = oneshot::channel();
        self.handle(Event::Verdict(Verdict {
            id: id.into(),
            approves,
            by: by.into(),
            reason: String::new(),
            done,
        }));
        told
    }

    fn proposals(&mut self) -> Vec<Proposal> {
        self.engine.dispatch.shown_proposals().to_vec()
    }

    fn known(&mut self, id: &str) -> Proposal {
        let mut all = self.proposals().into_iter();
        all.find(|known| known.id == id).unwrap()
    }

    fn written(&mut self, batch: Batch) {
        self.handle(Event::Flushed(Flushed::Written(batch.into())));
    }

    fn plans(&self) -> i64 {
        self.engine.snapshot().plan.as_ref().unwrap().time_ms
    }
}

#[test]
fn it_is_sent_and_answered_when_it_is_durable_and_meanwhile_no_other_command_is() {
    let (mut bench, open) = proposing();
    bench.commit();
    assert!(!bench.engine.is_hurried());
    let (mut ann, mut bob) = (bench.decide(&open.id, true, "ann"), bench.decide(&open.id, true, "bob"));
    assert!(bench.engine.is_hurried(), "nobody waits for the next turn");
    let mut eve = bench.decide(&open.id, false, "eve");
    let otherwise = Refusal::Decided("approved by ann".to_owned());
    assert_eq!(eve.try_recv(), Ok(Err(otherwise)));
    // The batch before may be under way still: plans and renewals wait for it too.
    let planned = bench.plans();
    bench.live(61, |_| 0.9);
    assert_eq!((bench.commands(), bench.plans()), (Vec::new(), planned));
    assert!(ann.try_recv().is_err() && bob.try_recv().is_err(), "told too early");

    let batch = bench.engine.seal();
    assert!(!bench.engine.is_hurried());
    bench.live(1, |_| 0.9);
    assert_eq!(bench.commands(), []);
    let (stored, proposals) = (batch.commands.clone(), batch.meta[meta::PROPOSALS].clone());
    bench.written(batch);
    let approved = ann.try_recv().unwrap().unwrap();
    assert_eq!((approved.by.as_str(), approved.fate), ("ann", Fate::Approved));
    assert_eq!(bob.try_recv().unwrap().as_ref(), Ok(&approved));
    assert_eq!(bench.commands(), stored);
    let [command] = stored.as_slice() else {
        panic!("{stored:?}")
    };
    assert_eq!(approved.command_id.as_ref(), Some(&command.id));
    assert_eq!(command.changes, std::slice::from_ref(&open.change));
    assert!(proposals.contains(r#""fate":"approved""#), "{proposals}");
    // Once.
    let again = bench.decide(&open.id, true, "bob").try_recv();
    assert_eq!(again.unwrap().unwrap(), approved);
    bench.commit();
    assert_eq!(bench.commands().len(), 1);
    let ended = |fate| bench.engine.figures.proposals_ended.with(fate).get();
    assert_eq!((ended("approved"), ended("open")), (1, 0));
    bench.live(1, |_| 0.9);
    assert!(bench.plans() > planned, "plans are made again");
}

#[test]
fn a_store_that_takes_nothing_leaves_it_open_and_then_it_can_be_approved() {
    let (mut bench, open) = proposing();
    let held = bench.engine.dispatch.reserved("a", "web", Resource::Cpu);
    // Under way since before, and the store does not answer.
    let before = bench.engine.seal();
    let ann = bench.decide(&open.id, true, "ann");
    bench.live(3, |_| 0.5);
    drop(ann);
    bench.live(1, |_| 0.5);
    assert_eq!(bench.known(&open.id), open, "as it was");
    assert_eq!(bench.engine.dispatch.reserved("a", "web", Resource::Cpu), held);
    let refused = bench.decide(&open.id, true, "ann").try_recv().unwrap();
    let Err(Refusal::Unfit(why)) = refused else {
        panic!("{refused:?}")
    };
    assert!(why.starts_with("the store takes nothing"), "{why}");

    // With the store back, nothing comes of what was taken back, and the command is known as never sent.
    bench.written(before);
    let batch = bench.commit();
    assert_eq!(bench.commands(), []);
    let ended: Vec<_> = batch.outcomes.iter().map(|told| (told.state, &*told.reason)).collect();
    let never = "never sent: the store has not noted it in time";
    assert_eq!(ended, [(OutcomeState::Failed, never)]);
    assert_eq!(batch.outcomes[0].command_id, batch.commands[0].id);
    let mut ann = bench.decide(&open.id, true, "ann");
    let second = bench.commit().commands;
    let approved = ann.try_recv().unwrap().unwrap();
    assert_eq!(bench.commands(), second);
    assert!(second[0].sequence > batch.commands[0].sequence);
    assert_eq!(approved.command_id.as_ref(), Some(&second[0].id));
    assert_eq!(bench.engine.figures.proposals_ended.with("approved").get(), 1);
}

#[test]
fn a_batch_that_is_durable_too_late_brings_nothing_about() {
    let (mut bench, open) = proposing();
    bench.commit();
    for approves in [true, false] {
        // It is in the batch, and whoever decided has gone before the store answers; or just at that moment.
        for ticks in [true, false] {
            let asker = bench.decide(&open.id, approves, "ann");
            let batch = bench.engine.seal();
            drop(asker);
            if ticks {
                bench.live(1, |_| 0.5);
            }
            bench.written(batch);
            assert_eq!(bench.known(&open.id), open, "approves: {approves}, ticks: {ticks}");
            assert_eq!(bench.commands(), []);
            assert!(bench.engine.is_hurried(), "that is noted at once");
            let noted = bench.commit();
            assert!(noted.meta[meta::PROPOSALS].contains(&open.id));
            assert_eq!(noted.outcomes.len(), usize::from(approves));
        }
    }
    // Who was told that nothing comes of it before their word was looked at has decided nothing.
    let (done, told) = oneshot::channel();
    drop(told);
    bench.handle(Event::Verdict(Verdict {
        id: open.id.clone(),
        approves: true,
        by: "ann".into(),
        reason: String::new(),
        done,
    }));
    assert!(!bench.engine.is_hurried());
    assert_eq!(bench.known(&open.id), open);
}

#[test]
fn what_comes_between_an_approval_and_its_command_holds_it_back() {
    let freeze = |bench: &mut Bench, is_on| {
        let (done, _told) = oneshot::channel();
        let (by, reason) = ("bob".to_owned(), String::new());
        bench.handle(Event::Freeze(FreezeSwitch {
            is_on,
            by,
            reason,
            done,
        }));
    };
    let (mut bench, open) = proposing();
    let mut ann = bench.decide(&open.id, true, "ann");
    freeze(&mut bench, true);
    bench.commit();
    let refused = Refusal::Unfit("the cell is frozen by bob".to_owned());
    assert_eq!(ann.try_recv(), Ok(Err(refused)));
    freeze(&mut bench, false);
    let mut ann = bench.decide(&open.id, true, "ann");
    let gone = "gone".to_owned();
    bench.handle(Event::Bus(bus::Event::Disconnected { reason: gone }));
    bench.commit();
    let refused = Refusal::Unfit("the broker is away, so no agent would hear of it".to_owned());
    assert_eq!(ann.try_recv(), Ok(Err(refused)));
    assert_eq!((bench.commands(), bench.known(&open.id)), (Vec::new(), open));
}

#[tokio::test]
async fn of_a_brain_that_is_killed_in_between_either_all_is_known_or_nothing_was_sent() {
    for written in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Sqlite::open(folder.path()).await.unwrap();
        let (mut bench, open) = proposing();
        store.write(&bench.commit()).await.unwrap();
        let _ann = bench.decide(&open.id, true, "ann");
        let batch = bench.engine.seal();
        if written {
            store.write(&batch).await.unwrap();
        }
        assert_eq!(bench.commands(), []);

        let recovered = store.recover(EVERYTHING).await.unwrap();
        let mut again = asking_after(bench.now_ms + 1_000, Some(recovered));
        let known = again.known(&open.id);
        let ids = |bench: &Bench| {
            let commands = bench.engine.snapshot().commands.iter();
            commands.map(|known| known.command.id.clone()).collect::<Vec<_>>()
        };
        if written {
            assert_eq!((known.fate, known.by.as_str()), (Fate::Approved, "ann"));
            assert_eq!(ids(&again), [known.command_id.clone().unwrap()]);
            let mut bob = again.decide(&open.id, true, "bob");
            assert_eq!(bob.try_recv(), Ok(Ok(known)), "it is not approved twice");
            assert_eq!(again.commands(), []);
            // What was promised is told like all that has had no answer.
            again.sequence = bench.sequence;
            again.live(60, |_| 0.5);
            let told = again.commands();
            let targets: Vec<f64> = told
                .iter()
                .flat_map(|command| &command.changes)
                .map(|c| c.target)
                .collect();
            assert_eq!(targets, [open.change.target]);
        } else {
            assert_eq!((known, ids(&again)), (open.clone(), Vec::new()));
            let mut bob = again.decide(&open.id, true, "bob");
            again.commit();
            assert_eq!(bob.try_recv().unwrap().unwrap().fate, Fate::Approved);
            assert_eq!(again.commands().len(), 1);
        }
    }
}
