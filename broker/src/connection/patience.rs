//! How long a client may say nothing of use.

use std::time::Duration;

use tokio::time::{Instant, error::Elapsed, timeout_at};

/// Bytes of a packet that is not complete which count as one: a client whose line is slow may go on, one that says a letter now
/// and then may not.
const LEAST: usize = 1_000;

/// A deadline that each packet puts off, and so does as much of one as a slow line has.
#[derive(Debug)]
pub(super) struct Patience {
    /// `None` for any time.
    silence: Option<Duration>,
    ends: Option<Instant>,
    /// Bytes since it was put off.
    came: usize,
}

impl Patience {
    /// For a client that may be silent for so long.
    pub(super) fn new(silence: Option<Duration>) -> Self {
        let mut patience = Self {
            silence,
            ends: None,
            came: 0,
        };
        patience.renew();
        patience
    }

    /// So many packets were handled.
    pub(super) fn packets(&mut self, n: usize) {
        if n > 0 {
            self.renew();
        }
    }

    /// So many bytes came.
    pub(super) fn bytes(&mut self, n: usize) {
        self.came += n;
        if self.came >= LEAST {
            self.renew();
        }
    }

    fn renew(&mut self) {
        self.ends = self.silence.map(|silence| Instant::now() + silence);
        self.came = 0;
    }

    /// `future`, or an error once the time is over.
    pub(super) async fn hold<T>(&self, future: impl Future<Output = T>) -> Result<T, Elapsed> {
        match self.ends {
            Some(ends) => timeout_at(ends, future).await,
            None => Ok(future.await),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Seconds that a client stays that sends so many bytes a second, at most 1,000.
    async fn stays(bytes: usize, packet: usize) -> usize {
        let mut patience = Patience::new(Some(SECOND * 5 / 2));
        let mut unread = 0;
        for second in 0..1_000 {
            if patience.hold(sleep(SECOND)).await.is_err() {
                return second;
            }
            patience.bytes(bytes);
            unread += bytes;
            patience.packets(unread / packet);
            unread %= packet;
        }
        1_000
    }

    #[tokio::test(start_paused = true)]
    async fn a_letter_now_and_then_is_not_enough() {
        assert_eq!(stays(1, 100_000).await, 2, "a letter a second of a large packet");
        assert_eq!(stays(499, 100_000).await, 2, "998 bytes in the time");
        assert_eq!(stays(500, 100_000).await, 1_000, "a slow line");
        assert_eq!(stays(1, 2).await, 1_000, "small packets");
        let endless = Patience::new(None);
        endless.hold(sleep(1_000 * SECOND)).await.unwrap();
    }
}
