//! Users with passwords: one `name:hash` a line, the hash being a PHC string of Argon2id.
//!
//! To check one takes some 20 ms of a core and the memory that its hash says, on purpose. So few are checked at once:
//! a flood of logins waits in line, and those who show a certificate do not stand in it.

use std::{collections::HashMap, path::Path, sync::Arc};

use trust::password::{self, Hash};

use super::error::AccessError;

/// The longest password, in bytes: MQTT has no longer one.
const MAX_PASSWORD: usize = 65_535;

/// Hashes by user.
#[derive(Debug, Default)]
pub(crate) struct Passwords {
    hashes: HashMap<String, Arc<Hash>>,
}

impl Passwords {
    /// Reads the list at `path`.
    ///
    /// # Errors
    /// When it cannot be read, or with every line that is none.
    pub(crate) fn load(path: &Path) -> Result<Self, AccessError> {
        let text = trust::files::read(path)?;
        let (mut hashes, mut faults) = (HashMap::new(), Vec::new());
        for (at, line) in String::from_utf8_lossy(&text).lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match entry(line) {
                Err(what) => faults.push((at + 1, what)),
                Ok((name, hash)) => {
                    if hashes.insert(name.to_owned(), Arc::new(hash)).is_some() {
                        faults.push((at + 1, format!("{name:?} is there already")));
                    }
                }
            }
        }
        AccessError::unless_clean(path, faults)?;
        Ok(Self { hashes })
    }

    /// The hash of a user.
    pub(crate) fn get(&self, name: &str) -> Option<&Arc<Hash>> {
        self.hashes.get(name)
    }
}

/// A line; the message never repeats a hash.
fn entry(line: &str) -> Result<(&str, Hash), String> {
    let (name, hash) = line.split_once(':').ok_or("no line NAME:HASH")?;
    password::check_name(name)?;
    let hash = Hash::parse(hash).map_err(|what| format!("{name:?}: {what}"))?;
    Ok((name, hash))
}

/// Sets the password of `name` in the list at `path`, which is made if it is not there, for its owner alone to read.
/// Other lines stay as they are.
///
/// # Errors
/// When the name or the password cannot be taken, or the file cannot be read or written.
pub(crate) fn set(path: &Path, name: &str, password: &str) -> Result<(), AccessError> {
    password::check_name(name).map_err(AccessError::Password)?;
    if password.is_empty() || password.len() > MAX_PASSWORD {
        let what = format!("must have 1 to {MAX_PASSWORD} bytes; type it, or hand it in by standard input");
        return Err(AccessError::Password(what));
    }
    let hash = Hash::of(password).map_err(AccessError::Password)?;
    // Who sets another one meanwhile would write the list as it was before, or this one would.
    let _held = trust::files::hold(path)?;
    let before = if path.exists() {
        trust::files::read(path)?
    } else {
        Vec::new()
    };
    let before = String::from_utf8_lossy(&before);
    let of_others = before
        .lines()
        .filter(|line| line.split_once(':').is_none_or(|(user, _)| user.trim() != name));
    let line = format!("{name}:{hash}");
    let text: String = of_others.chain([line.as_str()]).flat_map(|line| [line, "\n"]).collect();
    Ok(trust::files::replace(path, text.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn what_is_set_is_what_is_checked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passwords");
        set(&path, "ann", "old").unwrap();
        fs::write(&path, [b"# people\n", &*fs::read(&path).unwrap()].concat()).unwrap();
        set(&path, "bob", "b").unwrap();
        set(&path, "ann", "new:er").unwrap();
        let passwords = Passwords::load(&path).unwrap();
        let good =
            |name: &str, password: &str| password::check(passwords.get(name).map(|hash| &**hash), password.as_bytes());
        assert!(good("ann", "new:er") && good("bob", "b"));
        assert!(!good("ann", "old") && !good("ann", "") && !good("eve", "b") && !good("eve", ""));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(fs::read_to_string(&path).unwrap().starts_with("# people\n"));
        for (name, password) in [("", "x"), ("a:b", "x"), ("a\nb", "x"), (" a", "x"), ("a", "")] {
            assert!(set(&path, name, password).is_err(), "{name:?} {password:?}");
        }
    }

    #[test]
    fn all_faults_are_told_and_no_hash_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passwords");
        let good = "$argon2id$v=19$m=1024,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        let dear = good.replace("m=1024", "m=4000000");
        let other = good.replace("argon2id", "argon2i");
        let text =
            format!("# x\na:{good}\nb:secret\nc:{dear}\nd:{other}\na:{good}\nno line\ne:$argon2id$v=19$m=1024,t=1,p=1");
        fs::write(&path, text).unwrap();
        let error = Passwords::load(&path).unwrap_err().to_string();
        let lines: Vec<&str> = error.lines().map(|line| line.split(':').nth(1).unwrap()).collect();
        assert_eq!(lines, ["3", "4", "5", "6", "7", "8"], "{error}");
        assert!(!error.contains("secret") && !error.contains("AAAA"), "{error}");
    }
}
