//! Issuing and its end: `init`, `host`, `brain`, `broker`, `viewer`, `renew`, `revoke`, `crl`, `rotate`.

use ::pki::{
    Authority, Issued, Subject,
    authority::Whom,
    lifetime::{self, date, ends_soon},
};
use anyhow::ensure;
use clap::Args;
use runtime::{Span, process::Usage};

use super::{Seat, part, say, seconds};

/// `pki init`.
#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// The cell, as agents and brain have it in their configuration
    #[arg(long, value_name = "CELL", default_value = "main")]
    cell: String,
    /// How long the authority is good [default: 10 years]
    #[arg(long, value_name = "SPAN")]
    valid: Option<Span>,
}

/// How long something is good.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct LifeArgs {
    /// How long it is good [default: 397days; a viewer 90days]
    #[arg(long, value_name = "SPAN")]
    pub(super) valid: Option<Span>,
}

/// `pki host`.
#[derive(Debug, Args)]
pub(super) struct HostArgs {
    /// The host, as its agent has it in its configuration
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    seat: Seat,
    #[command(flatten)]
    life: LifeArgs,
}

/// `pki broker`.
#[derive(Debug, Args)]
pub(super) struct BrokerArgs {
    /// A name or an address that clients connect to; may be given several times
    #[arg(long = "address", value_name = "NAME_OR_IP", required = true)]
    addresses: Vec<String>,
    #[command(flatten)]
    life: LifeArgs,
}

/// `pki viewer`.
#[derive(Debug, Args)]
pub(super) struct ViewerArgs {
    /// Who looks on
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    life: LifeArgs,
}

/// `pki renew`.
#[derive(Debug, Args)]
pub(super) struct RenewArgs {
    /// Which parts, as `pki list` names them
    #[arg(value_name = "NAME", required_unless_present = "due")]
    names: Vec<String>,
    /// All that end soon and whose key is here
    #[arg(long, conflicts_with = "names")]
    due: bool,
    #[command(flatten)]
    life: LifeArgs,
}

/// `pki revoke`.
#[derive(Debug, Args)]
pub(super) struct RevokeArgs {
    /// The part: all of its certificates and open tokens
    #[arg(value_name = "NAME", required_unless_present = "serial")]
    name: Option<String>,
    /// One certificate by its serial number
    #[arg(long, value_name = "SERIAL", conflicts_with = "name")]
    serial: Option<String>,
}

/// `pki rotate`.
#[derive(Debug, Args)]
pub(super) struct RotateArgs {
    /// How long the new authority is good [default: 10 years]
    #[arg(long, value_name = "SPAN", conflicts_with = "finish")]
    valid: Option<Span>,
    /// Ends the older authority; refused while a part has nothing of the new one
    #[arg(long)]
    finish: bool,
    /// Ends it all the same: such parts are outside then
    #[arg(long, requires = "finish")]
    force: bool,
}

impl InitArgs {
    pub(super) fn run(&self, authority: &Authority) -> anyhow::Result<()> {
        let life_s = self.valid.map_or(lifetime::AUTHORITY_S, seconds);
        ensure!(life_s > 0, Usage("--valid must be longer than 0".to_owned()));
        authority.init(&self.cell, life_s)?;
        let index = authority.index()?;
        let folder = authority.folder();
        let key = folder.key(index.keys.as_deref(), &index.newest()?.id);
        say(format!(
            "the authority of the cell {} is in {}, good until {}\nits key is {}: whoever has it can be everybody; keep it offline",
            index.cell,
            folder.path().display(),
            date(index.newest()?.to_s),
            key.display()
        ))
    }
}

impl HostArgs {
    pub(super) fn run(&self, authority: &Authority) -> anyhow::Result<()> {
        give(authority, &self.seat.subject(&self.name)?, self.life.valid)
    }
}

impl BrokerArgs {
    pub(super) fn run(self, authority: &Authority) -> anyhow::Result<()> {
        let subject = Subject::broker(self.addresses.into_iter().collect())?;
        give(authority, &subject, self.life.valid)
    }
}

impl ViewerArgs {
    pub(super) fn run(&self, authority: &Authority) -> anyhow::Result<()> {
        give(authority, &Subject::viewer(&self.name)?, self.life.valid)
    }
}

impl RenewArgs {
    pub(super) fn run(&self, authority: &Authority) -> anyhow::Result<()> {
        let index = authority.index()?;
        let now_s = authority.now_s();
        let mut names = self.names.clone();
        if self.due {
            let current = index.all_current(now_s).into_iter();
            let due = current.filter(|issued| !issued.enrolled && ends_soon(issued.from_s, issued.to_s, now_s));
            names.extend(due.map(|issued| issued.subject.name.clone()));
        }
        for name in names {
            let issued = authority.renew(part(&name), life_s(self.life.valid)?)?;
            tell(authority, &issued)?;
        }
        Ok(())
    }
}

impl RevokeArgs {
    pub(super) fn run(&self, authority: &Authority) -> anyhow::Result<()> {
        let whom = match (&self.name, &self.serial) {
            (Some(name), _) => Whom::Name(part(name).to_owned()),
            (None, serial) => Whom::Serial(serial.clone().unwrap_or_default()),
        };
        for issued in authority.revoke(&whom)? {
            say(format!("revoked: {} {}", issued.subject.name, issued.serial))?;
        }
        handed_on(authority)
    }
}

impl RotateArgs {
    pub(super) fn run(&self, authority: &Authority) -> anyhow::Result<()> {
        if self.finish {
            authority.finish_rotation(self.force)?;
            say("the older authority has ended")?;
        } else {
            let life_s = self.valid.map_or(lifetime::AUTHORITY_S, seconds);
            ensure!(life_s > 0, Usage("--valid must be longer than 0".to_owned()));
            let id = authority.rotate(life_s)?;
            say(format!("the authority {id} issues from now on, beside the one before"))?;
        }
        handed_on(authority)
    }
}

/// Signs the lists of revoked certificates anew.
pub(super) fn sign_lists(authority: &Authority) -> anyhow::Result<()> {
    authority.renew_lists()?;
    handed_on(authority)
}

/// Issues for `subject`.
pub(super) fn give(authority: &Authority, subject: &Subject, valid: Option<Span>) -> anyhow::Result<()> {
    let issued = authority.issue(subject, life_s(valid)?)?;
    tell(authority, &issued)
}

fn life_s(valid: Option<Span>) -> anyhow::Result<Option<i64>> {
    ensure!(
        valid.is_none_or(|span| span.as_secs() > 0),
        Usage("--valid must be at least 1s".to_owned())
    );
    Ok(valid.map(seconds))
}

fn tell(authority: &Authority, issued: &Issued) -> anyhow::Result<()> {
    let Subject { name, role, .. } = &issued.subject;
    let folder = authority.folder().issued(name);
    let until = date(issued.to_s);
    say(format!(
        "{role} {name} {}: {}, good until {until}",
        issued.subject.describe(),
        folder.display()
    ))
}

fn handed_on(authority: &Authority) -> anyhow::Result<()> {
    let folder = authority.folder().path().display();
    say(format!(
        "hand {folder}/ca.pem and {folder}/crl.pem on to all parts; they read them by themselves, brokers at a SIGHUP"
    ))
}
