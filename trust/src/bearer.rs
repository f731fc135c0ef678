//! Whose certificate it is: for who has let a connection in and wants to know by what name.

use rustls_pki_types::CertificateDer;
use webpki::EndEntityCert;

use crate::{Name, Validity, validity::Element};

/// The attribute "common name" (RFC 5280, appendix A: 2.5.4.3), as a DER object identifier.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// The longest common name, in bytes: that of X.509 (ub-common-name), in characters of up to four bytes.
const MAX_COMMON_NAME: usize = 256;

/// Who shows a certificate. Nothing of this is believed before an authority has vouched for the certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bearer {
    /// The common name of its subject; `None` where there is none, or no text of 1 to 256 bytes without control characters.
    pub common_name: Option<String>,
    /// What it is of foreshadow. Other names are left out.
    pub names: Vec<Name>,
    /// From when to when the certificate is good.
    pub validity: Validity,
}

impl Bearer {
    /// Reads a certificate in DER; `None` where it is none.
    pub fn of(der: &[u8]) -> Option<Self> {
        let validity = Validity::of(der)?;
        let der = CertificateDer::from(der);
        let certificate = EndEntityCert::try_from(&der).ok()?;
        Some(Self {
            common_name: common_name(certificate.subject()),
            names: certificate
                .valid_uri_names()
                .filter_map(|uri| uri.parse().ok())
                .collect(),
            validity,
        })
    }
}

/// The last common name of a subject (RFC 5280, 4.1.2.4): sets of pairs of attribute and value.
fn common_name(mut subject: &[u8]) -> Option<String> {
    let mut found = None;
    while let Some(set) = Element::take(&mut subject) {
        let mut set = set.content;
        while let Some(pair) = Element::take(&mut set) {
            let mut pair = pair.content;
            let (kind, value) = (Element::take(&mut pair)?, Element::take(&mut pair)?);
            if kind.content == COMMON_NAME {
                found = Some(value.content);
            }
        }
    }
    let text = std::str::from_utf8(found?).ok()?;
    let good = (1..=MAX_COMMON_NAME).contains(&text.len()) && !text.contains(char::is_control);
    good.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;
    use crate::Role;

    fn certificate(common_names: &[&str], uris: &[&str]) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["web-1.example".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "someone");
        for name in common_names {
            params.distinguished_name.push(DnType::CommonName, *name);
        }
        let uri = |uri: &&str| SanType::URI((*uri).try_into().unwrap());
        params.subject_alt_names.extend(uris.iter().map(uri));
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn a_certificate_tells_its_bearer() {
        let der = certificate(
            &["web-1"],
            &["foreshadow:role/viewer", "https://example", "foreshadow:?"],
        );
        let bearer = Bearer::of(&der).unwrap();
        assert_eq!(bearer.common_name.as_deref(), Some("web-1"));
        assert_eq!(bearer.names, [Name::Role(Role::Viewer)]);
        assert_eq!(Some(bearer.validity), Validity::of(&der));
    }

    #[test]
    fn a_name_that_is_none_is_none() {
        let long = "x".repeat(MAX_COMMON_NAME + 1);
        for name in [&["a\nb"][..], &["a\0b"], &[&long], &[""], &[]] {
            assert_eq!(
                Bearer::of(&certificate(name, &[])).unwrap().common_name,
                None,
                "{name:?}"
            );
        }
        assert_eq!(Bearer::of(b"no certificate"), None);
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let der = certificate(&["web-1"], &["foreshadow:role/agent"]);
        for at in 0..der.len() {
            let mut damaged = der.clone();
            damaged[at] ^= 0xff;
            for bytes in [&damaged[..], &der[..at]] {
                // Whatever it is, it is told or not: reading goes on.
                drop(Bearer::of(bytes));
            }
        }
    }
}
