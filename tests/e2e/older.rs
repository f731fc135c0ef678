//! Parts one version apart work together: what 0.1.0 has sent, recorded as it went over a broker, goes through today's
//! decoders, brain and agent; with fields of a newer version too.
//!
//! `REGENERATE=1` records a capture for a version that has none. One that is there is never changed once its version is
//! released. 0.1.0 is not yet: when codec 2 changed, the samples of its frames were written anew in its capture, and what this
//! proves is that nothing has changed since. Neither events nor holes are in it, for nothing happened while it was recorded; they are in
//! the sealed one (`older/sealed.rs`).

mod sealed;

use std::{env, fs, path::PathBuf};

use shadow::{
    capture::{Captured, Reader},
    wire,
};

use crate::{
    database::number,
    harness::{PATIENCE, Process, until, write},
    observer::Observer,
    stack::Stack,
};

fn recording() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/wire/0.1.0.capture")
}

fn messages(kind: &str) -> Vec<Captured> {
    let file = fs::File::open(recording()).unwrap();
    let all = Reader::new(std::io::BufReader::new(file)).unwrap().map(Result::unwrap);
    all.filter(|message| message.topic.ends_with(&format!("/{kind}")))
        .collect()
}

/// A field of a newer version: a string, behind what is there.
fn with_field(message: &[u8], number: u32) -> Vec<u8> {
    let mut wide = message.to_vec();
    let mut key = number << 3 | 2;
    while key > 0x7f {
        wide.push(key as u8 | 0x80);
        key >>= 7;
    }
    wide.extend([key as u8, 3, b'n', b'e', b'w']);
    wide
}

/// The same message with another value in a field that is a time in milliseconds: six bytes, from 2004 to 2109.
fn at(message: &[u8], field: u8, time_ms: i64) -> Vec<u8> {
    let mut moved = message.to_vec();
    let key = moved.windows(7).position(|bytes| {
        bytes[0] == field << 3 && bytes[1..6].iter().all(|byte| byte & 0x80 != 0) && bytes[6] & 0x80 == 0
    });
    let place = key.unwrap() + 1;
    for (n, byte) in moved[place..place + 6].iter_mut().enumerate() {
        *byte = (time_ms >> (7 * n)) as u8 & 0x7f | if n < 5 { 0x80 } else { 0 };
    }
    moved
}

#[test]
fn a_recording_is_there() {
    if env::var_os("REGENERATE").is_none() || recording().exists() {
        assert!(recording().exists());
        return;
    }
    let stack = Stack::new();
    let _broker = stack.broker();
    fs::create_dir_all(recording().parent().unwrap()).unwrap();
    let (broker, file) = (format!("127.0.0.1:{}", stack.port), stack.path().join("capture"));
    let recorder = Process::foreshadow(&["inspect", "--broker", &broker, "--record", file.to_str().unwrap()]);
    let _brain = stack.brain();
    let _agent = stack.agent();
    until("an outcome is durable", PATIENCE, || {
        stack.data().join("brain.db").exists() && number(&stack.data(), "SELECT count(*) FROM outcomes") > 0
    });
    recorder.stop();
    // The readable topics are no part of the agreement; a few frames are as good as many.
    let all = Reader::new(fs::File::open(&file).unwrap()).unwrap().map(Result::unwrap);
    let mut bytes = Vec::new();
    shadow::capture::begin(&mut bytes).unwrap();
    let mut kept = std::collections::BTreeMap::new();
    for message in all.filter(|message| message.topic.contains("/bin/")) {
        let count = kept.entry(message.topic.clone()).or_insert(0);
        *count += 1;
        if *count <= 6 {
            message.write(&mut bytes).unwrap();
        }
    }
    fs::write(recording(), bytes).unwrap();
}

#[test]
fn today_reads_what_the_version_before_has_sent() {
    let check = |kind: &str, read: &dyn Fn(&[u8]) -> bool| {
        let found = messages(kind);
        assert!(!found.is_empty(), "{kind}");
        for message in found {
            assert!(read(&message.payload), "{kind} of 0.1.0");
            assert!(read(&with_field(&message.payload, 1_000)), "{kind} of a newer version");
        }
    };
    check("birth", &|bytes| wire::decode_birth(bytes).is_ok());
    check("delta", &|bytes| wire::decode_frame(bytes).is_ok());
    check("watermark", &|bytes| wire::decode_watermark(bytes).is_ok());
    check("command", &|bytes| wire::decode_command(bytes).is_ok());
    check("outcome", &|bytes| wire::decode_outcome(bytes).is_ok());
    for number in 64..=99 {
        for command in messages("command") {
            let fault = wire::decode_command(&with_field(&command.payload, number))
                .unwrap_err()
                .to_string();
            assert!(fault.contains(&number.to_string()), "{fault}");
        }
    }
}

#[test]
fn an_agent_of_the_version_before_is_served_by_this_brain() {
    let stack = Stack::new();
    let _broker = stack.broker();
    let text = format!(
        "data_dir = {:?}\n[broker]\nport = {}\n[page]\nlisten = \"127.0.0.1:{}\"\n[store]\nflush_every = \"200ms\"\nkeep_frames = \"3650days\"\n",
        stack.data(),
        stack.port,
        stack.page
    );
    let _brain = Process::foreshadow(&["brain", "--config", &write(stack.path(), "old.toml", &text)]);
    until("the page listens", PATIENCE, || crate::harness::listens(stack.page));
    let observer = Observer::new(stack.port);
    observer.expect("_brain/status");
    // Host `newer` says the same, with fields that nobody knows yet.
    for kind in ["birth", "delta"] {
        for message in messages(kind) {
            observer.publish(&message.topic, &message.payload);
            let topic = message.topic.replace("/web-1/", "/newer/");
            observer.publish(&topic, &with_field(&message.payload, 1_000));
        }
    }
    let frames = messages("delta").len() as i64;
    let durable = |host: &'static str| stack.data().join("brain.db").exists() && number(&stack.data(), host) == frames;
    until("frames of 0.1.0 are durable", PATIENCE, || {
        durable("SELECT count(*) FROM frames WHERE host = 'web-1'")
    });
    until("and those with more fields", PATIENCE, || {
        durable("SELECT count(*) FROM frames WHERE host = 'newer'")
    });
    let newest = messages("delta").pop().unwrap();
    let newest = wire::decode_frame(newest.payload.clone()).unwrap();
    until("both are confirmed", PATIENCE, || {
        ["web-1", "newer"].iter().all(|host| {
            let mark = wire::decode_watermark(&observer.expect(&format!("{host}/bin/inband/watermark"))).unwrap();
            mark.epochs
                .iter()
                .any(|epoch| epoch.epoch == newest.epoch && epoch.durable_below > newest.sequence)
        })
    });
    // An outcome is read, too; what it answers is not known here.
    for outcome in messages("outcome") {
        observer.publish(&outcome.topic, &outcome.payload);
    }
    let refused = || {
        let metrics = crate::harness::get(stack.page, "/metrics");
        let count = |label: &str| {
            metrics
                .lines()
                .any(|line| line.contains("refused") && line.contains(label) && !line.ends_with(" 0"))
        };
        assert!(!count("\"message\""), "{metrics}");
        count("\"outcome\"")
    };
    until("the outcome is read", PATIENCE, refused);
}

#[test]
fn a_brain_of_the_version_before_commands_this_agent() {
    let stack = Stack::new();
    let _broker = stack.broker();
    let observer = Observer::new(stack.port);
    let agent = stack.agent();
    observer.expect("web-1/status/inband");
    let command = messages("command").remove(0);
    let now_ms = runtime::Clock::system().now_ms();
    let payload = at(&command.payload, 5, now_ms);
    let id = wire::decode_command(&payload).unwrap().id;
    for watermark in messages("watermark") {
        observer.publish(&watermark.topic, &watermark.payload);
    }
    // What would change its meaning is refused with an answer; what would not is obeyed as it was meant.
    observer.publish(&command.topic, &with_field(&payload, 64));
    agent.wait_for_text("message refused");
    assert!(agent.printed().contains("64"), "{}", agent.printed());
    let refused = wire::decode_outcome(&observer.expect("web-1/bin/inband/outcome")).unwrap();
    assert_eq!(
        (&refused.command_id, refused.state),
        (&id, shadow::OutcomeState::Refused)
    );
    assert!(refused.reason.contains("field 64"), "{refused:?}");
    let outcomes = || {
        let seen = observer.seen(|topic| topic.ends_with("/outcome"));
        let decoded = seen
            .into_values()
            .flatten()
            .map(|bytes| wire::decode_outcome(&bytes).unwrap());
        decoded.collect::<Vec<_>>()
    };
    observer.publish(&command.topic, &payload);
    until("it is obeyed", PATIENCE, || outcomes().len() >= 2);
    let outcome = outcomes().pop().unwrap();
    assert_eq!(outcome.command_id, id);
    assert!(!outcome.reason.contains("expired"), "{outcome:?}");
    observer.publish(&command.topic, &with_field(&payload, 1_000));
    until("the same with a field more is answered", PATIENCE, || {
        outcomes().len() >= 3
    });
}
