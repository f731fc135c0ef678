//! Where the page listens, and who may do what there.

use std::{net::SocketAddr, path::PathBuf};

use runtime::{Faults, Validate};
use serde::{Deserialize, Serialize};

use crate::page::login::users::Role;

/// Where the page listens, and who may do what there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Page {
    /// Address and port; port 0 takes a free one, which the log and the handle tell.
    pub listen: SocketAddr,
    /// Names besides `localhost` and addresses that it may be reached by; requests that name another host
    /// are refused.
    pub names: Vec<String>,
    /// People and programs with their roles and passwords. With it, everybody logs in; without it the page is read by
    /// whoever reaches it, and changed by nobody but where `local_role` or `proxy_login` says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub users: Option<PathBuf>,
    /// What somebody is who asks from this machine, where nobody logs in: `viewer`, or `operator` where everybody with an
    /// account on it may freeze the cell and approve changes.
    pub local_role: Role,
    /// TLS at the listener. Without it HTTP is plain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Nobody reaches the listener but through a proxy that browsers speak TLS to, and which says in `X-Forwarded-For` whom
    /// it speaks for.
    pub behind_proxy: bool,
    /// That proxy has a login of its own and tells who has logged in. Programs may still be among `users`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_login: Option<ProxyLogin>,
}

/// The certificate of the page. Files are PEM, and read anew when they change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate, with what leads to its authority.
    pub certificate: PathBuf,
    /// Its key, which others must not be able to read: mode 600, or 640 where its group reads it.
    pub key: PathBuf,
}

/// How a proxy tells who has logged in with it (OpenID Connect for one).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxyLogin {
    /// File of a word that the proxy sends as `X-Foreshadow-Proxy`, at least 16 letters and digits; others must not be able to
    /// read it. Without it whatever reaches the listener could name anybody. Read at the start.
    pub secret_file: PathBuf,
    /// Header with the name, which what is done stands under. Empty or missing, nobody has logged in.
    #[serde(default = "user_header")]
    pub user_header: String,
    /// Header with the groups of whoever it is, with commas between.
    #[serde(default = "groups_header")]
    pub groups_header: String,
    /// Groups whose members are operators; all others are viewers.
    #[serde(default)]
    pub operators: Vec<String>,
}

// As oauth2-proxy has them.
fn user_header() -> String {
    "X-Auth-Request-Email".to_owned()
}

fn groups_header() -> String {
    "X-Auth-Request-Groups".to_owned()
}

impl Default for Page {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8420)),
            names: Vec::new(),
            users: None,
            local_role: Role::Viewer,
            tls: None,
            behind_proxy: false,
            proxy_login: None,
        }
    }
}

impl Page {
    /// `http` or `https`, as it is spoken to the listener itself.
    pub const fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// Whether browsers speak TLS, be it to this listener or to a proxy before it.
    pub(crate) const fn is_secure(&self) -> bool {
        self.tls.is_some() || self.behind_proxy
    }
}

impl Validate for Page {
    fn validate(&self, faults: &mut Faults) {
        let is_local = self.listen.ip().to_canonical().is_loopback() && !self.behind_proxy;
        faults.require(
            self.local_role == Role::Viewer || (is_local && self.users.is_none()),
            "local_role",
            "counts only where nobody logs in and no proxy stands before the page: leave it out, or listen on 127.0.0.1 without \
             users and behind_proxy",
        );
        faults.require(
            self.proxy_login.is_none() || self.behind_proxy,
            "proxy_login",
            "needs behind_proxy = true: who reaches the page past the proxy could name anybody",
        );
        if self.listen.ip().to_canonical().is_loopback() || self.behind_proxy {
            return;
        }
        faults.require(
            self.tls.is_some(),
            "tls",
            format!(
                "{} is no loopback address, so the page needs TLS: name certificate and key here, listen on 127.0.0.1, or say \
                 behind_proxy = true where nobody reaches it but through a proxy that ends TLS",
                self.listen
            ),
        );
        faults.require(
            self.users.is_some(),
            "users",
            format!(
                "{} is no loopback address, so people log in: name a file here that `foreshadow brain user add NAME --role \
                 operator --file FILE` has made, or listen on 127.0.0.1",
                self.listen
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        let page: Page = toml::from_str(text).unwrap();
        runtime::config::check(&page, "page").map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn off_loopback_the_page_needs_tls_and_users_or_a_proxy() {
        let (tls, users) = ("tls = {certificate = \"c\", key = \"k\"}\n", "users = \"u\"\n");
        for address in ["0.0.0.0:8420", "[::]:8420", "10.0.0.7:80", "[::ffff:10.0.0.7]:80"] {
            let listen = format!("listen = \"{address}\"\n");
            let bare = told(&listen);
            assert!(bare.contains("tls: ") && bare.contains("users: "), "{bare}");
            assert!(
                bare.contains("behind_proxy = true") && bare.contains("user add"),
                "{bare}"
            );
            assert!(!told(&format!("{listen}{users}")).contains("users: "));
            assert!(told(&format!("{listen}{tls}")).contains("users: "));
            assert_eq!(told(&format!("{listen}{tls}{users}")), "");
            assert_eq!(told(&format!("{listen}behind_proxy = true")), "");
        }
        let local = "local_role = \"operator\"\n";
        assert_eq!(told(local), "");
        let login = told("proxy_login = { secret_file = \"s\" }");
        assert!(login.contains("proxy_login: needs behind_proxy"), "{login}");
        assert_eq!(told("behind_proxy = true\nproxy_login = { secret_file = \"s\" }"), "");
        for elsewhere in [users, "behind_proxy = true\n"] {
            assert!(told(&format!("{local}{elsewhere}")).contains("local_role: counts only"));
        }
        for address in ["127.0.0.1:8420", "127.9.9.9:1", "[::1]:8420", "[::ffff:127.0.0.1]:80"] {
            assert_eq!(told(&format!("listen = \"{address}\"")), "");
        }
    }
}
