//! What the brain says under seal, and under which seal agents speak.
//!
//! Births and outcomes bear a certificate with their signature. Frames, events and holes are many and bear a signature
//! alone: it counts by the certificate under which a birth of their stream has come.

use shadow::{Command, UnixMs, Vantage};
use trust::{Kind, Scope, SealError, Trust, keeper::Refreshed};

use super::Engine;
use crate::store::Stream;

/// It is said that the certificate expires from so long before on.
const EXPIRES_SOON_MS: i64 = 7 * 24 * 3_600_000;

impl Engine {
    /// Whether an agent of `host` has said this. Without `[trust]` everything is believed.
    ///
    /// # Errors
    /// [`SealError`].
    pub(super) fn check_seal(
        &self,
        kind: Kind,
        (host, vantage): (&str, Vantage),
        payload: &[u8],
        now_ms: UnixMs,
    ) -> Result<(), SealError> {
        let Some(trust) = &self.trust else { return Ok(()) };
        trust.check(&scope(trust, kind, (host, vantage)), payload, now_ms)
    }

    /// As [`Engine::check_seal`] for a birth: whose it is signs what follows.
    ///
    /// # Errors
    /// [`SealError`].
    pub(super) fn check_birth(&mut self, stream: &Stream, payload: &[u8], now_ms: UnixMs) -> Result<(), SealError> {
        let Some(trust) = &self.trust else { return Ok(()) };
        let scope = scope(trust, Kind::Birth, (&stream.host, stream.vantage));
        let signer = trust.signer(&scope, payload, now_ms)?;
        self.signers.add(stream, signer);
        Ok(())
    }

    /// Whether an agent of this stream has signed this. Where nobody is known who could have, its birth is asked for.
    ///
    /// # Errors
    /// [`SealError`].
    pub(super) fn check_signature(
        &mut self,
        kind: Kind,
        (stream, epoch): (&Stream, u64),
        payload: &[u8],
        now_ms: UnixMs,
    ) -> Result<(), SealError> {
        let Some(trust) = self.trust.as_ref().filter(|trust| trust.signs_frames()) else {
            return Ok(());
        };
        let scope = scope(trust, kind, (&stream.host, stream.vantage));
        let checked = self.signers.check(stream, &scope, payload, now_ms);
        if checked == Err(SealError::Unborn) {
            self.ingest.ask_birth(stream, epoch);
            self.tell_watermarks();
        }
        checked
    }

    /// A command as it is sent, for the agent that sees its host from `vantage`.
    ///
    /// # Errors
    /// [`SealError::NoIdentity`].
    pub(super) fn sealed(&self, command: &Command, vantage: Vantage, now_ms: UnixMs) -> Result<Vec<u8>, SealError> {
        let payload = shadow::wire::encode_command(command);
        self.seal_for(Kind::Command, (&command.host, vantage), payload, now_ms)
    }

    /// What an agent of `host` is told, as it is sent.
    ///
    /// # Errors
    /// [`SealError::NoIdentity`].
    pub(super) fn seal_for(
        &self,
        kind: Kind,
        (host, vantage): (&str, Vantage),
        payload: Vec<u8>,
        now_ms: UnixMs,
    ) -> Result<Vec<u8>, SealError> {
        let Some(trust) = &self.trust else { return Ok(payload) };
        trust.seal(&scope(trust, kind, (host, vantage)), payload, now_ms)
    }

    /// Takes certificates and lists of revoked ones that were renewed.
    pub(crate) fn renew(&mut self) {
        let Some(trust) = &self.trust else { return };
        match trust.refresh() {
            Refreshed::Same => {}
            Refreshed::Failed(fault) => {
                self.figures.trust_failures.inc();
                tracing::error!(%fault, "certificates: those before hold on");
                self.tell_key("not renewed", ("reason", &fault.to_string()));
            }
            Refreshed::Renewed => {
                let now_ms = self.now_ms;
                self.signers.retain(|signer| trust.vouches(signer, now_ms));
                tracing::info!("certificates renewed");
                self.tell_identity("renewed");
            }
        }
    }

    /// How long commands can be sealed, in seconds; 0 where they cannot.
    pub(super) fn tell_expiry(&self, now_ms: UnixMs) {
        let Some(trust) = &self.trust else { return };
        let left_ms = trust.good_until_ms(now_ms).map_or(0, |until_ms| until_ms - now_ms);
        self.figures.certificate_seconds.set(left_ms as f64 / 1_000.0);
        if left_ms < EXPIRES_SOON_MS
            && let Some(_) = EXPIRES.pass(now_ms.unsigned_abs().saturating_mul(1_000_000))
        {
            let hours = left_ms / 3_600_000;
            tracing::warn!(
                hours,
                "the brain's certificate expires: without one no command is sent; renew it"
            );
        }
    }
}

fn scope<'a>(trust: &'a Trust, kind: Kind, (host, vantage): (&'a str, Vantage)) -> Scope<'a> {
    Scope {
        kind,
        cell: trust.cell(),
        host,
        vantage,
    }
}

static EXPIRES: runtime::LogLimit = runtime::LogLimit::new(std::time::Duration::from_hours(12));
