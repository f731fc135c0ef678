//! A disk that is full costs time, and no frame.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    database::{missing_frames, number},
    harness::{PATIENCE, step_aside, until},
    stack::Stack,
};

const FRAMES: &str = "SELECT count(*) FROM frames";

/// A small file system in RAM; only root may mount one.
struct Small(PathBuf);

impl Small {
    fn mount(at: &Path) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"])
            .arg(at)
            .status();
        if mount.is_ok_and(|status| status.success()) {
            return Some(Self(at.to_owned()));
        }
        step_aside("this user may not mount a small file system");
        None
    }

    /// Takes every byte that is left.
    fn fill(&self) -> PathBuf {
        let path = self.0.join("somebody-else");
        let mut file = File::create(&path).unwrap();
        for size in [1 << 16, 1 << 12, 1] {
            let block = vec![0; size];
            while file.write_all(&block).is_ok() {}
        }
        path
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

#[test]
fn a_full_disk_costs_no_frame() {
    let stack = Stack::new();
    let Some(disk) = Small::mount(&stack.data()) else {
        return;
    };
    let broker = stack.broker();
    let mut brain = stack.brain();
    let agent = stack.agent();
    let count = || number(&stack.data(), FRAMES);
    until("frames are durable", PATIENCE, || count() > 10);

    let other = disk.fill();
    brain.expect_text("database or disk is full");
    let held = count();
    assert!(brain.runs(), "it waits for room");
    // One that starts now does so, too.
    brain.kill();
    let mut brain = stack.brain();
    brain.expect_text("database or disk is full");
    assert!(brain.runs() && count() == held);
    fs::remove_file(other).unwrap();

    until("what waited is durable, and more", PATIENCE, || count() > held + 20);
    until("nothing is missing", PATIENCE, || missing_frames(&stack.data()) == 0);
    assert_eq!(number(&stack.data(), "SELECT count(*) FROM holes"), 0);
    assert!(agent.stop().0.success());
    assert!(brain.stop().0.success());
    assert!(broker.stop().0.success());
}
