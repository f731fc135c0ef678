//! Where the page listens, and who may do what there.

use std::{net::SocketAddr, path::PathBuf};

use runtime::{Faults, Validate};
use serde::{Deserialize, Serialize};

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
    /// whoever reaches it, and changed from this machine alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub users: Option<PathBuf>,
    /// TLS at the listener. Without it HTTP is plain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Nobody reaches the listener but through a proxy that browsers speak TLS to, and which says in `X-Forwarded-For` whom
    /// it speaks for.
    pub behind_proxy: bool,
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

impl Default for Page {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8420)),
            names: Vec::new(),
            users: None,
            tls: None,
            behind_proxy: false,
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
        for address in ["127.0.0.1:8420", "127.9.9.9:1", "[::1]:8420", "[::ffff:127.0.0.1]:80"] {
            assert_eq!(told(&format!("listen = \"{address}\"")), "");
        }
    }
}
