//! What is wrong with a configuration, key by key.

/// One value that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The key, dotted: `probes.network.interfaces`.
    pub key: String,
    /// Its line in the file, from 1; `None` for a default or a value from elsewhere.
    pub line: Option<usize>,
    /// What is wrong and what would be right.
    pub message: String,
}

/// Collects faults while a configuration is walked.
#[derive(Debug, Default)]
pub struct Faults {
    path: Vec<String>,
    found: Vec<Fault>,
}

impl Faults {
    /// Adds a fault of `key` in the present table.
    pub fn add(&mut self, key: &str, message: impl Into<String>) {
        let mut path = self.path.clone();
        path.push(key.to_owned());
        self.found.push(Fault {
            key: path.join("."),
            line: None,
            message: message.into(),
        });
    }

    /// Adds a fault of `key` unless `holds`.
    pub fn require(&mut self, holds: bool, key: &str, message: impl Into<String>) {
        if !holds {
            self.add(key, message);
        }
    }

    /// Adds a fault of `key` with the error of a check that failed.
    pub fn check<T, E: std::fmt::Display>(&mut self, result: Result<T, E>, key: &str) {
        if let Err(error) = result {
            self.add(key, error.to_string());
        }
    }

    /// Runs `walk` with `table` as the present table within this one.
    pub fn within(&mut self, table: &str, walk: impl FnOnce(&mut Self)) {
        self.path.push(table.to_owned());
        walk(self);
        self.path.pop();
    }

    /// Whether nothing is wrong so far.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// All faults, in the order found.
    pub fn into_vec(self) -> Vec<Fault> {
        self.found
    }
}
