//! What the processors of a host are.

use serde::Serialize;

/// Identity and number of the processors; all of a host are of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Processor {
    /// CPUID leaf 0: `GenuineIntel`, `AuthenticAMD`.
    pub vendor: String,
    /// CPUID leaf 1, the extended family added in.
    pub family: u32,
    /// CPUID leaf 1, the extended model added in.
    pub model: u32,
    /// CPUID leaf 1.
    pub stepping: u32,
    /// Revision of the loaded microcode; `None` where a hypervisor hides it.
    pub microcode: Option<u32>,
    /// Sockets that are online.
    pub packages: u32,
    /// Cores that are online.
    pub cores: u32,
    /// Hardware threads that are online.
    pub threads: u32,
}
