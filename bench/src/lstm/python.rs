//! Where the rivals live.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, ensure};

/// What a rival runs.
pub(super) const SCRIPT: &str = include_str!("rivals.py");

/// What it needs.
const PACKAGES: [&str; 4] = ["numpy", "torch", "onnx", "onnxruntime"];

/// A Python with all that the rivals need: the one of an earlier run, or a new one, for which some gigabytes are fetched.
pub(super) fn made() -> anyhow::Result<PathBuf> {
    let folder = env::temp_dir().join("foreshadow-bench-lstm");
    let python = folder.join("bin/python");
    let imports = "import numpy, torch, onnx, onnxruntime";
    let there = Command::new(&python).args(["-c", imports]).output();
    if there.is_ok_and(|output| output.status.success()) {
        return Ok(python);
    }
    eprintln!("making {} with {}", folder.display(), PACKAGES.join(", "));
    run("python3", &["-m", "venv", &folder.to_string_lossy()])?;
    run(&python, &[&["-m", "pip", "install", "--quiet"][..], &PACKAGES].concat())?;
    Ok(python)
}

fn run(program: impl AsRef<Path>, arguments: &[&str]) -> anyhow::Result<()> {
    let program = program.as_ref();
    let status = Command::new(program).args(arguments).status();
    let status = status.with_context(|| format!("{} does not start", program.display()))?;
    ensure!(status.success(), "{} {} failed", program.display(), arguments.join(" "));
    Ok(())
}
