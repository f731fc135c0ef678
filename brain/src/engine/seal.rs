//! What the brain says under seal, and under which seal agents speak.
//!
//! Births and outcomes are checked: they say what a host is and what was done to it. Frames and events are not, for they
//! are many; what a forged one can do at worst stands in `docs/security.md`.

use shadow::{Command, UnixMs, Vantage};
use trust::{Kind, Scope, SealError, keeper::Refreshed};

use super::Engine;

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
        let cell = trust.cell();
        let scope = Scope {
            kind,
            cell,
            host,
            vantage,
        };
        trust.check(&scope, payload, now_ms)
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
        let scope = Scope {
            kind,
            cell: trust.cell(),
            host,
            vantage,
        };
        trust.seal(&scope, payload, now_ms)
    }

    /// Takes certificates and lists of revoked ones that were renewed.
    pub(crate) fn renew(&mut self) {
        let Some(trust) = &self.trust else { return };
        match trust.refresh() {
            Refreshed::Same => {}
            Refreshed::Failed(fault) => {
                self.figures.trust_failures.inc();
                tracing::error!(%fault, "certificates: those before hold on");
            }
            Refreshed::Renewed => tracing::info!("certificates renewed"),
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

static EXPIRES: runtime::LogLimit = runtime::LogLimit::new(std::time::Duration::from_hours(12));
