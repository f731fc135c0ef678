//! Who may come in, and what they may do: the table `[access]`.

use std::{collections::BTreeMap, path::PathBuf};

use runtime::{Faults, Validate};
use serde::{Deserialize, Serialize};
use trust::Name;

/// Who may come in, and what they may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Access {
    /// The first levels of the topics that the roles are about, as in the configurations of agents and brain.
    pub prefix: String,
    /// What a client of this machine may do that shows neither certificate nor password. Others always show one.
    pub anonymous: Anonymous,
    /// Users with their passwords, as `foreshadow-broker password` writes them.
    pub passwords: Option<PathBuf>,
    /// Rules beside those of the roles, in the syntax of mosquitto's `acl_file`.
    pub acl: Option<PathBuf>,
    /// Users of `passwords` that have names like those in a certificate, and with them a role.
    pub users: BTreeMap<String, Vec<String>>,
}

/// What a client of this machine may do that does not say who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Anonymous {
    /// Everything.
    Everything,
    /// What a viewer may.
    Viewer,
    /// What the list of rules says before its first user, and its patterns.
    Listed,
    /// It is refused.
    Nothing,
}

impl Default for Access {
    fn default() -> Self {
        Self {
            prefix: "foreshadow".to_owned(),
            anonymous: Anonymous::Everything,
            passwords: None,
            acl: None,
            users: BTreeMap::new(),
        }
    }
}

impl Access {
    /// The names of a user, as its certificate would have them. All are good, once the configuration has been checked.
    pub(crate) fn names_of(&self, user: &str) -> Vec<Name> {
        let names = self.users.get(user).into_iter().flatten();
        names.filter_map(|name| name.parse().ok()).collect()
    }
}

impl Validate for Access {
    fn validate(&self, faults: &mut Faults) {
        let good = self.prefix.split('/').all(may_be_level);
        faults.require(good, "prefix", format!("{:?} is no prefix of topics", self.prefix));
        let listed = self.anonymous != Anonymous::Listed || self.acl.is_some();
        faults.require(listed, "anonymous", "\"listed\" stands without acl");
        let known = self.users.is_empty() || self.passwords.is_some();
        faults.require(known, "users", "stands without passwords");
        for (user, names) in &self.users {
            for fault in names.iter().filter_map(|name| name.parse::<Name>().err()) {
                faults.require(false, "users", format!("{user}: {fault}"));
            }
        }
    }
}

/// Whether it can be a level of a prefix.
fn may_be_level(level: &str) -> bool {
    !level.is_empty() && !level.starts_with('$') && !level.contains(['+', '#', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_faults_are_told() {
        let text = "prefix = 'a//b'\nanonymous = 'listed'\n[users]\nann = ['foreshadow:role/viewer', 'viewer']\n";
        let error = runtime::config::parse::<Access>(text, "x").unwrap_err().to_string();
        assert_eq!(error.lines().count(), 4, "{error}");
        assert!(error.contains("x:1: prefix"), "{error}");
    }

    #[test]
    fn a_user_has_names() {
        let text = "passwords = 'p'\n[users]\nann = ['foreshadow:role/viewer']\n";
        let access: Access = runtime::config::parse(text, "x").unwrap();
        assert_eq!(access.names_of("ann"), [Name::Role(trust::Role::Viewer)]);
        assert_eq!(access.names_of("bob"), []);
    }
}
