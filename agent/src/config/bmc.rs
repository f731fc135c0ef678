//! What an operator may set of the host's BMC.

use std::path::{Path, PathBuf};

use runtime::{Faults, Span, Validate};
use serde::{Deserialize, Serialize};

use super::check::at_least;
use crate::bmc::{
    credentials::PasswordSource,
    session::{Address, PORT},
    watch::Settings,
};

/// The address of the BMC in the machine that the agent runs on.
const LOCAL: &str = "local";

/// The host's BMC. The password itself is no key: it stands in no configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bmc {
    /// `local`, or a name or address on the network, with or without a port; without it, none is asked.
    pub address: Option<String>,
    /// The user in the BMC, on the network.
    pub user: Option<String>,
    /// A file of mode 0600 with the user's password.
    pub password_file: Option<PathBuf>,
    /// The environment variable with the user's password, where it is in no file.
    pub password_env: Option<String>,
    /// The distance of scans.
    pub interval: Span,
    /// How long each reply is waited for.
    pub deadline: Span,
}

impl Default for Bmc {
    fn default() -> Self {
        Self {
            address: None,
            user: None,
            password_file: None,
            password_env: None,
            interval: Span::from_secs(10),
            deadline: Span::from_secs(2),
        }
    }
}

impl Bmc {
    /// How the BMC is asked; `None` where there is none to ask, or what is set makes no sense ([`Validate`]).
    /// Devices are looked for below `root`.
    pub fn settings(&self, root: &Path) -> Option<Settings> {
        let address = match self.address.as_deref()? {
            LOCAL => Address::Local(root.join("dev/ipmi0")),
            host => Address::Lan {
                host: host_and_port(host)?,
                user: self.user.clone()?,
                password: self.password()?,
            },
        };
        Some(Settings {
            address,
            interval: self.interval.duration(),
            deadline: self.deadline.duration(),
            cursor: None,
        })
    }

    fn password(&self) -> Option<PasswordSource> {
        match (&self.password_file, &self.password_env) {
            (Some(path), None) => Some(PasswordSource::File(path.clone())),
            (None, Some(name)) => Some(PasswordSource::Environment(name.clone())),
            _ => None,
        }
    }
}

/// Of `name`, `name:port`, `1.2.3.4:port`, `fe80::1` and `[fe80::1]:port`.
fn host_and_port(text: &str) -> Option<(String, u16)> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, port)) => (host, Some(port.strip_prefix(':')?)),
        None => match text.split_once(':') {
            Some((host, port)) if !port.contains(':') => (host, Some(port)),
            _ => (text, None),
        },
    };
    let port = port.map_or(Some(PORT), |port| port.parse().ok().filter(|&port| port != 0))?;
    let named = !host.is_empty() && !host.contains(char::is_whitespace);
    named.then(|| (host.to_owned(), port))
}

impl Validate for Bmc {
    fn validate(&self, faults: &mut Faults) {
        at_least(faults, "interval", self.interval, Span::from_secs(5));
        at_least(faults, "deadline", self.deadline, Span::from_millis(100));
        let most = Span::from_secs(30);
        faults.require(
            self.deadline <= most,
            "deadline",
            format!("{} is longer than {most}", self.deadline),
        );
        let both = self.password_file.is_some() && self.password_env.is_some();
        faults.require(
            !both,
            "password_env",
            "stands beside password_file: which of them is it?",
        );
        match self.address.as_deref() {
            None => {}
            Some(LOCAL) => {
                let unused = self.user.is_none() && self.password_file.is_none() && self.password_env.is_none();
                faults.require(unused, "user", "a local BMC is asked without user and password");
            }
            Some(host) => {
                let message = format!("{host:?} is neither \"local\" nor a name or address with or without a port");
                faults.require(host_and_port(host).is_some(), "address", message);
                let named = self.user.as_ref().is_some_and(|user| (1..=16).contains(&user.len()));
                faults.require(named, "user", "a BMC on the network wants a user of 1 to 16 bytes");
                let given = self.password_file.is_some() || self.password_env.is_some();
                faults.require(
                    given,
                    "password_file",
                    "a BMC on the network wants this or password_env",
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn addresses_are_local_or_on_the_network() {
        let check = |text, expected: Option<(&str, u16)>| {
            let expected = expected.map(|(host, port)| (host.to_owned(), port));
            assert_eq!(host_and_port(text), expected, "{text:?}");
        };
        check("bmc-1.lan", Some(("bmc-1.lan", 623)));
        check("10.0.0.7:9623", Some(("10.0.0.7", 9_623)));
        check("fe80::1", Some(("fe80::1", 623)));
        check("[fe80::1]:624", Some(("fe80::1", 624)));
        check("[fe80::1]", Some(("fe80::1", 623)));
        for bad in ["", ":623", "a:0", "a:x", "a:99999", "a b", "[]", "[x]y"] {
            check(bad, None);
        }
        let bmc = Bmc {
            address: Some(LOCAL.to_owned()),
            ..Bmc::default()
        };
        let settings = bmc.settings(Path::new("/tree")).unwrap();
        assert_eq!(settings.address, Address::Local("/tree/dev/ipmi0".into()));
        assert_eq!(Bmc::default().settings(Path::new("/")), None);
    }

    fn faults(text: &str) -> String {
        let parsed = runtime::config::parse::<Config>(&format!("[bmc]\n{text}"), "agent.toml");
        parsed.map_or_else(|fault| fault.to_string(), |_| String::new())
    }

    #[test]
    fn faults_name_what_is_missing() {
        assert_eq!(faults("address = 'local'"), "");
        assert_eq!(faults("address = 'bmc'\nuser = 'u'\npassword_env = 'P'"), "");
        let check = |text: &str, key: &str| assert!(faults(text).contains(key), "{text:?}: {}", faults(text));
        check("interval = '1s'", "bmc.interval: 1s is shorter than 5s");
        check("deadline = '1m'", "bmc.deadline");
        check("address = 'local'\nuser = 'u'", "bmc.user");
        check("address = 'bmc'", "bmc.user");
        check("address = 'bmc'", "bmc.password_file");
        check("address = 'a:b'\nuser = 'u'\npassword_env = 'P'", "bmc.address");
        check("password_env = 'P'\npassword_file = '/x'", "bmc.password_env");
    }

    #[test]
    fn a_password_in_the_configuration_is_refused_and_not_repeated() {
        let fault = faults("password = 'hunter2'");
        assert!(fault.contains("bmc.password") && !fault.contains("hunter2"), "{fault}");
    }

    #[test]
    fn out_of_band_wants_a_bmc() {
        let fault = runtime::config::parse::<Config>("vantage = 'oob'", "agent.toml").unwrap_err();
        assert!(fault.to_string().contains("bmc.address"), "{fault}");
    }
}
