//! Topics of hosts of any cell, for who looks on.

use shadow::check_name;

use super::{Address, Topics, shortened};
use crate::TopicError;

/// Where a topic of a host lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The levels before the cell.
    pub prefix: String,
    /// The cell.
    pub cell: String,
    /// The host, and what is told of it.
    pub address: Address,
}

impl Location {
    /// What `topic` names, whatever its cell. Views have no fixed length and are not read.
    ///
    /// # Errors
    /// [`TopicError`] when it is no binary topic or status of a host.
    pub fn of(topic: &str) -> Result<Self, TopicError> {
        let unknown = || TopicError::Kind(shortened(topic));
        let levels: Vec<&str> = topic.split('/').collect();
        let host = match levels.as_slice() {
            [before @ .., _, "bin", _, _] | [before @ .., _, "status", _] => before.len(),
            _ => return Err(unknown()),
        };
        let (before, _) = levels.split_at_checked(host).ok_or_else(unknown)?;
        let (cell, prefix) = before.split_last().ok_or_else(unknown)?;
        let prefix = prefix.join("/");
        Ok(Self {
            address: Topics::new(&prefix, cell)?.parse(topic)?,
            cell: (*cell).to_owned(),
            prefix,
        })
    }
}

/// Filters for all that is told of `host` in `cell` under `prefix`; of every host and every cell where none is named.
///
/// # Errors
/// [`TopicError::Name`] when a level is no name.
pub fn filters(prefix: &str, cell: Option<&str>, host: Option<&str>) -> Result<[String; 2], TopicError> {
    for level in prefix.split('/').chain(cell).chain(host) {
        check_name(level)?;
    }
    let (cell, host) = (cell.unwrap_or("+"), host.unwrap_or("+"));
    Ok([
        format!("{prefix}/{cell}/{host}/bin/+/+"),
        format!("{prefix}/{cell}/{host}/status/+"),
    ])
}

#[cfg(test)]
mod tests {
    use shadow::Vantage;

    use super::*;
    use crate::Kind;

    #[test]
    fn topics_of_any_cell_are_located() {
        for (prefix, cell) in [
            ("foreshadow", "lab"),
            ("site/a/foreshadow", "bin"),
            ("status", "status"),
        ] {
            let topics = Topics::new(prefix, cell).unwrap();
            for (topic, kind) in [
                (topics.delta("bin", Vantage::Oob), Kind::Delta(Vantage::Oob)),
                (topics.birth("status", Vantage::Inband), Kind::Birth(Vantage::Inband)),
                (topics.status("bin", Vantage::Inband), Kind::Status(Vantage::Inband)),
            ] {
                let found = Location::of(&topic).unwrap();
                assert_eq!(
                    (&*found.prefix, &*found.cell, found.address.kind),
                    (prefix, cell, kind),
                    "{topic}"
                );
            }
        }
        for topic in [
            "",
            "a/bin/inband/delta",
            "lab/a/bin/inband/delta",
            "f/lab/a/bin/inband/other",
            "f/lab/_brain/status",
            "f/lab/a/view/status/x",
            "f/lab/a+/status/oob",
            "f//a/status/oob",
        ] {
            assert!(Location::of(topic).is_err(), "{topic}");
        }
    }

    #[test]
    fn filters_name_what_is_named() {
        let expected = ["f/+/+/bin/+/+".to_owned(), "f/+/+/status/+".to_owned()];
        assert_eq!(filters("f", None, None), Ok(expected));
        let expected = ["x/f/lab/a/bin/+/+".to_owned(), "x/f/lab/a/status/+".to_owned()];
        assert_eq!(filters("x/f", Some("lab"), Some("a")), Ok(expected));
        for (prefix, cell, host) in [("", None, None), ("f", Some("#"), None), ("f", None, Some("a/b"))] {
            assert!(filters(prefix, cell, host).is_err());
        }
    }
}
