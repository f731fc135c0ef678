//! What tables, views and columns hold, in words: `migrations/columns.txt`, told to the database itself.

use super::figures::{CHANNELS, FIGURES, Figure, of_hours};

const TEXT: &str = include_str!("../../migrations/columns.txt");

/// Tables of rows, which have a column a channel and figure.
const ROLLUPS: [&str; 3] = ["rollup_10s", "rollup_1m", "rollup_1h"];

/// What one table, view or column holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Comment {
    /// The table or view.
    pub(super) relation: String,
    /// The column; `None` for the whole.
    pub(super) column: Option<String>,
    /// In words.
    pub(super) text: String,
}

/// All of them, in the order of the file.
pub(super) fn all() -> Vec<Comment> {
    let lines = TEXT.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .filter_map(|line| line.split_once(": "))
        .flat_map(expanded)
        .collect()
}

/// A line of the file is about one column, about one of two views, or about a channel of every table of rows.
fn expanded((name, text): (&str, &str)) -> Vec<Comment> {
    let comment = |relation: &str, column: Option<String>, text: String| Comment {
        relation: relation.to_owned(),
        column,
        text,
    };
    match name.split_once('.') {
        None => vec![comment(name, None, text.to_owned())],
        Some(("rollup_*", channel)) if CHANNELS.contains(&channel) => {
            let of = |relation: &'static str| {
                let figures = FIGURES
                    .iter()
                    .filter(move |figure| relation != "rollup_1h" || is_of_hours(figure));
                figures.map(
                    move |Figure {
                              ending, text: figure, ..
                          }| {
                        comment(
                            relation,
                            Some(format!("{channel}{ending}")),
                            format!("{text}: {figure}."),
                        )
                    },
                )
            };
            ROLLUPS.into_iter().flat_map(of).collect()
        }
        Some(("rollup_*", column)) => ROLLUPS
            .into_iter()
            .map(|relation| comment(relation, Some(column.to_owned()), text.to_owned()))
            .collect(),
        Some(("v_utilisation*", column)) => ["v_utilisation", "v_utilisation_1h"]
            .into_iter()
            .map(|relation| comment(relation, Some(column.to_owned()), text.to_owned()))
            .collect(),
        Some((relation, column)) => vec![comment(relation, Some(column.to_owned()), text.to_owned())],
    }
}

fn is_of_hours(figure: &Figure) -> bool {
    of_hours().any(|of_hours| of_hours.ending == figure.ending)
}

#[cfg(test)]
mod tests {
    use std::{fmt::Write as _, path::Path};

    use super::*;

    /// `docs/schema.md`, as it is to be.
    fn page() -> String {
        let all = all();
        let mut page = include_str!("comments/head.md").to_owned();
        for Comment { relation, text, .. } in all.iter().filter(|comment| comment.column.is_none()) {
            write!(page, "\n## {relation}\n\n{text}\n\n| column | holds |\n|---|---|\n").unwrap();
            for comment in all.iter().filter(|comment| comment.relation == *relation) {
                if let Some(column) = &comment.column {
                    writeln!(page, "| `{column}` | {} |", comment.text).unwrap();
                }
            }
        }
        page
    }

    #[test]
    fn the_page_says_what_the_database_says() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schema.md");
        if std::env::var_os("FORESHADOW_WRITE_DOCS").is_some() {
            std::fs::write(&file, page()).unwrap();
        }
        let there = std::fs::read_to_string(&file).unwrap();
        assert!(
            there == page(),
            "docs/schema.md: make it anew with FORESHADOW_WRITE_DOCS=1 and this test"
        );
    }
}
