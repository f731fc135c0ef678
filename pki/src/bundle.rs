//! What a part is given, as a folder of three files: who it is, whom it believes, and whom it does not any more.
//!
//! Certificate and key stand in one file, so that both are renewed in one step.

use std::{fs, path::Path};

use trust::files;

use crate::PkiError;

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

/// What a part's configuration needs to use the files in `folder`: the lines for an agent or a brain.
pub fn config_lines(folder: &Path, broker: &str) -> String {
    let file = |name: &str| format!("{:?}", folder.join(name).display().to_string());
    let (ca, crl, identity) = (file(CA), file(CRL), file(IDENTITY));
    format!(
        "[broker]\nhost = {broker:?}\nport = 8883\ntls = {{ ca = {ca}, certificate = {identity}, key = {identity} }}\n\n\
         [trust]\nca = {ca}\ncrl = {crl}\nidentities = [{{ certificate = {identity}, key = {identity} }}]\n"
    )
}
