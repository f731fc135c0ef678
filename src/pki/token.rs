//! `pki token`: one-time words, by which hosts enrol.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use ::pki::{Authority, Stream, Subject, lifetime};
use anyhow::{Context, bail, ensure};
use clap::Args;
use runtime::{Span, process::Usage};
use shadow::Vantage;
use trust::files;

use super::{Seat, say, seconds};

/// `pki token`.
#[derive(Debug, Args)]
pub(super) struct TokenArgs {
    /// The host that may enrol by it
    #[arg(value_name = "HOST", required_unless_present = "hosts")]
    host: Option<String>,
    #[command(flatten)]
    seat: Seat,
    /// A file with a host a line, and behind it further HOST/VANTAGE that its agent speaks for
    #[arg(long, value_name = "FILE", conflicts_with_all = ["host", "vantage", "others"])]
    hosts: Option<PathBuf>,
    /// Writes a file HOST.token for each into this folder, instead of printing
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// How long it is good, at most 7days
    #[arg(long, value_name = "SPAN", default_value = "1h")]
    valid: Span,
}

impl TokenArgs {
    pub(super) fn run(&self, authority: &Authority) -> anyhow::Result<()> {
        let life_s = seconds(self.valid);
        ensure!(
            (1..=lifetime::TOKEN_S).contains(&life_s),
            Usage("--valid must be 1s to 7days".to_owned())
        );
        let subjects = self.subjects()?;
        let file = |out: &Path, subject: &Subject| out.join(format!("{}.token", subject.name));
        if let Some(out) = &self.out
            && let Some(taken) = subjects
                .iter()
                .map(|subject| file(out, subject))
                .find(|path| path.exists())
        {
            bail!(
                "{}: it is there already, and no token was made: take it away, or name another folder with --out",
                taken.display()
            );
        }
        let tokens = authority.tokens(&subjects, life_s)?;
        let Some(out) = &self.out else {
            for (subject, token) in subjects.iter().zip(tokens) {
                // One alone is ready to be sent on through a pipe.
                let name = if self.hosts.is_some() {
                    format!("{} ", subject.name)
                } else {
                    String::new()
                };
                say(format!("{name}{token}"))?;
            }
            return Ok(());
        };
        files::folder(out)?;
        for (subject, token) in subjects.iter().zip(tokens) {
            files::create(&file(out, subject), format!("{token}\n").as_bytes())?;
        }
        say(format!("{}: {} tokens, one a file", out.display(), subjects.len()))
    }

    fn subjects(&self) -> anyhow::Result<Vec<Subject>> {
        match (&self.hosts, &self.host) {
            (Some(path), _) => {
                let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
                read(&text).with_context(|| path.display().to_string())
            }
            (None, Some(host)) => Ok(vec![self.seat.subject(host)?]),
            (None, None) => bail!(Usage("name a host, or --hosts FILE".to_owned())),
        }
    }
}

/// Hosts, one a line; `#` begins a remark.
fn read(text: &str) -> anyhow::Result<Vec<Subject>> {
    let mut subjects: Vec<Subject> = Vec::new();
    let mut names = BTreeSet::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let Some(name) = words.next() else { continue };
        let at = || format!("line {number}");
        ensure!(
            names.insert(name),
            "line {number}: {name} stands here twice; take one of the lines away"
        );
        let own = Stream {
            host: name.to_owned(),
            vantage: Vantage::Inband,
        };
        let more = words.map(|word| word.parse::<Stream>().map_err(anyhow::Error::msg));
        let mut streams = more.collect::<Result<BTreeSet<Stream>, _>>().with_context(at)?;
        streams.insert(own);
        subjects.push(Subject::agent(name, streams).with_context(at)?);
    }
    ensure!(!subjects.is_empty(), "no host stands in it; it has one a line");
    Ok(subjects)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_stand_one_a_line() {
        let found = read("# rack 1\nweb-1\n\n gw web-1/oob web-2/oob # beside their BMCs\n").unwrap();
        let told: Vec<String> = found
            .iter()
            .map(|subject| format!("{} {}", subject.name, subject.describe()))
            .collect();
        assert_eq!(told, ["web-1 web-1/inband", "gw gw/inband web-1/oob web-2/oob"]);
        for (bad, part) in [
            ("", "no host"),
            ("a\na", "line 2"),
            ("a b", "line 1"),
            ("a\n\n_b", "line 3"),
        ] {
            let fault = format!("{:#}", read(bad).unwrap_err());
            assert!(fault.contains(part), "{fault}");
        }
    }
}
