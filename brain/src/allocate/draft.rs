//! A change that is decided on in a round, and why.

/// Why a reservation is changed.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cause {
    /// It asked for more.
    Raised {
        /// What of it was free.
        free: f64,
        /// Who gave the rest, and how much.
        from: Vec<(String, f64)>,
    },
    /// It has more than it asks for.
    Lowered,
    /// It has more than it asks for, and someone needs it now.
    Reclaimed {
        /// Who, in the order in which they took.
        by: Vec<String>,
    },
    /// Someone more critical needs it.
    Throttled {
        /// Who, in the order in which they took.
        by: Vec<String>,
    },
    /// More was promised than there is.
    Corrected,
    /// It stays as it is, and is put into force.
    Adopted,
}

impl Cause {
    /// Whether something was got.
    pub(super) const fn is_gain(&self) -> bool {
        matches!(self, Self::Raised { .. })
    }

    /// Who got what was given.
    pub(super) fn takers(&self) -> &[String] {
        match self {
            Self::Reclaimed { by } | Self::Throttled { by } => by,
            Self::Raised { .. } | Self::Lowered | Self::Corrected | Self::Adopted => &[],
        }
    }
}

/// A change that is decided on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Draft {
    pub(super) amount: f64,
    pub(super) cause: Cause,
}
