//! `pki list`: what was issued, and what ends soon.

use ::pki::{
    Authority, Index, Issued,
    lifetime::{self, date, ends_soon},
};
use anyhow::Context;
use clap::Args;
use serde::Serialize;

use super::say;

/// `pki list`.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// What is shown of a cell.
#[derive(Serialize)]
struct Shown<'a> {
    cell: &'a str,
    authorities: Vec<ShownAuthority<'a>>,
    certificates: Vec<ShownIssued<'a>>,
    open_tokens: usize,
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct ShownAuthority<'a> {
    id: &'a str,
    from_s: i64,
    to_s: i64,
    list_due_s: i64,
}

#[derive(Serialize)]
struct ShownIssued<'a> {
    #[serde(flatten)]
    issued: &'a Issued,
    state: &'static str,
}

impl ListArgs {
    pub(super) fn run(&self, authority: &Authority) -> anyhow::Result<()> {
        let index = authority.index()?;
        let shown = shown(&index, authority.now_s());
        if self.json {
            return say(serde_json::to_string_pretty(&shown).context("the list")?);
        }
        say(text(&shown))
    }
}

fn shown(index: &Index, now_s: i64) -> Shown<'_> {
    let authorities = index.authorities.iter().map(|signer| ShownAuthority {
        id: &signer.id,
        from_s: signer.from_s,
        to_s: signer.to_s,
        list_due_s: signer.list_to_s,
    });
    let certificates = index.issued.iter().map(|issued| ShownIssued {
        issued,
        state: state(index, issued, now_s),
    });
    let open = index.tokens.iter().filter(|token| token.is_open(now_s));
    Shown {
        cell: &index.cell,
        authorities: authorities.collect(),
        certificates: certificates.collect(),
        open_tokens: open.count(),
        warnings: warnings(index, now_s),
    }
}

/// In a word, how it stands with a certificate.
fn state(index: &Index, issued: &Issued, now_s: i64) -> &'static str {
    let is_newest = || {
        let current = index.current(&issued.subject.name, now_s);
        current.is_some_and(|current| current.serial == issued.serial)
    };
    match issued {
        issued if issued.revoked_s.is_some() => "revoked",
        issued if now_s > issued.to_s => "expired",
        _ if !is_newest() => "renewed",
        issued if ends_soon(issued.from_s, issued.to_s, now_s) => "ends soon",
        _ => "good",
    }
}

/// What is to be done before long, each in a sentence.
fn warnings(index: &Index, now_s: i64) -> Vec<String> {
    let mut all = Vec::new();
    for signer in &index.authorities {
        if ends_soon(signer.from_s, signer.to_s, now_s) {
            let until = date(signer.to_s);
            all.push(format!(
                "the authority {} ends {until}: `foreshadow pki rotate`",
                signer.id
            ));
        }
        if ends_soon(signer.list_to_s - lifetime::CRL_S, signer.list_to_s, now_s) {
            let until = date(signer.list_to_s);
            all.push(format!(
                "the list of revoked certificates is due {until}: `foreshadow pki crl`"
            ));
        }
    }
    let ends = |issued: &&Issued| ends_soon(issued.from_s, issued.to_s, now_s);
    for issued in index.all_current(now_s).into_iter().filter(ends) {
        let (name, until) = (&issued.subject.name, date(issued.to_s));
        let cure = if issued.enrolled { "token" } else { "renew" };
        all.push(format!("{name} ends {until}: `foreshadow pki {cure} {name}`"));
    }
    all
}

fn text(shown: &Shown<'_>) -> String {
    let width = shown.certificates.iter().map(|row| row.issued.subject.name.len());
    let width = width.max().unwrap_or(0).max("name".len());
    let mut lines = vec![format!(
        "{:<width$}  {:<6}  {:<9}  {:<10}  {:<32}  for",
        "name", "role", "state", "until", "serial"
    )];
    for row in &shown.certificates {
        let Issued {
            subject, serial, to_s, ..
        } = row.issued;
        lines.push(format!(
            "{:<width$}  {:<6}  {:<9}  {:<10}  {serial:<32}  {}",
            subject.name,
            subject.role.as_str(),
            row.state,
            date(*to_s),
            subject.describe()
        ));
    }
    for authority in &shown.authorities {
        let (until, due) = (date(authority.to_s), date(authority.list_due_s));
        lines.push(format!(
            "authority {} of {}: until {until}; its list is due {due}",
            authority.id, shown.cell
        ));
    }
    lines.push(format!("open tokens: {}", shown.open_tokens));
    lines.extend(shown.warnings.iter().map(|warning| format!("WARNING: {warning}")));
    let lines: Vec<&str> = lines.iter().map(|line| line.trim_end()).collect();
    lines.join("\n")
}
