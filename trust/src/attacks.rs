//! What a hostile broker, a stolen key or a foreign authority tries, and that nothing comes of it.

use std::{fs, os::unix::fs::PermissionsExt};

use proptest::prelude::*;
use shadow::{Vantage, wire::push_certificate};

use super::{
    testing::{Authority, GOOD, NOW_MS, scope},
    *,
};
use crate::keeper::Refreshed;

const BODY: &[u8] = b"\x0a\x03abc\x12\x05web-1\x18\x07\x20\x03";

fn refused(authorities: &Authorities, scope: &Scope<'_>, message: &[u8]) -> SealError {
    authorities.check(scope, message, NOW_MS).unwrap_err()
}

fn certificate_fault(error: &SealError) -> &str {
    match error {
        SealError::Certificate(what) => what,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_sealed_holds_for_its_scope_alone() {
    let cell = Authority::new();
    let (brain, authorities) = (cell.brain(), cell.authorities());
    let command = scope(Kind::Command, "web-1");
    let sealed = brain.seal(&command, BODY.to_vec());
    assert_eq!(authorities.check(&command, &sealed, NOW_MS), Ok(()));
    // Another host, another vantage: the broker hands it on where it does not belong.
    assert_eq!(
        refused(&authorities, &scope(Kind::Command, "web-2"), &sealed),
        SealError::Signature
    );
    let elsewhere = Scope {
        vantage: Vantage::Oob,
        ..command
    };
    assert_eq!(refused(&authorities, &elsewhere, &sealed), SealError::Signature);
    // Another cell of the same authority: its brains have another name.
    let other = Scope {
        cell: "edge",
        ..command
    };
    assert_eq!(
        refused(&authorities, &other, &sealed),
        SealError::Name("foreshadow:edge/_brain".to_owned())
    );
    // As something else.
    assert!(matches!(
        refused(&authorities, &scope(Kind::Outcome, "web-1"), &sealed),
        SealError::Name(_)
    ));
}

#[test]
fn an_agent_speaks_for_its_hosts_and_commands_nobody() {
    let cell = Authority::new();
    let (agent, authorities) = (cell.agent("web-1"), cell.authorities());
    for kind in [Kind::Birth, Kind::Outcome] {
        let own = scope(kind, "web-1");
        let sealed = agent.seal(&own, BODY.to_vec());
        assert_eq!(authorities.check(&own, &sealed, NOW_MS), Ok(()));
        let other = scope(kind, "web-2");
        let sealed = agent.seal(&other, BODY.to_vec());
        assert_eq!(
            refused(&authorities, &other, &sealed),
            SealError::Name("foreshadow:lab/web-2/inband".to_owned())
        );
    }
    let command = scope(Kind::Command, "web-1");
    let sealed = agent.seal(&command, BODY.to_vec());
    assert_eq!(
        refused(&authorities, &command, &sealed),
        SealError::Name("foreshadow:role/brain".to_owned())
    );
}

#[test]
fn a_watermark_is_no_command_and_no_agent_says_one() {
    let cell = Authority::new();
    let authorities = cell.authorities();
    let watermark = scope(Kind::Watermark, "web-1");
    let sealed = cell.brain().seal(&watermark, BODY.to_vec());
    assert_eq!(authorities.check(&watermark, &sealed, NOW_MS), Ok(()));
    for other in [scope(Kind::Command, "web-1"), scope(Kind::Watermark, "web-2")] {
        assert_eq!(refused(&authorities, &other, &sealed), SealError::Signature);
    }
    let sealed = cell.agent("web-1").seal(&watermark, BODY.to_vec());
    assert!(matches!(refused(&authorities, &watermark, &sealed), SealError::Name(_)));
}

/// Neither a viewer's certificate nor the broker's own counts for anything that is sealed or signed.
#[test]
fn who_looks_on_and_who_hands_on_say_nothing_that_counts() {
    let cell = Authority::new();
    let authorities = cell.authorities();
    let agent = cell.agent("web-1");
    let birth = scope(Kind::Birth, "web-1");
    let born = authorities.signer(&birth, &agent.seal(&birth, BODY.to_vec()), NOW_MS);
    let born = born.unwrap();
    for role in ["foreshadow:role/viewer", "foreshadow:role/broker"] {
        let stranger = cell.certificate(&[role], GOOD);
        for kind in [Kind::Command, Kind::Watermark, Kind::Birth, Kind::Outcome] {
            let scope = scope(kind, "web-1");
            let sealed = stranger.seal(&scope, BODY.to_vec());
            let error = refused(&authorities, &scope, &sealed);
            assert!(matches!(error, SealError::Name(_)), "{role} {kind:?}: {error:?}");
        }
        // Signed without a certificate it would have to be by who was born; and nobody else is.
        for kind in [Kind::Delta, Kind::Event, Kind::Hole] {
            let scope = scope(kind, "web-1");
            let signed = stranger.sign(&scope, BODY.to_vec());
            assert_eq!(
                born.check(&scope, &signed, NOW_MS),
                Err(SealError::Signature),
                "{role} {kind:?}"
            );
        }
        let sealed = stranger.seal(&birth, BODY.to_vec());
        assert!(authorities.signer(&birth, &sealed, NOW_MS).is_err(), "{role}");
    }
}

#[test]
fn a_birth_is_no_outcome_of_the_same_agent() {
    let cell = Authority::new();
    let sealed = cell.agent("web-1").seal(&scope(Kind::Birth, "web-1"), BODY.to_vec());
    let error = refused(&cell.authorities(), &scope(Kind::Outcome, "web-1"), &sealed);
    assert_eq!(error, SealError::Signature);
}

#[test]
fn who_has_sealed_a_birth_signs_what_follows_and_nobody_else_does() {
    let cell = Authority::new();
    let (agent, other, authorities) = (cell.agent("web-1"), cell.agent("web-1"), cell.authorities());
    let birth = scope(Kind::Birth, "web-1");
    let signer = authorities
        .signer(&birth, &agent.seal(&birth, BODY.to_vec()), NOW_MS)
        .unwrap();
    for kind in [Kind::Delta, Kind::Event, Kind::Hole] {
        let own = scope(kind, "web-1");
        let signed = agent.sign(&own, BODY.to_vec());
        assert_eq!(signed.len(), BODY.len() + 67);
        assert_eq!(signer.check(&own, &signed, NOW_MS), Ok(()));
        let fault = |scope: &Scope<'_>, message: &[u8]| signer.check(scope, message, NOW_MS).unwrap_err();
        assert_eq!(fault(&own, BODY), SealError::Missing);
        assert_eq!(fault(&own, &other.sign(&own, BODY.to_vec())), SealError::Signature);
        assert_eq!(fault(&scope(kind, "web-2"), &signed), SealError::Signature);
        let oob = Scope {
            vantage: Vantage::Oob,
            ..own
        };
        assert_eq!(fault(&oob, &signed), SealError::Signature);
        for other in [Kind::Delta, Kind::Event, Kind::Hole, Kind::Birth] {
            let good = signer.check(&scope(other, "web-1"), &signed, NOW_MS).is_ok();
            assert_eq!(good, other == kind, "{kind:?} as {other:?}");
        }
        for at in 0..signed.len() {
            let mut changed = signed.clone();
            changed[at] ^= 1;
            assert!(signer.check(&own, &changed, NOW_MS).is_err(), "byte {at}");
        }
        // With a certificate it is a seal, and a seal is none.
        assert!(matches!(
            fault(&own, &agent.seal(&own, BODY.to_vec())),
            SealError::Wire(_)
        ));
        let late = signer.check(&own, &signed, GOOD.1 * 1_000 + 1_000);
        assert!(matches!(late, Err(SealError::Certificate(_))), "{late:?}");
    }
    assert!(authorities.vouches(&signer, NOW_MS));
    cell.revoke(&[1]);
    assert!(!cell.authorities().vouches(&signer, NOW_MS), "revoked since");
}

#[test]
fn nothing_counts_without_a_seal_of_the_cells_authority() {
    let (cell, stranger) = (Authority::new(), Authority::new());
    let (authorities, command) = (cell.authorities(), scope(Kind::Command, "web-1"));
    assert_eq!(refused(&authorities, &command, BODY), SealError::Missing);
    let foreign = stranger.brain().seal(&command, BODY.to_vec());
    let error = refused(&authorities, &command, &foreign);
    assert!(
        certificate_fault(&error).contains("none of the known authorities"),
        "{error}"
    );
    // The certificate of the true brain, the signature of somebody else.
    let mut message = BODY.to_vec();
    push_certificate(&mut message, cell.brain().der());
    shadow::wire::push_signature(&mut message, &[9; 64]);
    assert_eq!(refused(&authorities, &command, &message), SealError::Signature);
    let mut message = BODY.to_vec();
    push_certificate(&mut message, b"no certificate");
    shadow::wire::push_signature(&mut message, &[9; 64]);
    assert!(matches!(
        refused(&authorities, &command, &message),
        SealError::Certificate(_)
    ));
}

#[test]
fn certificates_count_while_they_are_good_and_not_revoked() {
    let cell = Authority::new();
    let now_s = NOW_MS / 1_000;
    let names = ["foreshadow:role/brain", "foreshadow:lab/_brain"];
    let command = scope(Kind::Command, "web-1");
    let fault = |good_s| {
        let sealed = cell.certificate(&names, good_s).seal(&command, BODY.to_vec());
        cell.authorities().check(&command, &sealed, NOW_MS)
    };
    assert_eq!(fault((now_s - 5, now_s + 5)), Ok(()));
    assert!(certificate_fault(&fault((now_s - 5, now_s - 1)).unwrap_err()).contains("expired"));
    assert!(certificate_fault(&fault((now_s + 1, now_s + 5)).unwrap_err()).contains("not good yet"));

    let (stolen, kept) = (cell.brain(), cell.brain());
    cell.revoke(&[4]);
    let authorities = cell.authorities();
    let error = refused(&authorities, &command, &stolen.seal(&command, BODY.to_vec()));
    assert!(certificate_fault(&error).contains("revoked"), "{error}");
    let sealed = kept.seal(&command, BODY.to_vec());
    assert_eq!(authorities.check(&command, &sealed, NOW_MS), Ok(()));
}

#[test]
fn of_two_identities_the_newer_seals_once_it_is_good() {
    let cell = Authority::new();
    let now_s = NOW_MS / 1_000;
    let names = ["foreshadow:role/brain", "foreshadow:lab/_brain"];
    let old = cell.pair(&names, (now_s - 100, now_s + 100));
    let new = cell.pair(&names, (now_s + 50, now_s + 500));
    let ders = [&old, &new].map(|pair| Identity::load(pair).unwrap().der().to_vec());
    let trust = cell.trust(vec![old, new]);
    let command = scope(Kind::Command, "web-1");
    let who = |at_s: i64| {
        let sealed = trust.seal(&command, BODY.to_vec(), at_s * 1_000)?;
        assert_eq!(
            trust.check(&command, &sealed, at_s * 1_000),
            Ok(()),
            "good while both are"
        );
        Ok::<_, SealError>(
            ders.iter()
                .position(|der| sealed.windows(der.len()).any(|part| part == der))
                .unwrap(),
        )
    };
    assert_eq!(who(now_s), Ok(0));
    assert_eq!(who(now_s + 60), Ok(1), "both are good: the one that was issued last");
    assert_eq!(who(now_s + 101), Ok(1));
    assert_eq!(who(now_s + 501), Err(SealError::NoIdentity));
    assert_eq!(trust.good_until_ms(NOW_MS), Some((now_s + 100) * 1_000));
    assert_eq!(trust.good_until_ms((now_s + 501) * 1_000), None);
}

/// Whoever reads the key can be that part to everybody.
#[test]
fn a_key_that_others_may_read_is_not_taken() {
    let authority = Authority::new();
    let pair = authority.pair(&["foreshadow:host/main/web-1/inband"], GOOD);
    let load = |mode: u32| {
        fs::set_permissions(&pair.key, fs::Permissions::from_mode(mode)).unwrap();
        Identity::load(&pair).map(drop).map_err(|fault| fault.to_string())
    };
    for mode in [0o644, 0o660, 0o604] {
        let told = load(mode).unwrap_err();
        let (name, mode) = (pair.key.display().to_string(), format!("{mode:o}"));
        assert!(
            told.contains(&name) && told.contains(&mode) && told.contains("chmod 600"),
            "{told}"
        );
    }
    for mode in [0o640, 0o400, 0o600] {
        load(mode).unwrap();
    }
}

#[test]
fn files_that_are_renewed_hold_without_a_restart() {
    let cell = Authority::new();
    let names = ["foreshadow:role/brain", "foreshadow:lab/_brain"];
    let (mine, next) = (cell.pair(&names, GOOD), cell.pair(&names, GOOD));
    let trust = cell.trust(vec![mine.clone()]);
    let command = scope(Kind::Command, "web-1");
    assert!(matches!(trust.refresh(), Refreshed::Same));
    let before = trust.seal(&command, BODY.to_vec(), NOW_MS).unwrap();
    // Between the two files they do not go together: what was there before goes on.
    files::replace(&mine.key, &files::read(&next.key).unwrap()).unwrap();
    assert!(matches!(trust.refresh(), Refreshed::Failed(_)));
    assert!(matches!(trust.refresh(), Refreshed::Same), "told once");
    assert_eq!(trust.seal(&command, BODY.to_vec(), NOW_MS).unwrap(), before);
    files::replace(&mine.certificate, &files::read(&next.certificate).unwrap()).unwrap();
    assert!(matches!(trust.refresh(), Refreshed::Renewed));
    assert_ne!(trust.seal(&command, BODY.to_vec(), NOW_MS).unwrap(), before);
    assert!(
        Identity::load(&Pair {
            key: cell.pair(&names, GOOD).key,
            ..mine.clone()
        })
        .is_err(),
        "another's key"
    );

    // The brain's key was stolen: an agent that runs believes it no more as soon as the list has come.
    cell.revoke(&[99]);
    let trust = cell.trust(vec![mine]);
    let stolen = trust.seal(&command, BODY.to_vec(), NOW_MS).unwrap();
    let signer = trust.signer(&command, &stolen, NOW_MS).unwrap();
    assert!(matches!(trust.refresh(), Refreshed::Same));
    assert_eq!(trust.check(&command, &stolen, NOW_MS), Ok(()));
    cell.revoke(&[99, 2]);
    assert_eq!(
        trust.check(&command, &stolen, NOW_MS),
        Ok(()),
        "it was not looked at yet"
    );
    assert!(matches!(trust.refresh(), Refreshed::Renewed));
    let error = trust.check(&command, &stolen, NOW_MS).unwrap_err();
    assert!(certificate_fault(&error).contains("revoked"), "{error}");
    assert!(
        !trust.vouches(&signer, NOW_MS),
        "nor what it has signed without its certificate"
    );
    let kept = cell.brain().seal(&command, BODY.to_vec());
    assert_eq!(trust.check(&command, &kept, NOW_MS), Ok(()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The broker may change, cut and lengthen what it likes.
    #[test]
    fn no_change_of_a_sealed_message_goes_unnoticed(at in any::<prop::sample::Index>(), bit in 0..8_u32, tail in 0..3_usize) {
        thread_local! {
            static CELL: (Vec<u8>, Authorities) = {
                let cell = Authority::new();
                (cell.brain().seal(&scope(Kind::Command, "web-1"), BODY.to_vec()), cell.authorities())
            };
        }
        CELL.with(|(sealed, authorities)| {
            let command = scope(Kind::Command, "web-1");
            let mut changed = sealed.clone();
            let at = at.index(changed.len());
            changed[at] ^= 1 << bit;
            prop_assert!(authorities.check(&command, &changed, NOW_MS).is_err(), "bit {bit} of byte {at}");
            prop_assert!(authorities.check(&command, &sealed[..at], NOW_MS).is_err(), "cut at {at}");
            // What stands behind the signature is signed by nobody.
            let longer = [&sealed[..], &[0x48, 1, 1][..tail]].concat();
            prop_assert_eq!(authorities.check(&command, &longer, NOW_MS).is_ok(), tail == 0);
            Ok(())
        })?;
    }
}
