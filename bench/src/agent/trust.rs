//! An authority of the bench's own, and a broker and an agent that it vouches for.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType};

/// Writes certificates and keys into `folder`.
pub(super) fn issue(folder: &Path) -> anyhow::Result<()> {
    let key = KeyPair::generate()?;
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    fs::write(folder.join("ca.pem"), authority.self_signed(&key)?.pem())?;
    let issuer = Issuer::new(authority, key);
    // The agent may speak for the host that the sampler over TLS is called by.
    let agent: &[&str] = &["foreshadow:role/agent", "foreshadow:main/ours-tls/inband"];
    for (name, uris) in [("broker", &[][..]), ("agent", agent)] {
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, name);
        for &uri in uris {
            params.subject_alt_names.push(SanType::URI(uri.try_into()?));
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate()?;
        fs::write(file(folder, name, "pem"), params.signed_by(&key, &issuer)?.pem())?;
        let key_file = file(folder, name, "key");
        fs::write(&key_file, key.serialize_pem())?;
        // One that others may read is not taken.
        fs::set_permissions(&key_file, fs::Permissions::from_mode(0o600))?;
    }
    Ok(())
}

/// The broker's side.
pub(super) fn broker(folder: &Path) -> broker::Tls {
    broker::Tls {
        certificate: file(folder, "broker", "pem"),
        key: file(folder, "broker", "key"),
        client_ca: Some(folder.join("ca.pem")),
        crl: None,
        require_client_certificate: true,
    }
}

fn file(folder: &Path, name: &str, kind: &str) -> PathBuf {
    folder.join(format!("{name}.{kind}"))
}
