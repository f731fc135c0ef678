//! What was released stays readable: no field changes its number, type or label, and what is taken away stays reserved.
//!
//! `testdata/VERSION.txt` holds a line for every field, enum value and reservation of a released version, as its
//! descriptors say. `REGENERATE=1 cargo test -p foreshadow-schemas` writes that of the version in the making, until it is
//! released; files of released versions are never changed.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::pedantic,
    reason = "a test that meets what it does not expect is to fail there and then"
)]

use std::{collections::BTreeSet, env, fs, path::Path};

use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
};

/// The lines of what `set` describes.
fn lines(set: &FileDescriptorSet) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    for file in &set.file {
        for message in &file.message_type {
            message_lines(file.package(), message, &mut lines);
        }
        for kind in &file.enum_type {
            enum_lines(file.package(), kind, &mut lines);
        }
    }
    lines
}

fn message_lines(scope: &str, message: &DescriptorProto, lines: &mut BTreeSet<String>) {
    let path = format!("{scope}.{}", message.name());
    for field in &message.field {
        lines.insert(field_line(&path, message, field));
    }
    for range in &message.reserved_range {
        // The end of a message's range is not part of it; that of an enum's is.
        lines.extend((range.start()..range.end()).map(|number| format!("{path} reserved {number}")));
    }
    lines.extend(
        message
            .reserved_name
            .iter()
            .map(|name| format!("{path} reserved {name}")),
    );
    for inner in &message.nested_type {
        message_lines(&path, inner, lines);
    }
    for inner in &message.enum_type {
        enum_lines(&path, inner, lines);
    }
}

fn field_line(path: &str, message: &DescriptorProto, field: &FieldDescriptorProto) -> String {
    let label = match field.label() {
        Label::Repeated => "repeated".to_owned(),
        _ if field.proto3_optional() => "optional".to_owned(),
        _ => match field.oneof_index {
            Some(index) => format!("oneof {}", message.oneof_decl[index as usize].name()),
            None => "single".to_owned(),
        },
    };
    let kind = match field.r#type() {
        Type::Message | Type::Enum => field.type_name().trim_start_matches('.').to_owned(),
        scalar => scalar.as_str_name().trim_start_matches("TYPE_").to_lowercase(),
    };
    format!("{path} field {} {} {kind} {label}", field.number(), field.name())
}

fn enum_lines(scope: &str, kind: &EnumDescriptorProto, lines: &mut BTreeSet<String>) {
    let path = format!("{scope}.{}", kind.name());
    for value in &kind.value {
        lines.insert(format!("{path} value {} {}", value.number(), value.name()));
    }
    for range in &kind.reserved_range {
        lines.extend((range.start()..=range.end()).map(|number| format!("{path} reserved {number}")));
    }
    lines.extend(kind.reserved_name.iter().map(|name| format!("{path} reserved {name}")));
}

/// What of `released` is no longer so, and not reserved either: in words, a line each.
fn breaks(released: &BTreeSet<String>, now: &BTreeSet<String>) -> Vec<String> {
    let kept = |line: &String| {
        let words: Vec<&str> = line.split(' ').collect();
        // A path, what it is, a number, a name.
        let reserved = |at: usize| now.contains(&format!("{} reserved {}", words[0], words[at]));
        now.contains(line) || (words[1] != "reserved" && reserved(2) && reserved(3))
    };
    released.iter().filter(|line| !kept(line)).cloned().collect()
}

fn compiled(folder: &Path, files: &[&str]) -> BTreeSet<String> {
    lines(&protox::compile(files, [folder]).unwrap())
}

#[test]
fn released_fields_keep_number_type_and_label() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let now = compiled(
        &root.join("proto"),
        &["foreshadow/v1/shadow.proto", "foreshadow/v1/command.proto"],
    );
    let testdata = root.join("testdata");
    if env::var_os("REGENERATE").is_some() {
        let mut text: String = now.iter().map(|line| format!("{line}\n")).collect();
        text.insert_str(0, &format!("# Version {}\n", env!("CARGO_PKG_VERSION")));
        fs::write(testdata.join(format!("{}.txt", env!("CARGO_PKG_VERSION"))), text).unwrap();
    }
    let files = testdata.read_dir().unwrap().map(|entry| entry.unwrap().path());
    let mut versions = 0;
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let released = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(str::to_owned)
            .collect();
        let broken = breaks(&released, &now);
        assert!(
            broken.is_empty(),
            "{} has what the schemas no longer have: {broken:#?}",
            file.display()
        );
        assert!(released.len() > 100, "{}: it is not whole", file.display());
        versions += 1;
    }
    assert!(versions > 0, "no released version in {}", testdata.display());
}

/// What breaks when `before`, the inner part of a message `M`, becomes `after`.
fn check(before: &str, after: &str, expected: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let of = |part: &str| {
        let text = format!("syntax = \"proto3\";\npackage p;\nmessage M {{ {part} }}\nmessage N {{}}\n");
        fs::write(folder.path().join("m.proto"), text).unwrap();
        compiled(folder.path(), &["m.proto"])
    };
    assert_eq!(breaks(&of(before), &of(after)), expected, "{before} became {after}");
}

#[test]
fn every_change_that_breaks_readers_is_found() {
    let released = "uint64 a = 1; repeated N b = 2;";
    let lost_a: &[&str] = &["p.M field 1 a uint64 single"];
    for (after, broken) in [
        // Whatever order they stand in, and more of them.
        ("repeated N b = 2; uint64 a = 1; string c = 3;", &[][..]),
        ("reserved 1; reserved \"a\"; repeated N b = 2;", &[]),
        (
            "reserved 1 to 7; reserved \"a\"; repeated N b = 9;",
            &["p.M field 2 b p.N repeated"],
        ),
        ("repeated N b = 2;", lost_a),
        ("reserved 1; repeated N b = 2;", lost_a),
        ("reserved \"a\"; repeated N b = 2;", lost_a),
        ("uint64 a = 3; repeated N b = 2;", lost_a),
        ("uint64 z = 1; repeated N b = 2;", lost_a),
        ("int64 a = 1; repeated N b = 2;", lost_a),
        ("optional uint64 a = 1; repeated N b = 2;", lost_a),
        ("repeated uint64 a = 1; repeated N b = 2;", lost_a),
        ("oneof x { uint64 a = 1; } repeated N b = 2;", lost_a),
        ("uint64 a = 1; N b = 2;", &["p.M field 2 b p.N repeated"]),
        ("uint64 a = 1; repeated M b = 2;", &["p.M field 2 b p.N repeated"]),
    ] {
        check(released, after, broken);
    }
    let released = "enum E { Z = 0; A = 1; }";
    check(released, "enum E { Z = 0; A = 1; B = 2; }", &[]);
    check(released, "enum E { reserved 1; reserved \"A\"; Z = 0; }", &[]);
    check(released, "enum E { Z = 0; B = 1; }", &["p.M.E value 1 A"]);
    let released = "reserved 4; reserved \"d\";";
    check(released, "reserved 3 to 5; reserved \"d\";", &[]);
    check(released, "string e = 4; reserved \"d\";", &["p.M reserved 4"]);
}
