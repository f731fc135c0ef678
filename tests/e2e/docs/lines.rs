//! Command lines of the documents.

use super::{
    pages::{blocks, spans},
    words::commands,
};

/// One command, and where it stands.
pub(crate) struct Line {
    pub(crate) place: String,
    /// The program and its arguments, as a shell splits them.
    pub(crate) words: Vec<String>,
}

/// Those of all blocks of commands, also of what is not run, and of programs of ours and of cargo within text.
pub(crate) fn lines() -> Vec<Line> {
    let blocks = blocks().into_iter().filter(|block| block.is_of_shell());
    let of_blocks = blocks.map(|block| (block.to_string(), block.text));
    let of_spans = spans()
        .into_iter()
        .map(|(place, span)| (format!("{place}: {span}"), span));
    let split = |(place, script): (String, String)| {
        let line = |words| Line {
            place: place.clone(),
            words,
        };
        commands(&script).into_iter().map(line).collect::<Vec<_>>()
    };
    of_blocks.chain(of_spans).flat_map(split).collect()
}
