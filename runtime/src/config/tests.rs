use std::path::PathBuf;

use serde::Deserialize;

use super::*;
use crate::Span;

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Sample {
    name: String,
    #[serde(default)]
    pace: Pace,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
struct Pace {
    fast: Span,
    slow: Span,
    share: f64,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            fast: Span::from_millis(100),
            slow: Span::from_secs(5),
            share: 0.5,
        }
    }
}

impl Validate for Sample {
    fn validate(&self, faults: &mut Faults) {
        faults.require(!self.name.is_empty(), "name", "must not be empty");
        faults.within("pace", |faults| {
            let Pace { fast, slow, share } = self.pace;
            faults.require(fast <= slow, "fast", format!("{fast} is longer than slow, {slow}"));
            faults.require(
                (0.0..=1.0).contains(&share),
                "share",
                format!("{share} is not within 0 to 1"),
            );
        });
    }
}

fn check_error(text: &str, expected: &str) {
    let error = parse::<Sample>(text, "x.toml").unwrap_err();
    assert_eq!(error.to_string(), expected, "{text}");
}

#[test]
fn what_is_left_out_has_its_default() {
    let config: Sample = parse("name = 'a'\n[pace]\nslow = '1m'", "x.toml").unwrap();
    assert_eq!(config.pace.slow, Span::from_secs(60));
    assert_eq!(config.pace.fast, Span::from_millis(100));
}

#[test]
fn faults_name_file_line_and_key() {
    check_error(
        "name = ",
        "x.toml:1: string values must be quoted, expected literal string",
    );
    check_error(
        "name = 'a'\n\n[pace]\nfats = '1s'",
        "x.toml:4: pace.fats: unknown field `fats`, expected one of `fast`, `slow`, `share`",
    );
    check_error(
        "name = 'a'\n[pace]\nfast = 100",
        "x.toml:3: pace.fast: invalid type: integer `100`, expected a duration such as \"100ms\", \"5s\" or \"10m\"",
    );
    check_error(
        "\nname = 3",
        "x.toml:2: name: invalid type: integer `3`, expected a string",
    );
    check_error("", "x.toml:1: missing field `name`");
}

#[test]
fn all_invalid_values_are_told_at_once() {
    check_error(
        "name = ''\n[pace]\nshare = 2.0\nslow = '1ms'",
        "x.toml:1: name: must not be empty\n\
         x.toml:2: pace.fast: 100ms is longer than slow, 1ms\n\
         x.toml:3: pace.share: 2 is not within 0 to 1",
    );
}

#[test]
fn values_from_elsewhere_are_checked_too() {
    let config = Sample {
        name: String::new(),
        pace: Pace::default(),
    };
    assert_eq!(
        check(&config, "command line").unwrap_err().to_string(),
        "command line: name: must not be empty"
    );
}

#[test]
fn files_that_cannot_be_read_or_are_too_large_are_refused() {
    let missing = load::<Sample>(&PathBuf::from("no/such/file.toml")).unwrap_err();
    assert!(
        missing.to_string().starts_with("configuration no/such/file.toml: "),
        "{missing}"
    );

    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(MAX_BYTES + 1).unwrap();
    assert!(matches!(load::<Sample>(file.path()), Err(ConfigError::TooLarge { .. })));

    std::fs::write(file.path(), "name = 'a'").unwrap();
    assert_eq!(load::<Sample>(file.path()).unwrap().name, "a");
}
