//! Who is told, and of what.

use std::{collections::BTreeSet, fs, io, net::IpAddr, path::PathBuf};

use runtime::{Faults, Span, Validate};
use serde::{Deserialize, Serialize};
use shadow::{Severity, check_name};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::desk::{Rules, Silence};

/// `[alerts]` of the brain: without receivers nobody is told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How people reach the page, for links (`https://brain.example.org`); without it by the address that it listens on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<String>,
    /// Who is told.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub receivers: Vec<Receiver>,
    /// Of whom nothing is told for a time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub silences: Vec<SilenceConfig>,
}

/// How somebody is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// JSON by POST; chats show its `text`.
    Webhook,
    /// The v2 API of an Alertmanager, which groups, repeats and silences itself.
    Alertmanager,
    /// Mail over SMTP.
    Mail,
}

impl Kind {
    /// The word in configurations and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Alertmanager => "alertmanager",
            Self::Mail => "mail",
        }
    }
}

/// Somebody who is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receiver {
    /// A name of its own, for logs, metrics and the file that remembers what it was told.
    pub name: String,
    /// How.
    pub kind: Kind,
    /// `https://...` or `http://...`; of mail `smtps://HOST` or `smtp://HOST?tls=required`, with `USER@` before the host
    /// where it wants a login. Passwords are never in it.
    pub url: String,
    /// File whose first line is the bearer token, or the mail user's password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_file: Option<PathBuf>,
    /// Authorities (PEM) to believe instead of those of the web.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// The sender of mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Who gets the mail.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<String>,
    /// What is less bad is not told: `info`, `warning` or `critical`.
    #[serde(default = "warning")]
    pub min_severity: String,
    /// So long after the first of them incidents go out together. 30 s; nothing for an Alertmanager, which waits itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_wait: Option<Span>,
    /// What goes on and nobody has acknowledged is told again so often. 4 h; a minute for an Alertmanager, which must be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat_every: Option<Span>,
}

/// Hosts of which nothing is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SilenceConfig {
    /// A name, or one with a `*` for anything.
    pub hosts: String,
    /// Until when, as 2026-12-24T18:00:00Z.
    pub until: String,
    /// Why, for who reads the configuration.
    #[serde(default)]
    pub reason: String,
}

fn warning() -> String {
    Severity::Warning.as_str().to_owned()
}

impl Validate for Config {
    fn validate(&self, faults: &mut Faults) {
        if let Some(page) = &self.page {
            let sound = page.starts_with("http://") || page.starts_with("https://");
            faults.require(sound, "page", "must begin with http:// or https://");
        }
        let mut names = BTreeSet::new();
        for (index, receiver) in self.receivers.iter().enumerate() {
            faults.within(&format!("receivers[{index}]"), |faults| {
                receiver.validate(faults);
                let is_new = names.insert(&receiver.name);
                faults.require(is_new, "name", format!("{:?} is another receiver's too", receiver.name));
            });
        }
        for (index, silence) in self.silences.iter().enumerate() {
            faults.within(&format!("silences[{index}]"), |faults| {
                faults.check(silence.checked(), "until");
                faults.require(silence.hosts.matches('*').count() <= 1, "hosts", "has more than one *");
            });
        }
    }
}

impl Receiver {
    fn validate(&self, faults: &mut Faults) {
        faults.check(check_name(&self.name), "name");
        let known = Severity::from_word(&self.min_severity).is_some();
        faults.require(known, "min_severity", "must be info, warning or critical");
        for (key, span) in [("group_wait", self.group_wait), ("repeat_every", self.repeat_every)] {
            let sound = span.is_none_or(|span| span <= Span::from_secs(30 * 86_400));
            faults.require(sound, key, "must be at most 30 days");
        }
        let repeats = self.repeat_every.is_none_or(|span| span >= Span::from_secs(10));
        faults.require(repeats, "repeat_every", "must be at least 10s");
        self.validate_url(faults);
        let is_mail = self.kind == Kind::Mail;
        faults.require(
            self.from.is_some() == is_mail,
            "from",
            "is what mail has, and nothing else",
        );
        faults.require(
            self.to.is_empty() != is_mail,
            "to",
            "is what mail has, and nothing else",
        );
    }

    fn validate_url(&self, faults: &mut Faults) {
        let schemes: &[&str] = if self.kind == Kind::Mail {
            &["smtp", "smtps"]
        } else {
            &["http", "https"]
        };
        let Some((scheme, rest)) = self
            .url
            .split_once("://")
            .filter(|(scheme, _)| schemes.contains(scheme))
        else {
            faults.add("url", format!("must begin with {}", schemes.join(":// or ") + "://"));
            return;
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (user, host) = authority
            .rsplit_once('@')
            .map_or((None, authority), |(user, host)| (Some(user), host));
        faults.require(!host.is_empty(), "url", "names no host");
        let (is_secret, is_user) = (user.is_some_and(|user| user.contains(':')), user.is_some());
        faults.require(
            !is_secret,
            "url",
            "must not have a password in it; secret_file names a file",
        );
        if self.kind == Kind::Mail {
            faults.require(
                is_user == self.secret_file.is_some(),
                "secret_file",
                "and a user in url go together",
            );
        } else {
            faults.require(
                !is_user,
                "url",
                "must not have a user in it; secret_file names a file with a bearer token",
            );
        }
        let is_private = scheme.ends_with('s') || rest.contains("tls=required");
        let sound = self.secret_file.is_none() || is_private || is_loopback(host);
        faults.require(
            sound,
            "url",
            "is not encrypted, so no secret is sent there: https, smtps, or ?tls=required",
        );
    }

    /// As the desk takes them.
    pub(crate) fn rules(&self, silences: &[SilenceConfig]) -> Rules {
        let relays = self.kind == Kind::Alertmanager;
        let or = |span: Option<Span>, seconds| span.unwrap_or(Span::from_secs(seconds)).as_millis();
        Rules {
            min_severity: Severity::from_word(&self.min_severity).unwrap_or(Severity::Warning),
            group_wait_ms: or(self.group_wait, if relays { 0 } else { 30 }),
            repeat_every_ms: or(self.repeat_every, if relays { 60 } else { 4 * 3_600 }),
            silences: silences.iter().filter_map(|silence| silence.checked().ok()).collect(),
        }
    }

    /// The first line of the secret's file; `None` without one.
    ///
    /// # Errors
    /// A file that cannot be read, in words.
    pub(crate) fn secret(&self) -> Result<Option<String>, String> {
        let Some(file) = &self.secret_file else { return Ok(None) };
        let text: io::Result<String> = fs::read_to_string(file);
        let text = text.map_err(|error| format!("{}: {error}", file.display()))?;
        Ok(Some(text.lines().next().unwrap_or_default().trim().to_owned()))
    }
}

impl SilenceConfig {
    fn checked(&self) -> Result<Silence, String> {
        let until = OffsetDateTime::parse(&self.until, &Rfc3339);
        let until = until.map_err(|error| format!("is no time such as 2026-12-24T18:00:00Z: {error}"))?;
        let hosts = self.hosts.split_once('*').map_or_else(
            || (self.hosts.clone(), None),
            |(begin, end)| (begin.to_owned(), Some(end.to_owned())),
        );
        Ok(Silence {
            hosts,
            until_ms: until.unix_timestamp() * 1_000,
        })
    }
}

/// Whether nobody between here and there can listen.
fn is_loopback(host: &str) -> bool {
    let bare = host
        .rsplit_once(':')
        .filter(|(_, port)| port.parse::<u16>().is_ok())
        .map_or(host, |(name, _)| name);
    let bare = bare.trim_matches(['[', ']']);
    bare == "localhost" || bare.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> String {
        match runtime::config::parse::<Config>(text, "brain.toml") {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        }
    }

    const MAIL: &str = "[[receivers]]\nname = 'ops'\nkind = 'mail'\nfrom = 'a@b.c'\nto = ['d@e.f']\n";
    const HOOK: &str = "[[receivers]]\nname = 'chat'\nkind = 'webhook'\n";

    #[test]
    fn what_is_sound_is_taken() {
        for text in [
            String::new(),
            format!("{HOOK}url = 'https://chat.example.org/hook'\nsecret_file = 'token'\nmin_severity = 'critical'"),
            format!("{HOOK}url = 'http://127.0.0.1:9/x'\nsecret_file = 'token'"),
            format!("{MAIL}url = 'smtps://ops@mail.example.org'\nsecret_file = 'password'"),
            format!("{MAIL}url = 'smtp://mail:25'\n[[silences]]\nhosts = 'lab-*'\nuntil = '2026-12-24T18:00:00Z'"),
        ] {
            assert_eq!(faults(&text), "", "{text}");
        }
    }

    #[test]
    fn faults_name_what_and_where() {
        for (text, expected) in [
            (format!("{HOOK}url = 'ftp://x'"), "must begin with http:// or https://"),
            (format!("{HOOK}url = 'https://'"), "names no host"),
            (
                format!("{HOOK}url = 'http://me:secret@x'"),
                "must not have a password in it",
            ),
            (
                format!("{HOOK}url = 'http://chat.example.org'\nsecret_file = 'token'"),
                "is not encrypted",
            ),
            (format!("{HOOK}url = 'http://x'\nto = ['a@b.c']"), "is what mail has"),
            (
                format!("{HOOK}url = 'http://x'\nmin_severity = 'bad'"),
                "must be info, warning or critical",
            ),
            (
                format!("{HOOK}url = 'http://x'\nrepeat_every = '1s'"),
                "must be at least 10s",
            ),
            (
                format!("{HOOK}url = 'http://x'\n{HOOK}url = 'http://y'"),
                "is another receiver's too",
            ),
            (
                format!("{MAIL}url = 'smtp://mail'\nsecret_file = 'password'"),
                "go together",
            ),
            (
                format!("{MAIL}url = 'smtp://me@mail'\nsecret_file = 'password'"),
                "is not encrypted",
            ),
            (
                "[[silences]]\nhosts = '*-*'\nuntil = '2026-12-24T18:00:00Z'".to_owned(),
                "more than one *",
            ),
            (
                "[[silences]]\nhosts = 'a'\nuntil = 'tomorrow'".to_owned(),
                "is no time such as",
            ),
        ] {
            let told = faults(&text);
            assert!(told.contains(expected), "{expected:?} for {text}\nbut {told:?}");
        }
    }

    #[test]
    fn loopback_is_known_with_and_without_a_port() {
        for (host, is) in [
            ("127.0.0.1:25", true),
            ("[::1]:25", true),
            ("localhost", true),
            ("mail:25", false),
            ("128.0.0.1", false),
        ] {
            assert_eq!(is_loopback(host), is, "{host}");
        }
    }
}
