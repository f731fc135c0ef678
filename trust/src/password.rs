//! Passwords of people and programs: hashes of Argon2id as PHC strings, made and checked.
//!
//! To check one takes some 20 ms of a core and the memory that its hash says, on purpose: whoever checks them for the
//! network bounds how many at once.

use argon2::{
    Argon2, Params,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};

/// The most that one check may cost: memory in KiB, passes over it, lanes.
const MAX_COST: (u32, u32, u32) = (256 * 1024, 16, 4);

/// The longest name, in bytes.
const MAX_NAME: usize = 256;

/// What stands in for the hash of a user who is not there, so that the answer takes its time: that of no password.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$Zm9yZXNoYWRvdy1ub2JvZHk$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// A hash that can be checked, at a cost that is bounded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hash(PasswordHash);

impl Hash {
    /// Reads a PHC string.
    ///
    /// # Errors
    /// What is wrong with it; the hash is never repeated.
    pub fn parse(text: &str) -> Result<Self, String> {
        let hash = PasswordHash::new(text).map_err(|error| format!("no hash in the PHC format: {error}"))?;
        if hash.algorithm.as_str() != "argon2id" {
            return Err(format!("{} is not argon2id", hash.algorithm));
        }
        let params = Params::try_from(&hash).map_err(|error| error.to_string())?;
        let (memory, passes, lanes) = MAX_COST;
        if params.m_cost() > memory || params.t_cost() > passes || params.p_cost() > lanes {
            return Err(format!("costs more than m={memory},t={passes},p={lanes} to check"));
        }
        if hash.salt.is_none() || hash.hash.is_none() {
            return Err("salt or hash is missing".to_owned());
        }
        Ok(Self(hash))
    }

    /// The PHC string of a password, with a salt of its own.
    ///
    /// # Errors
    /// Where the system has no random numbers to give.
    pub fn of(password: &str) -> Result<String, String> {
        let hash: Result<PasswordHash, _> = Argon2::default().hash_password(password.as_bytes());
        hash.map(|hash| hash.to_string()).map_err(|error| error.to_string())
    }
}

/// Whether `password` is that of `hash`; without one, no password is, and to say so takes as long.
pub fn check(hash: Option<&Hash>, password: &[u8]) -> bool {
    let Ok(nobody) = PasswordHash::new(NOBODY) else {
        return false;
    };
    let against = hash.map_or(&nobody, |Hash(hash)| hash);
    let good = Argon2::default().verify_password(password, against);
    good.is_ok() && hash.is_some()
}

/// Whether a user can be called `name` in a list of lines with `:` between fields.
///
/// # Errors
/// What would be right.
pub fn check_name(name: &str) -> Result<(), String> {
    let good = (1..=MAX_NAME).contains(&name.len()) && !name.contains([':', '#']) && !name.contains(char::is_control);
    if good && name.trim() == name {
        return Ok(());
    }
    Err(format!(
        "{name:?} is no name of a user: 1 to {MAX_NAME} bytes without `:`, `#` and spaces around"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_good_for_its_own_hash_and_nobody_has_one() {
        let text = Hash::of("new:er").unwrap();
        assert_ne!(text, Hash::of("new:er").unwrap(), "each hash has its own salt");
        let hash = Hash::parse(&text).unwrap();
        assert!(check(Some(&hash), b"new:er"));
        assert!(!check(Some(&hash), b"newer") && !check(Some(&hash), b"") && !check(None, b""));
    }

    #[test]
    fn hashes_that_are_weak_dear_or_torn_are_refused_without_being_told() {
        let good = "$argon2id$v=19$m=1024,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        Hash::parse(good).unwrap();
        for text in [
            "secret",
            &good.replace("m=1024", "m=4000000"),
            &good.replace("argon2id", "argon2i"),
            "$argon2id$v=19$m=1024,t=1,p=1",
        ] {
            let told = Hash::parse(text).unwrap_err();
            assert!(!told.contains("secret") && !told.contains("c2Fsd"), "{told}");
        }
        for name in ["", "a:b", "a\nb", " a", "a#"] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn nobody_takes_as_long_as_somebody() {
        let nobody = Params::try_from(&PasswordHash::new(NOBODY).unwrap()).unwrap();
        let cost = |params: &Params| (params.m_cost(), params.t_cost(), params.p_cost());
        assert_eq!(cost(&nobody), cost(&Params::DEFAULT));
    }
}
