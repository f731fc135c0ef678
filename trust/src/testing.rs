//! An authority for tests, and what it issues, as files in a folder of their own.

use std::{cell::Cell, path::PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, PKCS_ED25519, RevokedCertParams, SanType, SerialNumber,
    date_time_ymd,
};
use shadow::Vantage;
use tempfile::TempDir;

use crate::{Authorities, Config, Identity, Kind, Pair, Scope, Trust};

/// When everything happens, in milliseconds of the unix clock.
pub(crate) const NOW_MS: i64 = 1_800_000_000_000;

/// From when to when certificates are good that are not about time, in seconds.
pub(crate) const GOOD: (i64, i64) = (1_700_000_000, 1_900_000_000);

pub(crate) struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
    issued: Cell<u64>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "test authority");
        let folder = tempfile::tempdir().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
        Self {
            folder,
            issuer: Issuer::new(params, key),
            issued: Cell::new(0),
        }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Issues a certificate for `uris`, good from and to these seconds of the unix clock, as `N.pem` and `N.key`.
    pub(crate) fn pair(&self, uris: &[&str], (from_s, to_s): (i64, i64)) -> Pair {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        let uri = |uri: &&str| SanType::URI((*uri).try_into().unwrap());
        params.subject_alt_names = uris.iter().map(uri).collect();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let second = |s: i64| date_time_ymd(1970, 1, 1) + std::time::Duration::from_secs(s.unsigned_abs());
        (params.not_before, params.not_after) = (second(from_s), second(to_s));
        let serial = self.issued.get() + 1;
        self.issued.set(serial);
        params.serial_number = Some(SerialNumber::from(serial));
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let pair = Pair {
            certificate: self.file(&format!("{serial}.pem")),
            key: self.file(&format!("{serial}.key")),
        };
        std::fs::write(&pair.certificate, certificate.pem()).unwrap();
        crate::files::replace(&pair.key, key.serialize_pem().as_bytes()).unwrap();
        pair
    }

    pub(crate) fn certificate(&self, uris: &[&str], good_s: (i64, i64)) -> Identity {
        Identity::load(&self.pair(uris, good_s)).unwrap()
    }

    pub(crate) fn brain(&self) -> Identity {
        self.certificate(&["foreshadow:role/brain", "foreshadow:lab/_brain"], GOOD)
    }

    pub(crate) fn agent(&self, host: &str) -> Identity {
        let uri = format!("foreshadow:lab/{host}/inband");
        self.certificate(&["foreshadow:role/agent", &uri], GOOD)
    }

    /// Writes the list of those that are no longer good.
    pub(crate) fn revoke(&self, serials: &[u64]) {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(2034, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&self.issuer).unwrap().pem().unwrap();
        std::fs::write(self.file("crl.pem"), list).unwrap();
    }

    pub(crate) fn config(&self, identities: Vec<Pair>) -> Config {
        let crl = self.file("crl.pem");
        Config {
            ca: self.file("ca.pem"),
            crl: crl.exists().then_some(crl),
            identities,
            sign_frames: true,
        }
    }

    pub(crate) fn authorities(&self) -> Authorities {
        Authorities::load(&self.config(Vec::new())).unwrap()
    }

    pub(crate) fn trust(&self, identities: Vec<Pair>) -> Trust {
        Trust::load(self.config(identities), "lab").unwrap()
    }
}

pub(crate) const fn scope(kind: Kind, host: &str) -> Scope<'_> {
    Scope {
        kind,
        cell: "lab",
        host,
        vantage: Vantage::Inband,
    }
}
