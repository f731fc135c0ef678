//! The roles as mosquitto's access control list, from the same rules that our broker holds to. Pure.
//!
//! mosquitto knows a client by the common name of its certificate (`use_identity_as_username`), and not by the names that
//! say what it may do; so the list names each part with what its newest certificate is good for. A part that is not in it
//! may do nothing. mosquitto lets everybody subscribe, and filters at delivery.

use std::path::Path;

use trust::{Name, access::rules_of};

use crate::{
    Index, Issued,
    bundle::{CA, CRL, IDENTITY},
};

/// The list for topics under `prefix`, for the parts that have a good certificate at `now_s`.
pub fn access_list(index: &Index, prefix: &str, now_s: i64) -> String {
    let head = format!(
        "# Written by `foreshadow pki acl --for mosquitto` for the cell {}: write it anew after a part was added or revoked,\n\
         # and send mosquitto a SIGHUP. What is not named here is refused.\n",
        index.cell
    );
    let parts = index
        .all_current(now_s)
        .into_iter()
        .map(|issued| rules(issued, &index.cell, prefix));
    [head].into_iter().chain(parts).collect()
}

/// The rules of one part; nothing where it has none.
fn rules(issued: &Issued, cell: &str, prefix: &str) -> String {
    let uris = issued.subject.uris(cell);
    let names: Vec<Name> = uris.iter().filter_map(|uri| uri.parse().ok()).collect();
    let rules = rules_of(&names, prefix);
    if rules.is_empty() {
        return String::new();
    }
    let head = format!("\n# {}\nuser {}\n", issued.subject.role, issued.subject.name);
    let lines = rules
        .iter()
        .map(|rule| format!("topic {} {}\n", rule.access.as_str(), rule.filter));
    [head].into_iter().chain(lines).collect()
}

/// The part of mosquitto's configuration that goes with the list: a port with TLS and certificates of clients. `broker` is
/// the folder of the broker's files.
pub fn listener(broker: &Path, acl: &Path, port: u16) -> String {
    let file = |name: &str| broker.join(name).display().to_string();
    let (ca, crl, identity) = (file(CA), file(CRL), file(IDENTITY));
    format!(
        "# Written by `foreshadow pki acl --for mosquitto --config`.\n\
         per_listener_settings false\n\
         allow_anonymous false\n\
         acl_file {acl}\n\
         # Frames wait here for a brain that is busy; without this mosquitto drops them past 1000.\n\
         max_queued_messages 0\n\
         \n\
         listener {port}\n\
         cafile {ca}\n\
         certfile {identity}\n\
         keyfile {identity}\n\
         # Read anew at a SIGHUP. Sign it anew in time (`foreshadow pki crl`): past its end nobody gets in.\n\
         crlfile {crl}\n\
         require_certificate true\n\
         use_identity_as_username true\n\
         tls_version tlsv1.2\n",
        acl = acl.display()
    )
}
