//! A hostile broker between true agents and a true brain: it replays, reorders, changes, forges, redirects and keeps
//! back whatever it likes. Nothing is carried out that the brain has not said to that host for now, nothing forged is
//! kept, and all of it is told.

pub(crate) mod broker;
mod commands;
mod told;

use std::fs;

use shadow::{Vantage, wire};
use trust::{Identity, Kind, Pair, Scope};

use crate::fleet::{Fleet, pki};

/// Somebody who has this certificate, and so much that he likes to say.
fn rogue(pem: &str) -> Identity {
    Identity::load(&Pair {
        certificate: pem.into(),
        key: pem.into(),
    })
    .unwrap()
}

/// A brain of another authority than the fleet's.
fn stranger(fleet: &Fleet) -> Identity {
    let folder = fleet.stack.path().join("stranger");
    pki(&folder, &["init"]);
    pki(&folder, &["brain"]);
    rogue(folder.join("issued/_brain/identity.pem").to_str().unwrap())
}

fn scope(kind: Kind, host: &str) -> Scope<'_> {
    Scope {
        kind,
        cell: "main",
        host,
        vantage: Vantage::Inband,
    }
}

/// The message without its seal or signature.
fn bare(kind: Kind, payload: &[u8]) -> Vec<u8> {
    if let Ok(Some(found)) = wire::split_signature(kind.as_str(), payload) {
        return found.signed.to_vec();
    }
    let seal = wire::split_seal(kind.as_str(), payload).unwrap().unwrap();
    // The certificate's field has a number of two bytes and a length of two.
    let field = seal.certificate.len() + 4;
    seal.signed[..seal.signed.len() - field].to_vec()
}

fn audit(fleet: &Fleet) -> String {
    fs::read_to_string(fleet.stack.data().join("audit.jsonl")).unwrap_or_default()
}
