//! What is shipped, as it is shipped: packages in a Debian of their own, images from nothing, static agents of other processors.
//!
//! Each is a script of `deploy/`, for packages and images are made of what it tries; here is what it is called with, and that it
//! steps aside loudly. Binaries are those that were built with the tests, or those of the folder `FORESHADOW_PROGRAMS`.

use std::{
    env,
    ffi::OsStr,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use crate::harness::step_aside;

/// Exit status of a script that lacks a tool; the last line of what it says tells which.
const LACKS: i32 = 77;

/// Exit status of one that lacks what only a network gives: an archive of Debian, a library of Rust.
const CUT_OFF: i32 = 78;

/// Processors beside this one.
const OTHERS: [&str; 2] = ["aarch64-unknown-linux-musl", "armv7-unknown-linux-gnueabihf"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn programs() -> PathBuf {
    let built = Path::new(env!("CARGO_BIN_EXE_foreshadow")).parent().unwrap();
    env::var_os("FORESHADOW_PROGRAMS").map_or_else(|| built.to_owned(), PathBuf::from)
}

/// Runs a script of `deploy/`; what it has printed, or nothing where it cannot do its work here, which is told.
///
/// # Panics
/// Where it fails, and where it lacks a tool that could be installed ([`step_aside`]).
fn deploy<S: AsRef<OsStr>>(script: &str, arguments: &[S]) -> Option<String> {
    let mut command = Command::new(root().join("deploy").join(script));
    let output = command.args(arguments).current_dir(root()).output().unwrap();
    let (said, told) = (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    );
    let why = format!("{script}: {}", told.lines().last().unwrap_or_default());
    match output.status.code() {
        Some(0) => eprint!("{said}"),
        Some(LACKS) => step_aside(&why),
        Some(CUT_OFF) => eprintln!("SKIPPED: {why}"),
        _ => panic!("{script}: {}\n{said}\n{told}", output.status),
    }
    output.status.success().then_some(said)
}

#[test]
fn packages_install_upgrade_and_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (out, programs) = (folder.path().to_str().unwrap(), programs());
    let build = ["--fast", "--out", out, "--binaries", programs.to_str().unwrap()];
    let Some(packed) = deploy("packages/build", &build) else {
        return;
    };
    let packages = packed.lines().filter(|line| line.ends_with(".deb"));
    assert_eq!(packages.count(), 4, "{packed}");
    deploy("packages/test", &[out]);
}

/// A static `program` for `target`, or nothing where it cannot be built here.
fn static_program(target: &str, program: &str) -> Option<PathBuf> {
    let built = deploy("static/build", &[target, "dev", program])?;
    Some(PathBuf::from(built.trim()))
}

fn static_agent(target: &str) -> Option<PathBuf> {
    static_program(target, "foreshadow-agent")
}

/// That which tests with a guest have too, or one of our own.
fn static_agent_of_this_machine() -> Option<PathBuf> {
    let given = env::var_os("FORESHADOW_EDGE_AGENT").map(PathBuf::from);
    given.or_else(|| static_agent(&own()))
}

/// The library that Rust has for this machine anyway.
fn own() -> String {
    format!("{}-unknown-linux-gnu", env::consts::ARCH)
}

#[test]
fn images_run_read_only_without_rights_and_know_their_health() {
    if let Some(agent) = static_agent_of_this_machine() {
        deploy("images/test", &[agent, programs()]);
    }
}

#[test]
fn what_a_static_agent_takes_is_told() {
    let given = env::var_os("FORESHADOW_EDGE_AGENT").map(PathBuf::from);
    let Some(agent) = given.or_else(|| static_agent(&own())) else {
        return;
    };
    // Without what only a debugger needs, which would take a minute to pack.
    let folder = tempfile::tempdir().unwrap();
    let stripped = folder.path().join("foreshadow-agent");
    let strip = Command::new("strip").arg("-o").args([&stripped, &agent]).status();
    if !strip.is_ok_and(|status| status.success()) {
        return step_aside("strip is not installed (Debian: binutils)");
    }
    let length = stripped.metadata().unwrap().len();
    let Some(told) = deploy("static/cost", &[stripped, programs(), "2".into()]) else {
        return;
    };
    assert!(told.contains(&format!("flash: {length} bytes, ")), "{told}");
    let resident = told.split_once(" Rss ").and_then(|(_, rest)| rest.split(' ').next());
    let resident: u64 = resident.unwrap().parse().unwrap();
    assert!((1_000..1_000_000).contains(&resident), "{told}");
    assert!(told.contains("processor: "), "{told}");
}

#[test]
fn static_agents_of_other_processors_reach_the_brain() {
    for agent in OTHERS.into_iter().filter_map(static_agent) {
        deploy("static/test", &[agent, programs()]);
    }
}

#[test]
fn a_static_broker_serves_a_static_agent_and_a_brain() {
    let Some((agent, broker)) = static_agent_of_this_machine().zip(static_program(&own(), "foreshadow-broker")) else {
        return;
    };
    let programs_of_both = tempfile::tempdir().unwrap();
    let place = |program: &Path| {
        symlink(program, programs_of_both.path().join(program.file_name().unwrap())).unwrap();
    };
    place(&broker);
    // A static brain is made likewise, and takes a quarter of an hour.
    place(&programs().join("foreshadow-brain"));
    let headers = Command::new("readelf").arg("-l").arg(&broker).output();
    if let Ok(headers) = headers {
        assert!(
            !String::from_utf8_lossy(&headers.stdout).contains("INTERP"),
            "{broker:?} is linked to libraries"
        );
    }
    deploy("static/test", &[&agent, programs_of_both.path()]);
}
