//! Who signs what agents tell often: frames, events and holes. Pure.

use std::collections::{BTreeMap, VecDeque};

use shadow::UnixMs;
use trust::{Scope, SealError, Signer};

use crate::store::Stream;

/// Of a stream: the certificate in use, and the one before it.
const MOST: usize = 2;

/// Who has sealed the births of each stream, the newest first.
#[derive(Debug, Default)]
pub(super) struct Signers(BTreeMap<Stream, VecDeque<Signer>>);

impl Signers {
    /// A birth of `stream` was sealed by `signer`.
    pub(super) fn add(&mut self, stream: &Stream, signer: Signer) {
        let known = self.0.entry(stream.clone()).or_default();
        known.retain(|other| *other != signer);
        known.push_front(signer);
        known.truncate(MOST);
    }

    /// Whether one of them has signed `message`.
    ///
    /// # Errors
    /// [`SealError`]: of the newest.
    pub(super) fn check(
        &self,
        stream: &Stream,
        scope: &Scope<'_>,
        message: &[u8],
        now_ms: UnixMs,
    ) -> Result<(), SealError> {
        let mut fault = SealError::Unborn;
        for signer in self.0.get(stream).into_iter().flatten() {
            match signer.check(scope, message, now_ms) {
                Ok(()) => return Ok(()),
                Err(first) if fault == SealError::Unborn => fault = first,
                Err(_) => {}
            }
        }
        Err(fault)
    }

    /// Forgets those that no longer count.
    pub(super) fn retain(&mut self, mut counts: impl FnMut(&Signer) -> bool) {
        self.0.retain(|_, known| {
            known.retain(&mut counts);
            !known.is_empty()
        });
    }
}
