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
        let levels: Vec<&str> = topic.split('/').collect();
        // A host may be called `bin`, so that both may fit: only one can be read.
        let binary = matches!(levels.as_slice(), [.., "bin", _, _]).then_some(4);
        let status = matches!(levels.as_slice(), [.., "status", _]).then_some(3);
        let mut fault = TopicError::Kind(shortened(topic));
        for of_host in binary.into_iter().chain(status) {
            match Self::with(topic, &levels, of_host) {
                Ok(found) => return Ok(found),
                Err(why) => fault = why,
            }
        }
        Err(fault)
    }

    /// What `topic` names if its host is the level `of_host` from the end.
    fn with(topic: &str, levels: &[&str], of_host: usize) -> Result<Self, TopicError> {
        let before = levels.len().checked_sub(of_host).and_then(|host| levels.get(..host));
        let split = before.and_then(<[&str]>::split_last);
        let (cell, prefix) = split.ok_or_else(|| TopicError::Kind(shortened(topic)))?;
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
