//! Command lines of this program in the documents: each is taken, by what cargo is told to build.

#![allow(
    clippy::pedantic,
    reason = "what is shared with the tests end to end is held as they are"
)]

use std::path::PathBuf;

use clap::Parser;

use super::{Arguments, Bench};

#[path = "../../tests/e2e/docs/lines.rs"]
mod lines;
#[path = "../../tests/e2e/docs/pages.rs"]
#[allow(dead_code, reason = "how blocks are tested is for the documents' own test")]
mod pages;
#[path = "../../tests/e2e/docs/words.rs"]
#[allow(dead_code, reason = "lines of `foreshadow` are for the documents' own test")]
mod words;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The feature of this package without which a bench is left out.
const fn feature(bench: &Bench) -> Option<&'static str> {
    match bench {
        Bench::Agent(_) | Bench::Broker(_) | Bench::CodecPriors(_) | Bench::Codec(_) | Bench::Detect(_) => None,
        #[cfg(feature = "brain")]
        Bench::Hot(_) | Bench::Ingest(_) | Bench::Page(_) | Bench::Plan(_) | Bench::Store(_) => Some("brain"),
        #[cfg(feature = "forecast")]
        Bench::Lstm(_) | Bench::Serve(_) => Some("forecast"),
    }
}

#[test]
#[cfg(all(feature = "brain", feature = "forecast"))]
fn every_line_of_the_documents_is_taken() {
    let (mut faults, mut taken) = (Vec::new(), std::collections::BTreeSet::new());
    for lines::Line { place, words } in lines::lines() {
        let Some((build, arguments)) = words::of_package(&words, "foreshadow-bench") else {
            continue;
        };
        match Arguments::try_parse_from([vec!["foreshadow-bench".to_owned()], arguments.clone()].concat()) {
            Err(fault) => faults.push(format!("{place}: {fault}")),
            Ok(Arguments { bench, .. }) => {
                let named = build.windows(2).find(|pair| pair[0] == "--features");
                let has = |feature: &str| named.is_some_and(|pair| pair[1].split(',').any(|one: &str| one == feature));
                let is_whole = !build.iter().any(|word| word == "--no-default-features");
                if let Some(feature) = feature(&bench).filter(|feature| !is_whole && !has(feature)) {
                    faults.push(format!("{place}: it is not built without --features {feature}"));
                }
                taken.insert(arguments[0].clone());
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(taken.len() >= 10, "only {taken:?} are told how to be run");
}
