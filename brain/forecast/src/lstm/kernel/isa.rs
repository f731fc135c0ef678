//! What the processor can do, and the only `unsafe` code of this crate: calls of functions that are compiled for
//! instructions which not every processor has.
//!
//! A [`Job`] is safe code, written once over vectors of L numbers and tiles of R rows. It is inlined into one function
//! for each kind of machine, where the compiler may use that kind's instructions: R x 4 sums of L numbers fill the
//! registers, with room for what they are multiplied with.

#![allow(
    unsafe_code,
    reason = "a function for AVX2 or AVX-512 may run only where these are; that is checked here"
)]

/// Work over vectors; `run` has to be `#[inline(always)]`, with all that it calls.
pub(crate) trait Job {
    /// L: numbers of a vector; R: rows of a tile; FMA: whether products are added without rounding in between.
    fn run<const L: usize, const R: usize, const FMA: bool>(self);
}

/// A kind of machine that this one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Isa(Kind);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Portable,
}

impl Isa {
    /// The fastest kind.
    pub(crate) fn best() -> Self {
        Self::all().next().unwrap_or(Self(Kind::Portable))
    }

    /// All kinds that this machine is, the fastest first; the last needs nothing but the baseline.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let special = {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            let avx512 = avx2 && is_x86_feature_detected!("avx512f");
            [avx512.then_some(Kind::Avx512), avx2.then_some(Kind::Avx2)]
        };
        #[cfg(not(target_arch = "x86_64"))]
        let special = [None, None];
        special.into_iter().flatten().chain([Kind::Portable]).map(Self)
    }

    /// Numbers of a vector.
    pub(crate) fn lanes(self) -> usize {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => 16,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => 8,
            Kind::Portable => 4,
        }
    }

    /// Rows of a tile.
    pub(crate) fn rows(self) -> usize {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => 4,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => 3,
            Kind::Portable => 2,
        }
    }

    /// Runs `job` with this machine's instructions.
    pub(crate) fn run(self, job: impl Job) {
        match self.0 {
            // SAFETY: `Isa`s are made by `all` alone, which has found AVX-512, AVX2 and FMA on this processor.
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => unsafe { avx512(job) },
            // SAFETY: likewise, AVX2 and FMA.
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => unsafe { avx2(job) },
            Kind::Portable => job.run::<4, 2, false>(),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx2,fma")]
fn avx512(job: impl Job) {
    job.run::<16, 4, true>();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2(job: impl Job) {
    job.run::<8, 3, true>();
}
