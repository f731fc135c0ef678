//! The people and programs that log in: one `name:role:hash` a line, the hash being a PHC string of Argon2id.

use std::{collections::HashMap, fmt, path::Path, sync::Arc};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use trust::{
    TrustError,
    password::{self, Hash},
};
use utoipa::ToSchema;

/// The most lines; each is read, but few are needed.
const MAX_USERS: usize = 1_000;
/// The longest name, in characters: it stands where a name that was typed in stands.
const MAX_NAME: usize = 64;
/// How long a password is that is set, in bytes.
const PASSWORD: std::ops::RangeInclusive<usize> = 8..=super::MAX_PASSWORD;

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads everything.
    Viewer,
    /// Acknowledges, decides on proposals, freezes and thaws as well.
    Operator,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
        })
    }
}

/// Somebody who may log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    /// As logged and recorded.
    pub(crate) name: Arc<str>,
    /// What they may do.
    pub(crate) role: Role,
    hash: Hash,
}

impl User {
    /// What a password is checked against.
    pub(super) const fn hash(&self) -> &Hash {
        &self.hash
    }
}

/// Why a list of users is of no use, or is not changed.
#[derive(Debug, Error)]
pub enum UsersError {
    /// The file cannot be read or written, or others may read it.
    #[error(transparent)]
    File(#[from] TrustError),
    /// Lines of it are no such lines.
    #[error("{}", .0.join("\n"))]
    Lines(Vec<String>),
    /// What was asked for cannot be done.
    #[error("{0}")]
    Refused(String),
}

/// All of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Users(HashMap<Arc<str>, Arc<User>>);

impl Users {
    /// Reads the list at `path`.
    ///
    /// # Errors
    /// When it cannot be read, others may read it, it is empty, or with every line that is none. No hash is told.
    pub(crate) fn load(path: &Path) -> Result<Self, UsersError> {
        let users = Self::read(path)?;
        if users.0.is_empty() {
            let what = "nobody is in it, so nobody could log in: foreshadow brain user add NAME --role operator --file";
            return Err(UsersError::Refused(format!("{0}: {what} {0}", path.display())));
        }
        Ok(users)
    }

    /// As [`Users::load`], also where nobody is in it.
    ///
    /// # Errors
    /// Likewise.
    pub(crate) fn read(path: &Path) -> Result<Self, UsersError> {
        let text = trust::files::read_private(path)?;
        let (mut users, mut faults) = (HashMap::new(), Vec::new());
        for (at, line) in String::from_utf8_lossy(&text).lines().enumerate() {
            let Some(line) = entry_of(line) else { continue };
            let mut fault = |what: String| faults.push(format!("{}:{}: {what}", path.display(), at + 1));
            match user(line) {
                Err(what) => fault(what),
                Ok(user) if users.contains_key(&user.name) => fault(format!("{:?} is there already", user.name)),
                Ok(_) if users.len() == MAX_USERS => fault(format!("more than {MAX_USERS} users")),
                Ok(user) => drop(users.insert(Arc::clone(&user.name), Arc::new(user))),
            }
        }
        if faults.is_empty() {
            Ok(Self(users))
        } else {
            Err(UsersError::Lines(faults))
        }
    }

    /// Who is called so.
    pub(crate) fn get(&self, name: &str) -> Option<&Arc<User>> {
        self.0.get(name)
    }

    /// All of them by name.
    pub(crate) fn all(&self) -> Vec<&User> {
        let mut all: Vec<&User> = self.0.values().map(|user| &**user).collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }
}

fn entry_of(line: &str) -> Option<&str> {
    let line = line.trim();
    (!line.is_empty() && !line.starts_with('#')).then_some(line)
}

/// A line; the message never repeats a hash.
fn user(line: &str) -> Result<User, String> {
    let fields = line
        .split_once(':')
        .and_then(|(name, rest)| Some((name, rest.split_once(':')?)));
    let (name, (role, hash)) = fields.ok_or("no line NAME:ROLE:HASH")?;
    check_name(name)?;
    let role = match role {
        "viewer" => Role::Viewer,
        "operator" => Role::Operator,
        _ => return Err(format!("{name:?}: its role is neither viewer nor operator")),
    };
    let hash = Hash::parse(hash).map_err(|what| format!("{name:?}: {what}"))?;
    Ok(User {
        name: name.into(),
        role,
        hash,
    })
}

fn check_name(name: &str) -> Result<(), String> {
    password::check_name(name)?;
    if name.chars().count() > MAX_NAME {
        return Err(format!("{name:?} is longer than {MAX_NAME} characters"));
    }
    Ok(())
}

/// Refuses a name that can be in no list, or is in the one at `path` already.
///
/// # Errors
/// Likewise, or when the list cannot be read.
pub(crate) fn check_new(path: &Path, name: &str) -> Result<(), UsersError> {
    check_name(name).map_err(UsersError::Refused)?;
    if path.exists() && Users::read(path)?.get(name).is_some() {
        let what = "is there already: `user passwd` and `user role` change what is known of them";
        return Err(UsersError::Refused(format!("{name:?} {what}")));
    }
    Ok(())
}

/// Adds `name`; other lines stay as they are. The file is made if it is not there, for its owner alone to read; otherwise
/// owner and mode stay. Who changes the list meanwhile waits, as with all that follow here.
///
/// # Errors
/// When the list, the name or the password cannot be taken, or the name is there already.
pub(crate) fn add(path: &Path, name: &str, role: Role, password: &str) -> Result<(), UsersError> {
    let hash = hash_of(password)?;
    let _held = trust::files::hold(path)?;
    check_new(path, name)?;
    write(path, name, Some(&format!("{name}:{role}:{hash}")))
}

/// Changes what is given of `name`.
///
/// # Errors
/// When the list or the password cannot be taken, or the name is not there.
pub(crate) fn set(path: &Path, name: &str, role: Option<Role>, password: Option<&str>) -> Result<(), UsersError> {
    let hash = password.map(hash_of).transpose()?;
    let _held = trust::files::hold(path)?;
    let users = Users::read(path)?;
    let unknown = || UsersError::Refused(format!("{name:?} is not in {}: add them", path.display()));
    let known = users.get(name).ok_or_else(unknown)?;
    let role = role.unwrap_or(known.role);
    let hash = match hash {
        Some(hash) => hash,
        None => line_of(path, name)?.unwrap_or_default(),
    };
    write(path, name, Some(&format!("{name}:{role}:{hash}")))
}

fn hash_of(password: &str) -> Result<String, UsersError> {
    if PASSWORD.contains(&password.len()) {
        return Hash::of(password).map_err(UsersError::Refused);
    }
    let (least, most) = PASSWORD.into_inner();
    Err(UsersError::Refused(format!("a password has {least} to {most} bytes")))
}

/// Takes `name` out.
///
/// # Errors
/// When they are not there, or the list cannot be read or written.
pub(crate) fn remove(path: &Path, name: &str) -> Result<(), UsersError> {
    let _held = trust::files::hold(path)?;
    if Users::read(path)?.get(name).is_none() {
        return Err(UsersError::Refused(format!("{name:?} is not in {}", path.display())));
    }
    write(path, name, None)
}

/// The hash of `name` as it is written.
fn line_of(path: &Path, name: &str) -> Result<Option<String>, UsersError> {
    let text = trust::files::read_private(path)?;
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().find(|line| is_of(line, name));
    Ok(line.and_then(|line| Some(line.trim().splitn(3, ':').nth(2)?.to_owned())))
}

fn is_of(line: &str, name: &str) -> bool {
    entry_of(line).is_some_and(|line| line.split_once(':').is_some_and(|(user, _)| user == name))
}

/// Puts `line` in the place of that of `name`.
fn write(path: &Path, name: &str, line: Option<&str>) -> Result<(), UsersError> {
    let before = if path.exists() {
        trust::files::read_private(path)?
    } else {
        Vec::new()
    };
    let before = String::from_utf8_lossy(&before);
    let of_others = before.lines().filter(|line| !is_of(line, name));
    let text: String = of_others.chain(line).flat_map(|line| [line, "\n"]).collect();
    Ok(trust::files::rewrite(path, text.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    const HASH: &str = "$argon2id$v=19$m=1024,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    #[test]
    fn people_are_added_changed_and_removed_and_the_rest_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users");
        let check = |name: &str, word: &str| {
            let users = Users::load(&path).unwrap();
            password::check(users.get(name).map(|user| user.hash()), word.as_bytes())
        };
        assert!(
            set(&path, "ann", None, Some("long enough")).is_err(),
            "there is no list"
        );
        add(&path, "ann", Role::Operator, "long enough").unwrap();
        let again = add(&path, "ann", Role::Viewer, "another one").unwrap_err().to_string();
        assert!(again.contains("is there already"), "{again}");
        let unknown = set(&path, "bob", Some(Role::Viewer), Some("long enough")).unwrap_err();
        assert!(unknown.to_string().contains("add them"), "{unknown}");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let with_note = [b"# people\n", &*fs::read(&path).unwrap()].concat();
        fs::write(&path, with_note).unwrap();
        add(&path, "bob", Role::Viewer, "also:with:colons").unwrap();
        assert!(check("ann", "long enough") && check("bob", "also:with:colons") && !check("bob", "long enough"));
        set(&path, "ann", None, Some("another one")).unwrap();
        set(&path, "bob", Some(Role::Operator), None).unwrap();
        assert!(check("ann", "another one") && !check("ann", "long enough") && check("bob", "also:with:colons"));
        let users = Users::load(&path).unwrap();
        let all: Vec<_> = users.all().iter().map(|user| (&*user.name, user.role)).collect();
        assert_eq!(all, [("ann", Role::Operator), ("bob", Role::Operator)]);
        remove(&path, "ann").unwrap();
        assert!(remove(&path, "ann").is_err() && Users::load(&path).unwrap().get("ann").is_none());
        assert!(fs::read_to_string(&path).unwrap().starts_with("# people\n"));
        remove(&path, "bob").unwrap();
        assert!(Users::load(&path).unwrap_err().to_string().contains("user add"));
        for (name, word) in [
            ("", "long enough"),
            ("a:b", "long enough"),
            ("a\nb", "long enough"),
            ("eve", "short"),
        ] {
            assert!(add(&path, name, Role::Viewer, word).is_err(), "{name:?}");
        }
        assert!(add(&path, &"a".repeat(65), Role::Viewer, "long enough").is_err());
    }

    /// Everybody reads the list, changes it and writes it: at once, as scripts do.
    #[test]
    fn of_many_who_are_added_at_once_nobody_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users");
        std::thread::scope(|scope| {
            for n in 0..8 {
                let path = &path;
                scope.spawn(move || add(path, &format!("user-{n}"), Role::Viewer, "long enough").unwrap());
            }
        });
        assert_eq!(Users::load(&path).unwrap().all().len(), 8);
        let left = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(left, 1, "nothing is left beside it");
    }

    #[test]
    fn all_faults_are_told_and_no_hash_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users");
        let text = format!("a:viewer:{HASH}\nb:root:{HASH}\nc:viewer:secret\na:operator:{HASH}\nno line\nd:{HASH}\n");
        trust::files::replace(&path, text.as_bytes()).unwrap();
        let told = Users::load(&path).unwrap_err().to_string();
        assert_eq!(told.lines().count(), 5, "{told}");
        for part in [
            "users:2: \"b\"",
            "users:3: \"c\"",
            "users:4: \"a\" is there already",
            "users:5: no line",
            "users:6: ",
        ] {
            assert!(told.contains(part), "{told}");
        }
        assert!(!told.contains("secret") && !told.contains("c2Fsd"), "{told}");
    }

    #[test]
    fn a_list_that_others_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users");
        trust::files::replace(&path, format!("a:viewer:{HASH}\n").as_bytes()).unwrap();
        Users::load(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Users::load(&path).unwrap_err().to_string().contains("chmod 600"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        Users::load(&path).unwrap();
    }
}
