//! What an agent says under seal, and under which seal it is spoken to.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use runtime::LogLimit;
use shadow::{UnixMs, Vantage};
use trust::{Kind, Scope, SealError, Trust, keeper::Refreshed};

/// It is said that a certificate expires from so long before on, twice a day.
const EXPIRES_SOON_MS: i64 = 7 * 24 * 3_600_000;
static EXPIRES: LogLimit = LogLimit::new(Duration::from_hours(12));

/// Seals for one stream. Without [`Trust`] nothing is sealed and everything is believed.
#[derive(Debug, Clone)]
pub(crate) struct Sealer {
    trust: Option<Arc<Trust>>,
    host: String,
    vantage: Vantage,
    /// Of [`Trust`], at the last look.
    generation: u64,
}

impl Sealer {
    pub(crate) fn new(trust: Option<Arc<Trust>>, host: &str, vantage: Vantage) -> Self {
        Self {
            generation: trust.as_ref().map_or(0, |trust| trust.generation()),
            trust,
            host: host.to_owned(),
            vantage,
        }
    }

    /// Whether only what is sealed counts.
    pub(crate) const fn is_strict(&self) -> bool {
        self.trust.is_some()
    }

    /// Takes certificates that were renewed. Whether they were since the last call: the birth is to be told again then,
    /// for the broker keeps it under the seal of the one before.
    pub(super) fn renew(&mut self, now_ms: UnixMs, monotonic_ns: u64) -> bool {
        let Some(trust) = &self.trust else { return false };
        match trust.refresh() {
            Refreshed::Failed(fault) => tracing::error!(%fault, "certificates: those before hold on"),
            Refreshed::Renewed => tracing::info!("certificates renewed"),
            Refreshed::Same => {}
        }
        let left_ms = trust.good_until_ms(now_ms).map_or(0, |until_ms| until_ms - now_ms);
        if left_ms < EXPIRES_SOON_MS
            && let Some(_) = EXPIRES.pass(monotonic_ns)
        {
            let hours = left_ms / 3_600_000;
            tracing::warn!(host = self.host, hours, "this agent's certificate expires: renew it");
        }
        let before = std::mem::replace(&mut self.generation, trust.generation());
        before != self.generation
    }

    /// The payload under seal. Where no certificate is good now it goes as it is: whoever asks for a seal refuses it, and
    /// says so.
    ///
    /// Sealed when it is sent, not when it is made: what was kept for long is then vouched for by a certificate that is good.
    pub(super) fn seal(&self, kind: Kind, payload: Bytes, now_ms: UnixMs) -> Bytes {
        let Some(trust) = &self.trust else { return payload };
        let sealed = trust.seal(&self.scope(trust, kind), payload.to_vec(), now_ms);
        match sealed {
            Ok(sealed) => sealed.into(),
            Err(fault) => {
                tracing::error!(host = self.host, kind = kind.as_str(), %fault, "sent without a seal");
                payload
            }
        }
    }

    /// Whether frames, events and holes are signed.
    pub(super) fn signs(&self) -> bool {
        self.trust.as_ref().is_some_and(|trust| trust.signs_frames())
    }

    /// By which key is sealed and signed.
    pub(super) fn signs_by(&self, now_ms: UnixMs) -> Option<u64> {
        self.trust.as_ref()?.signs_by(now_ms)
    }

    /// The payload signed, where such are signed. As with [`Sealer::seal`] it goes as it is where no certificate is good.
    pub(super) fn sign(&self, kind: Kind, payload: Bytes, now_ms: UnixMs) -> Bytes {
        let Some(trust) = self.trust.as_ref().filter(|trust| trust.signs_frames()) else {
            return payload;
        };
        let signed = trust.sign(&self.scope(trust, kind), payload.to_vec(), now_ms);
        // That no certificate is good is told with the births and outcomes.
        signed.map_or(payload, Bytes::from)
    }

    /// Whether a command or a watermark was sealed for this agent by its brain.
    ///
    /// # Errors
    /// [`SealError`].
    pub(crate) fn check(&self, kind: Kind, payload: &[u8], now_ms: UnixMs) -> Result<(), SealError> {
        let Some(trust) = &self.trust else { return Ok(()) };
        trust.check(&self.scope(trust, kind), payload, now_ms)
    }

    fn scope<'a>(&'a self, trust: &'a Trust, kind: Kind) -> Scope<'a> {
        Scope {
            kind,
            cell: trust.cell(),
            host: &self.host,
            vantage: self.vantage,
        }
    }
}
