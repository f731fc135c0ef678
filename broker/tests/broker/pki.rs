//! An authority and the certificates that it has issued, as PEM files in a folder of their own.

use std::{fs, path::PathBuf, time::Duration};

use broker::Tls;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use tempfile::TempDir;
use tokio_rustls::rustls::pki_types::{CertificateDer, UnixTime, pem::PemObject};

pub(crate) struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "test authority");
        let folder = tempfile::tempdir().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
        Self {
            folder,
            issuer: Issuer::new(params, key),
        }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Issues a certificate for `name`; its serial number is `serial`. `uris` say what it may do.
    pub(crate) fn issue(&self, name: &str, serial: u64, uris: &[&str]) {
        self.issue_for(name, serial, uris, Duration::from_hours(365 * 24));
    }

    /// As [`Authority::issue`], good for so long from now on.
    pub(crate) fn issue_for(&self, name: &str, serial: u64, uris: &[&str], good: Duration) {
        let mut params = CertificateParams::new(vec![name.to_owned(), "127.0.0.1".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let now = Duration::from_secs(UnixTime::now().as_secs());
        params.not_after = date_time_ymd(1970, 1, 1) + now + good;
        params.serial_number = Some(SerialNumber::from(serial));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let uri = |uri: &&str| rcgen::SanType::URI((*uri).try_into().unwrap());
        params.subject_alt_names.extend(uris.iter().map(uri));
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        fs::write(self.file(&format!("{name}.pem")), certificate.pem()).unwrap();
        trust::files::replace(&self.file(&format!("{name}.key")), key.serialize_pem().as_bytes()).unwrap();
    }

    /// The certificate of `name` as it was issued last, in DER.
    pub(crate) fn certificate(&self, name: &str) -> Vec<u8> {
        let text = fs::read(self.file(&format!("{name}.pem"))).unwrap();
        CertificateDer::from_pem_slice(&text).unwrap().to_vec()
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
            next_update: date_time_ymd(2124, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&self.issuer).unwrap();
        fs::write(self.file("crl.pem"), list.pem().unwrap()).unwrap();
    }

    /// The broker's side; a certificate `broker` must have been issued.
    pub(crate) fn broker(&self) -> Tls {
        Tls {
            certificate: self.file("broker.pem"),
            key: self.file("broker.key"),
            client_ca: Some(self.file("ca.pem")),
            crl: None,
            require_client_certificate: true,
        }
    }

    /// The side of a client that shows the certificate `name`.
    pub(crate) fn client(&self, name: &str) -> bus::Tls {
        bus::Tls {
            ca: self.file("ca.pem"),
            crl: None,
            certificate: Some(self.file(&format!("{name}.pem"))),
            key: Some(self.file(&format!("{name}.key"))),
            server_name: None,
        }
    }
}
