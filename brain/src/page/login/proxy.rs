//! Who a proxy with a login of its own says that somebody is: OpenID Connect and the like are its affair.

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName};
use trust::{
    files,
    secret::{Digest, digest},
};

use super::users::{Role, UsersError};
use crate::{config, page::problem::Problem};

/// The proxy shows by it that it is the proxy: whatever else reaches the listener could name anybody.
pub(in crate::page) const SECRET: HeaderName = HeaderName::from_static("x-foreshadow-proxy");
/// The shortest secret, in bytes.
const SHORTEST: usize = 16;
/// The most characters of a name: an address of mail has no more (RFC 5321).
const LONGEST: usize = 254;

/// What makes a proxy believed, and how it names people.
#[derive(Debug)]
pub(super) struct Proxy {
    /// The secret itself is not kept.
    secret: Digest,
    user: HeaderName,
    groups: HeaderName,
    operators: Vec<String>,
}

impl Proxy {
    /// As the configuration says.
    ///
    /// # Errors
    /// When the secret cannot be read, others may read it, or it is short.
    pub(super) fn open(config: &config::ProxyLogin) -> Result<Self, UsersError> {
        let path = config.secret_file.display();
        let refused = |what: String| UsersError::Refused(format!("page.proxy_login: {what}"));
        let bytes = files::read_private(&config.secret_file)?;
        let secret = bytes.trim_ascii();
        if secret.len() < SHORTEST || !secret.iter().all(u8::is_ascii_graphic) {
            return Err(refused(format!(
                "{path} has to be one word of at least {SHORTEST} letters and digits: openssl rand -hex 32 > {path}"
            )));
        }
        // Such as an empty one, where a variable of a template has no value: no group at all would be taken for it.
        let odd = |group: &&String| group.is_empty() || group.trim() != *group || group.contains(',');
        if let Some(group) = config.operators.iter().find(odd) {
            return Err(refused(format!(
                "operators: {group:?} is no group; name each by itself, without commas and without spaces around it"
            )));
        }
        let header = |name: &str| {
            name.parse()
                .map_err(|_| refused(format!("{name:?} is no name of a header")))
        };
        Ok(Self {
            secret: digest(secret),
            user: header(&config.user_header)?,
            groups: header(&config.groups_header)?,
            operators: config.operators.clone(),
        })
    }

    /// Who has logged in with the proxy; `None` where it names nobody, or somebody else than the proxy asks.
    ///
    /// # Errors
    /// When the secret is wrong, a header comes twice, or the name can stand in no line.
    pub(super) fn named(&self, headers: &HeaderMap) -> Result<Option<(Arc<str>, Role)>, Problem> {
        let Some(shown) = only(headers, &SECRET)? else {
            return Ok(None);
        };
        // Digests are compared, so that the time it takes tells nothing of the secret.
        if digest(shown) != self.secret {
            return Err(Problem::forbidden(format!(
                "{SECRET}: not the secret of page.proxy_login.secret_file; the proxy has to send that"
            )));
        }
        let Some(name) = only(headers, &self.user)?.filter(|name| !name.is_empty()) else {
            return Ok(None);
        };
        let name = str::from_utf8(name).ok().filter(|name| is_name(name)).ok_or_else(|| {
            Problem::forbidden(format!(
                "{}: the proxy names somebody by what is no name of 1 to {LONGEST} characters",
                self.user
            ))
        })?;
        let groups = only(headers, &self.groups)?.unwrap_or_default();
        let role = if self.leads(groups) {
            Role::Operator
        } else {
            Role::Viewer
        };
        Ok(Some((name.into(), role)))
    }

    /// Whether operators are among groups that stand one after the other with commas between.
    fn leads(&self, groups: &[u8]) -> bool {
        let mut groups = groups.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        groups.any(|group| self.operators.iter().any(|known| known.as_bytes() == group))
    }
}

/// Whether it can stand in a line of the log, and of the audit log.
fn is_name(name: &str) -> bool {
    name.chars().count() <= LONGEST && !name.chars().any(char::is_control) && name.trim() == name
}

/// The value of a header that comes once at most.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a [u8]>, Problem> {
    let mut all = headers.get_all(name).into_iter();
    let first = all.next().map(|value| value.as_bytes().trim_ascii());
    if all.next().is_some() {
        return Err(Problem::bad_request(format!("{name} comes twice")));
    }
    Ok(first)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt, path::Path};

    use super::*;

    fn proxy(folder: &Path, secret: &str, mode: u32) -> Result<Proxy, String> {
        proxy_of(folder, secret, mode, r#"["ops", "night shift"]"#)
    }

    fn proxy_of(folder: &Path, secret: &str, mode: u32, operators: &str) -> Result<Proxy, String> {
        let path = folder.join("secret");
        fs::write(&path, secret).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let config = format!("secret_file = {path:?}\noperators = {operators}");
        let config: config::ProxyLogin = toml::from_str(&config).unwrap();
        Proxy::open(&config).map_err(|fault| fault.to_string())
    }

    fn told(proxy: &Proxy, headers: &[(&str, &str)]) -> Result<Option<(String, Role)>, u16> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name: HeaderName = name.parse().unwrap();
            map.append(name, axum::http::HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let found = proxy.named(&map);
        found
            .map(|found| found.map(|(name, role)| (name.to_string(), role)))
            .map_err(|problem| problem.status)
    }

    #[test]
    fn people_are_who_the_proxy_says_that_they_are_and_nobody_else_names_them() {
        let folder = tempfile::tempdir().unwrap();
        let proxy = proxy(folder.path(), "0123456789abcdef\n", 0o600).unwrap();
        let secret = ("x-foreshadow-proxy", "0123456789abcdef");
        let ann = ("x-auth-request-email", "ann@example.org");
        let groups = |all: &'static str| ("x-auth-request-groups", all);
        let is = |role| Ok(Some(("ann@example.org".to_owned(), role)));
        for (headers, expected) in [
            (&[secret, ann][..], is(Role::Viewer)),
            (&[secret, ann, groups("staff,ops")], is(Role::Operator)),
            (&[secret, ann, groups(" night shift ,x")], is(Role::Operator)),
            (&[secret, ann, groups("opsx,Ops,staff ops")], is(Role::Viewer)),
            (&[secret, ann, groups(",")], is(Role::Viewer)),
            (&[ann, groups("ops")], Ok(None)),
            (&[secret, groups("ops")], Ok(None)),
            (&[secret, ("x-auth-request-email", " ")], Ok(None)),
            (&[("x-foreshadow-proxy", "0123456789abcdeg"), ann], Err(403)),
            (&[("x-foreshadow-proxy", ""), ann], Err(403)),
            (&[secret, secret, ann], Err(400)),
            (&[secret, ann, ann], Err(400)),
            (&[secret, ann, groups("x"), groups("ops")], Err(400)),
            (&[secret, ("x-auth-request-email", "a\tb")], Err(403)),
        ] {
            assert_eq!(told(&proxy, headers), expected, "{headers:?}");
        }
        let long = "a".repeat(255);
        assert_eq!(told(&proxy, &[secret, ("x-auth-request-email", &long)]), Err(403));
    }

    #[test]
    fn a_secret_that_others_read_or_guess_is_none() {
        let folder = tempfile::tempdir().unwrap();
        for (secret, mode, why) in [
            ("0123456789abcdef", 0o644, "read"),
            ("0123456789abcde", 0o600, "openssl rand -hex 32"),
            ("0123456789 abcdef", 0o600, "one word"),
            ("", 0o600, "one word"),
        ] {
            let told = proxy(folder.path(), secret, mode).unwrap_err();
            assert!(told.contains(why), "{told}");
        }
    }

    #[test]
    fn what_names_no_group_makes_nobody_an_operator() {
        let folder = tempfile::tempdir().unwrap();
        for operators in [r#"[""]"#, r#"["ops", " "]"#, r#"["ops,staff"]"#, r#"["ops "]"#] {
            let told = proxy_of(folder.path(), "0123456789abcdef", 0o600, operators).unwrap_err();
            assert!(told.contains("is no group"), "{operators}: {told}");
        }
        assert!(proxy_of(folder.path(), "0123456789abcdef", 0o600, "[]").is_ok());
    }
}
