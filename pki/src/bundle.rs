//! What a part is given, as a folder of three files: who it is, whom it believes, and whom it does not any more.
//!
//! Certificate and key stand in one file, so that both are renewed in one step.

use std::{fs, path::Path};

use shadow::Vantage;
use trust::{Role, files};

use crate::{PkiError, Subject};

/// A certificate with its key.
pub const IDENTITY: &str = "identity.pem";
/// The authorities of the cell.
pub const CA: &str = "ca.pem";
/// What they have revoked.
pub const CRL: &str = "crl.pem";

/// An identity in one file.
pub fn identity(certificate: &str, key: &str) -> String {
    format!("{certificate}{key}")
}

/// Writes the authorities and their lists into `folder` where they are not as they should be. The lists first: one of an
/// authority that is not known yet harms nobody, an authority without a list is not believed.
///
/// # Errors
/// [`PkiError::File`].
pub fn refresh(folder: &Path, ca: &str, crl: &str) -> Result<(), PkiError> {
    for (name, text) in [(CRL, crl), (CA, ca)] {
        let path = folder.join(name);
        if fs::read(&path).ok().as_deref() != Some(text.as_bytes()) {
            files::replace(&path, text.as_bytes())?;
        }
    }
    Ok(())
}

/// How a part reaches its broker.
#[derive(Debug, Clone)]
pub struct Way<'a> {
    /// The folder of the part's files, on its machine.
    pub folder: &'a Path,
    /// The broker's name, as its certificate has it.
    pub broker: &'a str,
    /// Its port.
    pub port: u16,
}

/// The configuration by which `subject`, a part of `cell`, uses its files; for a viewer, a command.
pub fn config(subject: &Subject, cell: &str, way: &Way<'_>) -> String {
    let file = |name: &str| way.folder.join(name).display().to_string();
    let (ca, crl, identity) = (file(CA), file(CRL), file(IDENTITY));
    let (broker, port) = (way.broker, way.port);
    let client = format!(
        "[broker]\nhost = {broker:?}\nport = {port}\n\
         tls = {{ ca = {ca:?}, crl = {crl:?}, certificate = {identity:?}, key = {identity:?} }}\n\n\
         [trust]\nca = {ca:?}\ncrl = {crl:?}\nidentities = [{{ certificate = {identity:?}, key = {identity:?} }}]\n"
    );
    match subject.role {
        Role::Agent => {
            let own = subject.streams.iter().find(|stream| stream.host == subject.name);
            let vantage = own.map_or(Vantage::Inband, |stream| stream.vantage);
            format!(
                "host = {:?}\ncell = {cell:?}\nvantage = \"{vantage}\"\n\n{client}",
                subject.name
            )
        }
        Role::Brain => format!("cell = {cell:?}\ndata_dir = \"data/brain\"\n\n{client}"),
        Role::Broker => format!(
            "# Loopback alone; \"0.0.0.0:{port}\" is open to the network.\nlisten = \"127.0.0.1:{port}\"\n\
             data = \"data/broker\"\naudit = \"data/broker/audit.jsonl\"\n\n\
             [access]\nanonymous = \"nothing\"\n\n\
             [tls]\ncertificate = {identity:?}\nkey = {identity:?}\nclient_ca = {ca:?}\ncrl = {crl:?}\n\
             require_client_certificate = true\n"
        ),
        Role::Viewer => format!(
            "mosquitto_sub -h {broker} -p {port} --cafile {ca} --cert {identity} --key {identity} -v -t 'foreshadow/+/+/view/#'\n"
        ),
    }
}
