//! Certificates, requests and lists of revoked ones, from their parts. Pure but for the random numbers of new keys.
//!
//! Everything is Ed25519: seals need it, rustls and OpenSSL (mosquitto) speak it in TLS, and one key serves both.

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertificateSigningRequestParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, PKCS_ED25519, PublicKeyData,
    RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};
use rustls::pki_types::CertificateSigningRequestDer;
use trust::{Role, secret};

use crate::{PkiError, Subject, subject::ENROLMENT_NAME};

/// The longest request that is read, in bytes of PEM: the names of an agent twice over.
pub const MAX_REQUEST: usize = 16 << 10;

/// The bytes of a serial number: random, so that no two are alike, whatever becomes of the index.
const SERIAL_BYTES: usize = 16;

/// From when to when something is good, in seconds of the unix clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Good {
    /// From when on.
    pub from_s: i64,
    /// Up to when.
    pub to_s: i64,
}

/// A certificate with its key, in PEM.
#[derive(Debug)]
pub struct Made {
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

/// An authority that can sign.
#[derive(Debug)]
pub struct Issuer(rcgen::Issuer<'static, KeyPair>);

/// What a certificate is issued over.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// In which cell.
    pub cell: &'a str,
    /// From [`serial`].
    pub serial: &'a [u8],
    /// From when to when.
    pub good: Good,
}

/// What a host asks for.
#[derive(Debug)]
pub struct Request {
    /// The key that it has made.
    pub key: rcgen::PublicKey,
    /// The names that it wants to have.
    pub uris: BTreeSet<String>,
}

impl Request {
    /// The digest of its key, two digits a byte.
    pub fn key_digest(&self) -> String {
        secret::hex(&secret::digest(self.key.der_bytes()))
    }
}

/// A new serial number: positive, as X.509 wants it.
///
/// # Errors
/// [`PkiError::Random`].
pub fn serial() -> Result<Vec<u8>, PkiError> {
    let mut bytes: [u8; SERIAL_BYTES] = secret::random().ok_or(PkiError::Random)?;
    if let Some(first) = bytes.first_mut() {
        *first = *first & 0x7f | 0x40;
    }
    Ok(bytes.to_vec())
}

/// A new key.
///
/// # Errors
/// [`PkiError::Issue`] where the system has no random numbers.
pub fn key() -> Result<KeyPair, PkiError> {
    Ok(KeyPair::generate_for(&PKCS_ED25519)?)
}

/// A key in PEM, as PKCS #8 of version 1 (RFC 8410, 7): that of version 2, which ring writes, OpenSSL 3.0 does not read.
///
/// # Errors
/// [`PkiError::Asked`] where it is no Ed25519 key as ring writes it.
pub fn key_pem(key: &KeyPair) -> Result<String, PkiError> {
    const HEAD: [u8; 16] = *b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
    let seed = key.serialized_der().get(HEAD.len()..HEAD.len() + 32);
    let seed = seed.ok_or_else(|| PkiError::asked("no Ed25519 key"))?;
    Ok(pem::encode(&pem::Pem::new("PRIVATE KEY", [&HEAD[..], seed].concat())))
}

/// A new authority called `name`. It issues for parts alone, no further authorities.
///
/// # Errors
/// [`PkiError::Issue`].
pub fn authority(name: &str, good: Good) -> Result<Made, PkiError> {
    let key = key()?;
    let mut params = dated(good);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(SerialNumber::from_slice(&serial()?));
    Ok(Made {
        certificate: params.self_signed(&key)?.pem(),
        key: key.serialize_pem(),
    })
}

impl Issuer {
    /// The authority of these files.
    ///
    /// # Errors
    /// [`PkiError::Issue`] when they are of no use.
    pub fn new(made: &Made) -> Result<Self, PkiError> {
        let key = KeyPair::from_pem(&made.key)?;
        Ok(Self(rcgen::Issuer::from_ca_cert_pem(&made.certificate, key)?))
    }

    /// A certificate of `key` for `subject`, in PEM.
    ///
    /// # Errors
    /// [`PkiError::Issue`].
    pub fn certificate(
        &self,
        subject: &Subject,
        key: &impl PublicKeyData,
        terms: &Terms<'_>,
    ) -> Result<String, PkiError> {
        let mut params = dated(terms.good);
        params
            .distinguished_name
            .push(DnType::CommonName, subject.name.as_str());
        params.subject_alt_names = uris(subject, terms.cell)?;
        for address in &subject.addresses {
            params.subject_alt_names.push(match address.parse::<IpAddr>() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(address.as_str().try_into()?),
            });
        }
        let usage = match subject.role {
            Role::Broker => ExtendedKeyUsagePurpose::ServerAuth,
            Role::Agent | Role::Brain | Role::Viewer => ExtendedKeyUsagePurpose::ClientAuth,
        };
        self.sign(params, usage, key, terms.serial)
    }

    /// The certificate of the server of enrolment: by its one name, and good for nothing else.
    ///
    /// # Errors
    /// [`PkiError::Issue`].
    pub fn enrolment(&self, key: &impl PublicKeyData, good: Good) -> Result<String, PkiError> {
        let mut params = dated(good);
        params.distinguished_name.push(DnType::CommonName, "enrolment");
        params.subject_alt_names = vec![SanType::DnsName(ENROLMENT_NAME.try_into()?)];
        self.sign(params, ExtendedKeyUsagePurpose::ServerAuth, key, &serial()?)
    }

    fn sign(
        &self,
        mut params: CertificateParams,
        usage: ExtendedKeyUsagePurpose,
        key: &impl PublicKeyData,
        serial: &[u8],
    ) -> Result<String, PkiError> {
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(SerialNumber::from_slice(serial));
        Ok(params.signed_by(key, &self.0)?.pem())
    }

    /// The list number `number` of revoked ones, each with its serial number and when, in PEM.
    ///
    /// # Errors
    /// [`PkiError::Issue`].
    pub fn revoked(&self, number: u64, good: Good, revoked: &[(Vec<u8>, i64)]) -> Result<String, PkiError> {
        let one = |(serial, at_s): &(Vec<u8>, i64)| RevokedCertParams {
            serial_number: SerialNumber::from_slice(serial),
            revocation_time: second(*at_s),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: second(good.from_s),
            next_update: second(good.to_s),
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: revoked.iter().map(one).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(list.signed_by(&self.0)?.pem()?)
    }
}

/// What a host sends to be given a certificate: its new key's name for `subject`, signed by that key.
///
/// # Errors
/// [`PkiError::Issue`].
pub fn request(subject: &Subject, cell: &str, key: &KeyPair) -> Result<String, PkiError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, subject.name.as_str());
    params.subject_alt_names = uris(subject, cell)?;
    Ok(params.serialize_request(key)?.pem()?)
}

/// Reads a request, and whether whoever made it has the key. Nothing else of it counts: what a certificate is good for is
/// its issuer's to say.
///
/// # Errors
/// [`PkiError`] when it is none, too long, of another kind of key, or asks for names of another kind.
pub fn read_request(pem: &str) -> Result<Request, PkiError> {
    use rustls::pki_types::pem::PemObject;
    if pem.len() > MAX_REQUEST {
        return Err(PkiError::Asked(format!("a request of more than {MAX_REQUEST} bytes")));
    }
    let der = CertificateSigningRequestDer::from_pem_slice(pem.as_bytes());
    let der = der.map_err(|error| PkiError::Asked(format!("no request in PEM: {error}")))?;
    let request = CertificateSigningRequestParams::from_der(&der)?;
    if *request.public_key.algorithm() != PKCS_ED25519 {
        return Err(PkiError::asked(
            "the key of a request must be Ed25519, which seals need",
        ));
    }
    let uri = |name: &SanType| match name {
        SanType::URI(uri) => Ok(uri.as_str().to_owned()),
        other => Err(PkiError::Asked(format!(
            "a request for a name that is no URI: {other:?}"
        ))),
    };
    let uris = request
        .params
        .subject_alt_names
        .iter()
        .map(uri)
        .collect::<Result<_, _>>()?;
    Ok(Request {
        key: request.public_key,
        uris,
    })
}

fn uris(subject: &Subject, cell: &str) -> Result<Vec<SanType>, PkiError> {
    let uri = |uri: String| Ok(SanType::URI(uri.try_into()?));
    subject.uris(cell).into_iter().map(uri).collect()
}

fn dated(good: Good) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    (params.not_before, params.not_after) = (second(good.from_s), second(good.to_s));
    params
}

/// A second of the unix clock as rcgen has it; before 1970 is 1970.
fn second(s: i64) -> time::OffsetDateTime {
    date_time_ymd(1970, 1, 1) + Duration::from_secs(s.max(0).unsigned_abs())
}
