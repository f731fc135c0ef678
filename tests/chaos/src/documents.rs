//! Command lines of this program in the documents: each is taken.

#![allow(
    clippy::pedantic,
    reason = "what is shared with the tests end to end is held as they are"
)]

use std::path::PathBuf;

use clap::Parser;

use super::Arguments;

#[path = "../../e2e/docs/lines.rs"]
mod lines;
#[path = "../../e2e/docs/pages.rs"]
#[allow(dead_code, reason = "how blocks are tested is for the documents' own test")]
mod pages;
#[path = "../../e2e/docs/words.rs"]
#[allow(dead_code, reason = "lines of `foreshadow` are for the documents' own test")]
mod words;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn every_line_of_the_documents_is_taken() {
    let mut taken = 0;
    for lines::Line { place, words } in lines::lines() {
        if let Some((_, arguments)) = words::of_package(&words, "foreshadow-chaos") {
            let read = Arguments::try_parse_from([vec!["foreshadow-chaos".to_owned()], arguments].concat());
            assert!(read.is_ok(), "{place}: {}", read.unwrap_err());
            taken += 1;
        }
    }
    assert!(taken >= 2, "only {taken} lines are found");
}
