//! Who may say what in a cell: by whose word, and how it is shown that nothing was changed on the way.
//!
//! A part of foreshadow is known by an [`Identity`], a certificate of the cell's authority with its key. The names in
//! the certificate ([`name`]) say what it may do. It *seals* what others act upon: a command of the brain, a birth or an
//! outcome of an agent. A seal holds for one [`Scope`] alone, and whoever reads asks the [`Authorities`].
//!
//! | module | what it does |
//! |---|---|
//! | [`config`] | which files say who is trusted, and who this is |
//! | [`name`] | names in certificates: roles, hosts with their vantages, brains |
//! | [`access`] | what each role may send and get |
//! | [`bearer`] | whose certificate it is, for who lets connections in |
//! | [`scope`] | what a seal is good for |
//! | [`identity`] | seals |
//! | [`authority`] | tells whether a seal holds |
//! | [`signer`] | who has sealed something, and what he signs after that |
//! | [`keeper`] | all of them, from files that may be renewed |
//! | `validity` | from when to when a certificate is good |
//! | [`secret`] | random numbers and digests |
//! | [`audit`] | who has done what and when, in a file whose lines are chained |
//! | `password` | passwords of people, behind the feature `passwords` |
//! | [`files`] | files that are whole, private and never overwritten by accident |

pub mod access;
pub mod audit;
pub mod authority;
pub mod bearer;
pub mod config;
pub mod error;
pub mod files;
pub mod identity;
pub mod keeper;
pub mod name;
#[cfg(feature = "passwords")]
pub mod password;
pub mod scope;
pub mod secret;
pub mod signer;

#[cfg(test)]
mod attacks;
#[cfg(test)]
mod testing;
mod validity;

pub use access::{Access, Rule};
pub use authority::Authorities;
pub use bearer::Bearer;
pub use config::{Config, Pair};
pub use error::{SealError, TrustError};
pub use identity::Identity;
pub use keeper::Trust;
pub use name::{Name, Role, Stream};
pub use scope::{Kind, Scope};
pub use signer::Signer;
pub use validity::Validity;
