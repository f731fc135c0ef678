//! An authority in a folder: what it issues is what the readers of seals and certificates expect, and nothing is left half
//! done.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use runtime::Clock;
use shadow::Vantage;
use tempfile::TempDir;
use trust::{Authorities, Bearer, Identity, Kind, Pair, Scope, SealError, audit};

use crate::{
    authority::Whom,
    bundle::{CA, CRL, IDENTITY},
    issue, lifetime,
    subject::MAX_STREAMS,
    *,
};

const NOW_MS: i64 = 1_800_000_000_000;

struct Lab {
    folder: TempDir,
    clock: Clock,
    authority: Authority,
}

fn agent(name: &str) -> Subject {
    Subject::agent(name, BTreeSet::from([format!("{name}/inband").parse().unwrap()])).unwrap()
}

impl Lab {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::manual(NOW_MS);
        let authority = Authority::new(folder.path().join("pki"), None, clock.clone());
        authority.init("lab", lifetime::AUTHORITY_S).unwrap();
        Self {
            folder,
            clock,
            authority,
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("pki")
    }

    fn identity(&self, name: &str) -> Identity {
        let file = self.authority.folder().issued(name).join(IDENTITY);
        Identity::load(&Pair {
            certificate: file.clone(),
            key: file,
        })
        .unwrap()
    }

    /// Whether a birth of `web-1` that `identity` seals is believed by whoever has the files in `folder`.
    fn believed(&self, folder: &Path, identity: &Identity) -> Result<(), SealError> {
        let scope = Scope {
            kind: Kind::Birth,
            cell: "lab",
            host: "web-1",
            vantage: Vantage::Inband,
        };
        let config = trust::Config {
            ca: folder.join(CA),
            crl: Some(folder.join(CRL)),
            identities: Vec::new(),
            sign_frames: true,
        };
        let sealed = identity.seal(&scope, b"\x0a\x03abc".to_vec());
        Authorities::load(&config)
            .unwrap()
            .check(&scope, &sealed, self.clock.now_ms())
    }

    fn kinds(&self) -> Vec<String> {
        let text = fs::read_to_string(self.authority.folder().audit()).unwrap();
        audit::verify(&self.authority.folder().audit()).unwrap();
        let what = |line: &str| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["what"]
                .as_str()
                .unwrap()
                .to_owned()
        };
        text.lines().map(what).collect()
    }
}

#[test]
fn what_is_issued_is_believed_and_private() {
    let lab = Lab::new();
    lab.authority.issue(&agent("web-1"), None).unwrap();
    lab.authority.issue(&Subject::brain(), None).unwrap();
    let brain = lab.authority.folder().issued("_brain");
    assert_eq!(lab.believed(&brain, &lab.identity("web-1")), Ok(()));
    assert!(matches!(
        lab.believed(&brain, &lab.identity("_brain")),
        Err(SealError::Name(_))
    ));
    let bearer = Bearer::of(lab.identity("web-1").der()).unwrap();
    assert_eq!(bearer.common_name.as_deref(), Some("web-1"));
    assert_eq!(bearer.names.len(), 2);
    let mut folders = vec![lab.path()];
    while let Some(folder) = folders.pop() {
        assert_eq!(
            fs::metadata(&folder).unwrap().permissions().mode() & 0o777,
            0o700,
            "{folder:?}"
        );
        for entry in fs::read_dir(folder).unwrap().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                assert_eq!(
                    entry.metadata().unwrap().permissions().mode() & 0o777,
                    0o600,
                    "{entry:?}"
                );
            }
        }
    }
}

#[test]
fn nothing_is_overwritten_and_a_name_has_one_role() {
    let lab = Lab::new();
    assert!(matches!(lab.authority.init("lab", 1_000), Err(PkiError::Exists(_))));
    lab.authority.issue(&agent("web-1"), None).unwrap();
    let before = fs::read(lab.authority.folder().issued("web-1").join(IDENTITY)).unwrap();
    let fault = lab.authority.issue(&agent("web-1"), None).unwrap_err().to_string();
    assert!(fault.contains("pki renew web-1"), "{fault}");
    let fault = lab
        .authority
        .issue(&Subject::viewer("web-1").unwrap(), None)
        .unwrap_err()
        .to_string();
    assert!(fault.contains("has a certificate"), "{fault}");
    let fault = lab
        .authority
        .tokens(&[Subject::viewer("web-1").unwrap()], 100)
        .unwrap_err()
        .to_string();
    assert!(fault.contains("role agent"), "{fault}");
    assert_eq!(
        fs::read(lab.authority.folder().issued("web-1").join(IDENTITY)).unwrap(),
        before
    );
}

#[test]
fn the_longest_certificate_goes_with_a_seal() {
    let lab = Lab::new();
    let long = |n: usize| format!("{n:02}{}/inband", "x".repeat(61)).parse().unwrap();
    let folder = lab.folder.path().join("long");
    let authority = Authority::new(&folder, None, lab.clock.clone());
    authority.init(&"c".repeat(63), lifetime::AUTHORITY_S).unwrap();
    let subject = Subject::agent(&"n".repeat(63), (0..MAX_STREAMS).map(long).collect()).unwrap();
    authority.issue(&subject, None).unwrap();
    let file = authority.folder().issued(&subject.name).join(IDENTITY);
    // Loading it refuses what is longer than a seal carries.
    let pair = Pair {
        certificate: file.clone(),
        key: file,
    };
    let length = Identity::load(&pair).unwrap().der().len();
    assert!((3_000..=4_096).contains(&length), "{length}");
}

#[test]
fn lives_end_with_their_authority_and_are_renewed_in_time() {
    let lab = Lab::new();
    let first = lab.authority.issue(&agent("web-1"), Some(1_000)).unwrap();
    assert_eq!(first.to_s, NOW_MS / 1_000 + 1_000);
    let second = lab.authority.renew("web-1", None).unwrap();
    assert_eq!(second.to_s, NOW_MS / 1_000 + lifetime::PART_S);
    assert!(lab.authority.renew("web-2", None).is_err());
    let index = lab.authority.index().unwrap();
    assert_eq!(index.issued.len(), 2, "both are good until their end");
    assert_eq!(index.all_current(NOW_MS / 1_000).len(), 1);
    // Nine years later the authority has a year left, and a certificate of five is cut.
    lab.clock
        .set(NOW_MS + (lifetime::AUTHORITY_S - 365 * lifetime::DAY_S) * 1_000);
    let late = lab
        .authority
        .issue(&agent("web-9"), Some(5 * 365 * lifetime::DAY_S))
        .unwrap();
    assert_eq!(late.to_s, index.newest().unwrap().to_s);
    assert_eq!(
        lab.authority.index().unwrap().issued.len(),
        1,
        "what ended is forgotten"
    );
    lab.clock.set(NOW_MS + (lifetime::AUTHORITY_S + 1) * 1_000);
    let fault = lab.authority.issue(&agent("web-8"), None).unwrap_err().to_string();
    assert!(fault.contains("pki rotate"), "{fault}");
}

#[test]
fn revoked_is_revoked_for_everybody() {
    let lab = Lab::new();
    lab.authority.issue(&agent("web-1"), None).unwrap();
    let old = lab.identity("web-1");
    let renewed = lab.authority.renew("web-1", None).unwrap();
    let new = lab.identity("web-1");
    assert_eq!(
        (lab.believed(&lab.path(), &old), lab.believed(&lab.path(), &new)),
        (Ok(()), Ok(()))
    );
    lab.authority.revoke(&Whom::Serial(renewed.serial)).unwrap();
    assert!(matches!(
        lab.believed(&lab.path(), &new),
        Err(SealError::Certificate(_))
    ));
    assert_eq!(lab.believed(&lab.path(), &old), Ok(()));
    lab.authority.revoke(&Whom::Name("web-1".to_owned())).unwrap();
    assert!(matches!(
        lab.believed(&lab.path(), &old),
        Err(SealError::Certificate(_))
    ));
    let fault = lab
        .authority
        .revoke(&Whom::Name("web-1".to_owned()))
        .unwrap_err()
        .to_string();
    assert!(fault.contains("nothing"), "{fault}");
    lab.authority.issue(&agent("web-1"), None).unwrap();
    assert_eq!(lab.believed(&lab.path(), &lab.identity("web-1")), Ok(()));
    let told = lab.kinds();
    let key = ["authority made", "issued", "issued", "revoked", "revoked", "issued"];
    assert_eq!(told[1..], key);
}

#[test]
fn authorities_overlap_while_they_are_rotated() {
    let lab = Lab::new();
    lab.authority.issue(&agent("web-1"), None).unwrap();
    lab.authority.issue(&Subject::brain(), None).unwrap();
    let brain = lab.authority.folder().issued("_brain");
    let old = lab.identity("web-1");
    lab.authority.rotate(lifetime::AUTHORITY_S).unwrap();
    assert!(lab.authority.rotate(1_000).is_err());
    lab.authority.renew("web-1", None).unwrap();
    let new = lab.identity("web-1");
    // The brain's folder has both authorities without a certificate of its own being renewed.
    assert_eq!(
        (lab.believed(&brain, &old), lab.believed(&brain, &new)),
        (Ok(()), Ok(()))
    );
    let fault = lab.authority.finish_rotation(false).unwrap_err().to_string();
    assert!(fault.contains("_brain") && !fault.contains("web-1"), "{fault}");
    lab.authority.renew("_brain", None).unwrap();
    lab.authority.finish_rotation(false).unwrap();
    assert_eq!(lab.believed(&brain, &new), Ok(()));
    assert!(matches!(lab.believed(&brain, &old), Err(SealError::Certificate(_))));
}

#[test]
fn a_key_on_a_medium_is_asked_for_and_only_where_it_is_needed() {
    let home = tempfile::tempdir().unwrap();
    let (pki, stick) = (home.path().join("pki"), home.path().join("stick"));
    let authority = Authority::new(&pki, Some(stick.clone()), Clock::manual(NOW_MS));
    authority.init("lab", lifetime::AUTHORITY_S).unwrap();
    let authority = Authority::new(&pki, None, Clock::manual(NOW_MS));
    authority.issue(&agent("web-1"), None).unwrap();
    assert!(!pki.join("keys").exists());
    let away = home.path().join("drawer");
    fs::rename(&stick, &away).unwrap();
    assert!(matches!(authority.issue(&agent("web-2"), None), Err(PkiError::Key(_))));
    assert!(matches!(
        authority.revoke(&Whom::Name("web-1".to_owned())),
        Err(PkiError::Key(_))
    ));
    authority.tokens(&[agent("web-3")], 60).unwrap();
    assert!(authority.index().unwrap().issued[0].is_good(NOW_MS / 1_000));
    let elsewhere = Authority::new(&pki, Some(away), Clock::manual(NOW_MS));
    elsewhere.issue(&agent("web-2"), None).unwrap();
}

/// The folder as it is after each step of a change that was interrupted there: the next command brings it to an end.
#[test]
fn whatever_was_interrupted_is_brought_to_an_end() {
    let lab = Lab::new();
    lab.authority.issue(&agent("web-1"), None).unwrap();
    let folder = lab.authority.folder();
    let index = fs::read(lab.path().join("index.json")).unwrap();
    let before = fs::read(folder.issued("web-1").join(IDENTITY)).unwrap();
    let renewed = lab.authority.renew("web-1", None).unwrap();
    let after = fs::read(folder.issued("web-1").join(IDENTITY)).unwrap();
    let renewed_index = fs::read(lab.path().join("index.json")).unwrap();
    let staged = lab.path().join(format!("issued/.web-1.{}", renewed.serial));
    let interrupted = |index: &[u8]| {
        fs::write(lab.path().join("index.json"), index).unwrap();
        fs::write(&staged, &after).unwrap();
        fs::write(folder.issued("web-1").join(IDENTITY), &before).unwrap();
        fs::write(folder.issued("web-1").join(CA), b"half").unwrap();
        fs::remove_file(lab.path().join(CRL)).unwrap();
        lab.authority.tokens(&[], 1).unwrap();
        assert!(!staged.exists());
        assert_eq!(
            fs::read(folder.issued("web-1").join(CA)).unwrap(),
            fs::read(lab.path().join(CA)).unwrap()
        );
        assert!(lab.path().join(CRL).exists());
        fs::read(folder.issued("web-1").join(IDENTITY)).unwrap()
    };
    // Before the index was written nothing has happened; after it, everything.
    assert!(interrupted(&index) == before);
    assert!(interrupted(&renewed_index) == after);
}

#[test]
fn a_request_is_for_the_names_of_its_token_once() {
    let lab = Lab::new();
    let [token, late] = &lab.authority.tokens(&[agent("web-1"), agent("web-2")], 60).unwrap()[..] else {
        panic!()
    };
    let request = |subject: &Subject| {
        let pem = issue::request(subject, "lab", &issue::key().unwrap()).unwrap();
        issue::read_request(&pem).unwrap()
    };
    let enrol = |token: &Token, subject: &Subject| lab.authority.enrol(&token.digest(), &request(subject), "10.0.0.1");
    for other in [agent("web-2"), Subject::brain(), Subject::viewer("web-1").unwrap()] {
        let fault = enrol(token, &other).unwrap_err().to_string();
        assert!(fault.contains("foreshadow:lab/web-1/inband"), "{fault}");
    }
    let both = ["web-1/inband", "web-1/oob"].map(|stream| stream.parse().unwrap());
    assert!(enrol(token, &Subject::agent("web-1", BTreeSet::from(both)).unwrap()).is_err());
    enrol(token, &agent("web-1")).unwrap();
    let again = enrol(token, &agent("web-1")).unwrap_err().to_string();
    lab.clock.set(NOW_MS + 61_000);
    assert_eq!(
        enrol(late, &agent("web-2")).unwrap_err().to_string(),
        again,
        "no guess is helped"
    );
    assert_eq!(
        enrol(&Token::new("lab", [0; 32]).unwrap(), &agent("x"))
            .unwrap_err()
            .to_string(),
        again
    );
    let index = lab.authority.index().unwrap();
    assert_eq!(index.issued.iter().filter(|issued| issued.enrolled).count(), 1);
    assert!(
        lab.authority
            .renew("web-1", None)
            .unwrap_err()
            .to_string()
            .contains("pki token web-1")
    );
    assert_eq!(lab.kinds().iter().filter(|what| *what == "enrolment").count(), 7);
}

#[test]
fn what_is_no_request_of_ours_is_refused() {
    let p256 = rcgen::KeyPair::generate().unwrap();
    let request = issue::request(&agent("a"), "lab", &p256).unwrap();
    assert!(
        issue::read_request(&request)
            .unwrap_err()
            .to_string()
            .contains("Ed25519")
    );
    let good = issue::request(&agent("a"), "lab", &issue::key().unwrap()).unwrap();
    for cut in 0..good.len() {
        assert!(issue::read_request(&good[..cut]).is_err() || cut > good.len() - 2);
    }
    // A bit anywhere in the signed part: the signature does not hold.
    let mut lines: Vec<String> = good.lines().map(str::to_owned).collect();
    let other = if &lines[2][10..11] == "A" { "B" } else { "A" };
    lines[2].replace_range(10..11, other);
    assert!(issue::read_request(&lines.join("\n")).is_err());
    assert!(issue::read_request(&"x".repeat(issue::MAX_REQUEST + 1)).is_err());
}
