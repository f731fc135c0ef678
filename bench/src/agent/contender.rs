//! Who takes part.

use super::{Sampler, collectd, samplers::FAST_ONLY};

/// Whoever samples this machine ten times a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Contender {
    /// The agent with the probes of every sample.
    OursFast,
    /// The same without what collectd does not read.
    OursLikeCollectd,
    /// As [`Contender::OursFast`] over TLS, both sides with certificates.
    OursTls,
    /// The agent with all that this machine has.
    OursAll,
    /// The fast probes without the agent around them.
    OursProbes,
    /// The floor.
    RawPreads,
    /// The crate sysinfo.
    Sysinfo,
    /// collectd with the same plugins and its output over MQTT.
    Collectd,
}

/// Probes whose files no plugin of collectd reads, besides those that are not of every sample.
const NOT_OF_COLLECTD: &str = "pressure";

impl Contender {
    /// All that ours is compared with.
    pub(super) const RIVALS: [Self; 3] = [Self::RawPreads, Self::Sysinfo, Self::Collectd];

    const ALL: [Self; 8] = [
        Self::OursFast,
        Self::OursLikeCollectd,
        Self::OursTls,
        Self::OursAll,
        Self::OursProbes,
        Self::RawPreads,
        Self::Sysinfo,
        Self::Collectd,
    ];

    /// Those that this machine has; who is left out, and why, is printed.
    pub(super) fn present() -> Vec<Self> {
        let mut present = Self::ALL.to_vec();
        if collectd::program().is_none() {
            eprintln!("collectd is left out: it is not installed");
            present.retain(|contender| *contender != Self::Collectd);
        }
        present
    }

    /// Also the host that an agent speaks for.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::OursFast => "ours-fast",
            Self::OursLikeCollectd => "ours-like-collectd",
            Self::OursTls => "ours-tls",
            Self::OursAll => "ours-all",
            Self::OursProbes => "ours-probes",
            Self::RawPreads => "raw-preads",
            Self::Sysinfo => "sysinfo",
            Self::Collectd => "collectd",
        }
    }

    /// The sampler within this program, where it is one.
    pub(super) const fn sampler(self) -> Option<Sampler> {
        match self {
            Self::OursProbes => Some(Sampler::OursProbes),
            Self::RawPreads => Some(Sampler::RawPreads),
            Self::Sysinfo => Some(Sampler::Sysinfo),
            _ => None,
        }
    }

    /// The probes that an agent leaves out.
    pub(super) fn off(self) -> Vec<&'static str> {
        match self {
            Self::OursAll => Vec::new(),
            Self::OursLikeCollectd => [FAST_ONLY, &[NOT_OF_COLLECTD]].concat(),
            _ => FAST_ONLY.to_vec(),
        }
    }
}
