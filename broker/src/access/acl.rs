//! The list of rules, in the syntax of mosquitto (`man mosquitto.conf`, `acl_file`). Pure.
//!
//! | line | allows |
//! |---|---|
//! | `user NAME` | begins the rules of this user; those before the first `user` are of anonymous clients |
//! | `topic [read\|write\|readwrite\|deny] FILTER` | `readwrite` where nothing is said |
//! | `pattern [...] FILTER` | the same for every client, `%u` being its name and `%c` its client id |
//! | `# ...` | nothing |
//!
//! A name that is put into a pattern stays within its level: one with `/`, `+` or `#`, an empty one, or one that begins
//! with `$`, is not put in. A pattern that allows then counts for nothing, and one that denies counts for every name.

use std::collections::HashMap;

use trust::Access;

use super::rules::{Effect, Rules};
use crate::subscriptions::valid_filter;

/// The longest line, in bytes: a filter is at most 64 KiB, and more is no list.
const MAX_LINE: usize = 70_000;

/// Rules by user, and for all.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Acl {
    anonymous: Vec<Line>,
    users: HashMap<String, Vec<Line>>,
    patterns: Vec<Line>,
}

#[derive(Debug, PartialEq, Eq)]
struct Line {
    effect: Effect,
    filter: String,
}

impl Acl {
    /// Reads a list.
    ///
    /// # Errors
    /// Every fault with the number of its line, from 1.
    pub(crate) fn parse(text: &str) -> Result<Self, Vec<(usize, String)>> {
        let (mut acl, mut faults) = (Self::default(), Vec::new());
        let mut user = None;
        for (at, line) in text.lines().enumerate() {
            if let Err(what) = acl.add(line.trim(), &mut user) {
                faults.push((at + 1, what));
            }
        }
        if faults.is_empty() { Ok(acl) } else { Err(faults) }
    }

    fn add(&mut self, line: &str, user: &mut Option<String>) -> Result<(), String> {
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        if line.len() > MAX_LINE {
            return Err(format!("longer than {MAX_LINE} bytes"));
        }
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim_start();
        match word {
            "user" if rest.is_empty() => Err("`user` without a name".to_owned()),
            "user" => {
                *user = Some(rest.to_owned());
                self.users.entry(rest.to_owned()).or_default();
                Ok(())
            }
            "topic" => {
                let line = read_rule(rest)?;
                if ["%u", "%c"].iter().any(|name| line.filter.contains(name)) {
                    return Err("%u and %c are put in by `pattern`, not by `topic`".to_owned());
                }
                let lines = match user {
                    Some(user) => self.users.entry(user.clone()).or_default(),
                    None => &mut self.anonymous,
                };
                lines.push(line);
                Ok(())
            }
            "pattern" => {
                self.patterns.push(read_rule(rest)?);
                Ok(())
            }
            other => Err(format!("{other:?} is none of user, topic, pattern")),
        }
    }

    /// Adds what the list says of a client: its name, `None` for an anonymous one, and its client id.
    pub(crate) fn rules_of(&self, name: Option<&str>, client_id: &str, rules: &mut Rules) {
        let own = match name {
            Some(name) => self.users.get(name).map(Vec::as_slice).unwrap_or_default(),
            None => &self.anonymous,
        };
        for line in own {
            rules.add(line.effect, &line.filter);
        }
        for pattern in &self.patterns {
            if let Some(filter) = resolve(pattern, name, client_id).filter(|filter| valid_filter(filter)) {
                rules.add(pattern.effect, &filter);
            }
        }
    }
}

fn read_rule(rest: &str) -> Result<Line, String> {
    let (word, filter) = rest.split_once(char::is_whitespace).unwrap_or(("readwrite", rest));
    let effect = match word {
        "read" => Effect::Allow(Access::Read),
        "write" => Effect::Allow(Access::Write),
        "readwrite" => Effect::Allow(Access::ReadWrite),
        "deny" => Effect::Deny,
        other => return Err(format!("{other:?} is none of read, write, readwrite, deny")),
    };
    let filter = filter.trim_start();
    if !valid_filter(filter) {
        return Err(format!("{filter:?} is no filter of topics"));
    }
    Ok(Line {
        effect,
        filter: filter.to_owned(),
    })
}

/// The filter that a pattern is for one client; `None` where it is none.
fn resolve(pattern: &Line, name: Option<&str>, client_id: &str) -> Option<String> {
    let values = [("%u", name.unwrap_or_default()), ("%c", client_id)];
    let mut levels = Vec::new();
    for level in pattern.filter.split('/') {
        let used = || values.iter().filter(|(place, _)| level.contains(place));
        if used().all(|(_, value)| fits(value)) {
            levels.push(put_in(level, values));
        } else if pattern.effect == Effect::Deny {
            levels.push("+".to_owned());
        } else {
            return None;
        }
    }
    Some(levels.join("/"))
}

/// Puts values in from front to end: what is put in is not looked at again.
fn put_in(level: &str, values: [(&str, &str); 2]) -> String {
    let mut rest = level;
    let mut out = String::with_capacity(level.len());
    while let Some(at) = rest.find('%') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        if let Some((place, value)) = values.iter().find(|(place, _)| from.starts_with(place)) {
            out.push_str(value);
            rest = from.get(place.len()..).unwrap_or_default();
        } else {
            out.push('%');
            rest = from.get(1..).unwrap_or_default();
        }
    }
    out.push_str(rest);
    out
}

/// Whether a name can be put into a level without changing what the pattern is.
fn fits(value: &str) -> bool {
    !value.is_empty() && !value.starts_with('$') && !value.contains(['/', '+', '#', '\0'])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::rules::Permit, *};

    const LIST: &str = "\
# anonymous clients
topic read public/#

user ann smith
topic ann/#
topic deny ann/secret
topic   write   log/with space
user bob
topic read $SYS/#
user ann smith
topic read more
pattern readwrite home/%u/%c
pattern deny closed/%u/#
";

    fn permit(list: &str, name: Option<&str>, client_id: &str) -> Permit {
        let mut rules = Rules::default();
        Acl::parse(list).unwrap().rules_of(name, client_id, &mut rules);
        Permit::Rules(rules)
    }

    #[test]
    fn everyone_gets_their_own_lines_and_the_patterns() {
        let ann = permit(LIST, Some("ann smith"), "c1");
        assert!(ann.may_read("ann/x") && ann.may_write("ann/x") && !ann.may_read("ann/secret"));
        assert!(ann.may_write("log/with space") && !ann.may_read("log/with space") && ann.may_read("more"));
        assert!(ann.may_write("home/ann smith/c1") && !ann.may_write("home/ann smith/c2"));
        assert!(!ann.may_read("public/x") && !ann.may_read("$SYS/x"));
        assert!(permit(LIST, Some("bob"), "c").may_read("$SYS/x"));
        let nobody = permit(LIST, None, "c1");
        assert!(nobody.may_read("public/x") && !nobody.may_write("public/x") && !nobody.may_read("home//c1"));
    }

    #[test]
    fn the_list_of_the_documents_does_what_it_says() {
        let page = include_str!("../../../docs/broker.md");
        let list = page.split_once("```acl\n").unwrap().1.split_once("```").unwrap().0;
        let nobody = permit(list, None, "c1");
        assert!(nobody.may_read("public/x") && !nobody.may_write("public/x") && !nobody.may_read("house/door"));
        let grafana = permit(list, Some("grafana"), "c1");
        assert!(grafana.may_read("house/door") && !grafana.may_write("house/door") && !grafana.may_read("house/safe"));
        assert!(grafana.may_write("home/grafana/x") && !grafana.may_read("home/ann/x"));
    }

    #[test]
    fn all_faults_are_told_with_their_lines() {
        let faults =
            Acl::parse("user\n\ntopic all a\ntopic a/#/b\nusr x\npattern\ntopic x/%u\n#topic\ntopic read").unwrap_err();
        let lines: Vec<usize> = faults.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [1, 3, 4, 5, 6, 7], "{faults:?}");
        // As with mosquitto, one word is the topic.
        assert!(permit("topic read", None, "c").may_write("read"));
    }

    #[test]
    fn a_name_that_does_not_fit_gets_nothing_and_is_denied_all() {
        let list = "pattern home/%u/#\npattern at/%c-x\npattern read all/#\npattern deny all/%u/x";
        for name in ["a/b", "+", "#", "", "a#", "$SYS"] {
            let permit = permit(list, Some(name), "+");
            for topic in ["home/a", "home/a/b", "home/x/y", "at/a-x", "at/+-x", "home"] {
                assert!(!permit.may_read(topic), "{name} {topic}");
            }
            assert!(permit.may_read("all/y") && !permit.may_read("all/bob/x"), "{name}");
        }
    }

    #[test]
    fn what_is_put_in_is_not_looked_at_again() {
        let permit = permit("pattern a/%u%c%%", Some("%c"), "id");
        assert!(permit.may_read("a/%cid%%"));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC*", name in "\\PC{0,6}") {
            if let Ok(acl) = Acl::parse(&text) {
                acl.rules_of(Some(&name), &name, &mut Rules::default());
            }
        }

        /// Whatever somebody is called, a pattern gives what lies at its own level and nothing else.
        #[test]
        fn no_name_widens_a_pattern(name in "[a/+#$%uc]{0,5}", id in "[a/+#$%uc]{0,5}", topic in "[abc/]{1,9}") {
            let permit = permit("pattern p/%u/x/%c", Some(&name), &id);
            let topic = format!("p/{topic}");
            prop_assert_eq!(permit.may_read(&topic), topic == format!("p/{name}/x/{id}") && fits(&name) && fits(&id));
        }
    }
}
