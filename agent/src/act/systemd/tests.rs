//! Words of properties, a `systemctl` of three lines, and a real systemd that is the first process of a namespace.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::{Child, Stdio},
    thread,
    time::Instant,
};

use super::*;
use crate::probe::tree::Tree;

fn place(tree: &Tree) -> Place {
    let mut place = tree.place();
    place.config.workload.parents = vec![String::new(), "apps.slice".to_owned()];
    place
}

fn unit(tree: &Tree, property: Property, program: &str) -> Unit {
    Unit::new(property, vec![program.to_owned()], &place(tree), "apps.slice")
}

fn tree() -> Tree {
    let tree = Tree::new(&[
        ("sys/fs/cgroup/cgroup.controllers", "cpu memory"),
        ("sys/fs/cgroup/apps.slice/web.service/cpu.stat", "usage_usec 1"),
        ("sys/fs/cgroup/apps.slice/web.service/memory.current", "8192000"),
        ("sys/fs/cgroup/apps.slice/web.service/pids.current", "7"),
        ("sys/fs/cgroup/apps.slice/plain/cpu.stat", "usage_usec 1"),
        ("sys/fs/cgroup/ssh.service/cpu.stat", "usage_usec 1"),
    ]);
    // What it is asked is kept, and what it was told last is shown.
    tree.set(
        "bin/systemctl",
        "#!/bin/sh\ncase $1 in\nshow) echo LoadState=loaded; cat \"$0.shown\";;\n*) echo \"$@\" >> \"$0.asked\";;\nesac\n",
    );
    tree
}

#[test]
fn spans_of_time_are_cores() {
    for (text, expected) in [
        ("1.500000s", Some(1.5)),
        ("200ms", Some(0.2)),
        ("1min 40s", Some(100.0)),
        ("1y", None),
        ("", None),
    ] {
        assert_eq!(seconds(text), expected, "{text}");
    }
    assert_eq!(Property::Cpu.text("10us").as_deref(), Some("0.00%"));
}

#[test]
fn properties_are_set_shown_and_set_back_in_systemds_words() {
    let tree = tree();
    let program = tree.place().path("bin/systemctl");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let program = program.to_str().unwrap().to_owned();
    let check = |property: Property, amount: f64, text: &str, assigned: &str, shown: [&str; 2]| {
        let mut lever = unit(&tree, property, &program);
        lever.argv.insert(0, "/bin/sh".to_owned());
        let turn = lever
            .aim(Ask {
                workload: "web.service",
                amount,
            })
            .unwrap()
            .remove(0);
        assert_eq!((&*turn.subject, &*turn.text), ("apps.slice/web.service", text));
        let name = property.names().1;
        for (told, text) in shown.into_iter().zip([NONE, text]) {
            fs::write(format!("{program}.shown"), format!("{name}={told}\n")).unwrap();
            let stands = lever.read(&turn.subject).unwrap();
            assert!(lever.is_same(&stands, text), "{stands} is not {text}");
        }
        let asked = format!("{program}.asked");
        fs::write(&asked, "").unwrap();
        lever.write(&turn.subject, text).unwrap();
        lever.write(&turn.subject, NONE).unwrap();
        let none = property.assigned(NONE);
        let set = property.names().0;
        let line = |value: &str| format!("set-property --runtime -- web.service {set}={value}\n");
        assert_eq!(fs::read_to_string(asked).unwrap(), line(assigned) + &line(none));
    };
    check(Property::Cpu, 1.5, "150.00%", "150.00%", ["infinity", "1.500000s"]);
    check(Property::Weight, 2.0, "200", "200", ["[not set]", "200"]);
    check(Property::Memory, 100.0, "9011200", "9011200", ["infinity", "9011200"]);
    check(Property::Tasks, 3.0, "8", "8", ["infinity", "8"]);
}

#[test]
fn what_is_no_unit_or_not_delegated_is_left_alone() {
    let tree = tree();
    let mut lever = unit(&tree, Property::Cpu, "/bin/false");
    for workload in ["plain", "ssh.service", "ghost"] {
        assert!(lever.aim(Ask { workload, amount: 1.0 }).is_err(), "{workload}");
    }
    for subject in [
        "ssh.service",
        "apps.slice/plain",
        "apps.slice/--now.service/..",
        "apps.slice/-H.service",
    ] {
        assert!(lever.write(subject, "5").is_err(), "{subject}");
    }
    assert!(
        levers(&tree.place(), "").is_empty(),
        "a tree of files has no first process"
    );
}

/// A systemd that is the first process of namespaces of its own, with one unit; and their folder.
struct Systemd {
    unshare: Child,
    pid: String,
    home: tempfile::TempDir,
}

/// Its own units, runtime folder and cgroups; what the machine has is out of its sight.
const START: &str = "mount --make-rprivate / && mount -t tmpfs tmpfs /run && mkdir /run/systemd && \
    export container=test SYSTEMD_UNIT_PATH=$0 && \
    exec /lib/systemd/systemd --system --log-target=null --show-status=no";

impl Systemd {
    fn start() -> Option<Self> {
        let home = tempfile::tempdir().unwrap();
        let unit = "[Service]\nExecStart=/bin/sleep 1000\nSlice=apps.slice\nCPUQuota=150%\n";
        fs::write(home.path().join("web.service"), unit).unwrap();
        fs::write(home.path().join("default.target"), "[Unit]\nWants=web.service\n").unwrap();
        let mut command = Command::new("unshare");
        command.args(["-fpmC", "--kill-child", "--mount-proc", "sh", "-c", START]);
        command
            .arg(home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let unshare = command.spawn().ok()?;
        let mut systemd = Self {
            unshare,
            pid: String::new(),
            home,
        };
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(30) {
            if systemd.pid.is_empty() {
                systemd.pid = systemd.child().unwrap_or_default();
            }
            let mut active = systemd.within(&["systemctl", "is-active", "web.service"]);
            if !systemd.pid.is_empty()
                && active
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .status()
                    .unwrap()
                    .success()
            {
                return Some(systemd);
            }
            thread::sleep(Duration::from_millis(200));
        }
        eprintln!("SKIPPED: no systemd can be the first process of a namespace here");
        None
    }

    /// The process that `unshare` has forked.
    fn child(&self) -> Option<String> {
        let id = self.unshare.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?;
        let child = children.split_ascii_whitespace().next()?.to_owned();
        (fs::read_to_string(format!("/proc/{child}/comm")).ok()?.trim() == "systemd").then_some(child)
    }

    fn words(&self, command: &[&str]) -> Vec<String> {
        let front = ["/usr/bin/nsenter", "-t", &self.pid, "-m", "-p", "-C", "--"];
        front.iter().chain(command).map(|word| (*word).to_owned()).collect()
    }

    fn within(&self, command: &[&str]) -> Command {
        let words = self.words(command);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        command
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        drop(self.unshare.kill());
        drop(self.unshare.wait());
        assert!(self.home.path().exists());
    }
}

#[test]
fn a_real_systemd_does_as_it_is_asked_and_again_as_it_was() {
    let Some(systemd) = Systemd::start() else { return };
    let tree = tree();
    let subject = "apps.slice/web.service";
    let lever = |property| Unit::new(property, systemd.words(&["systemctl"]), &place(&tree), "apps.slice");
    for (property, before, amount) in [
        (Property::Cpu, "150.00%", 0.205),
        (Property::Weight, NONE, 2.0),
        (Property::Memory, NONE, 64e6),
        (Property::Tasks, "", 50.0),
    ] {
        let mut lever = lever(property);
        let stood = lever.read(subject).unwrap();
        assert!(before.is_empty() || stood == before, "{property:?}: {stood}");
        let workload = "web.service";
        let turn = lever.aim(Ask { workload, amount }).unwrap().remove(0);
        lever.write(subject, &turn.text).unwrap();
        let stands = lever.read(subject).unwrap();
        assert!(
            lever.is_same(&stands, &turn.text),
            "{property:?}: {stands} is not {}",
            turn.text
        );
        let means = lever.amount(subject, &stands).unwrap();
        assert!((means / amount - 1.0).abs() < 1e-3, "{property:?}: {means}");
        if property == Property::Cpu {
            takes_effect(&systemd);
        }
        lever.write(subject, &stood).unwrap();
        assert_eq!(lever.read(subject).unwrap(), stood, "{property:?}");
    }
    let gone = lever(Property::Cpu).read("apps.slice/ghost.service").unwrap_err();
    assert_eq!(gone, LeverError::Gone);
}

/// Whatever version of cgroups this machine has: the kernel limits the unit.
fn takes_effect(systemd: &Systemd) {
    let paths = [
        "/sys/fs/cgroup/apps.slice/web.service/cpu.max".to_owned(),
        "/sys/fs/cgroup/cpu/apps.slice/web.service/cpu.cfs_quota_us".to_owned(),
        "/sys/fs/cgroup/cpu,cpuacct/apps.slice/web.service/cpu.cfs_quota_us".to_owned(),
    ];
    let read = |path: &String| {
        let told = systemd.within(&["cat", path]).output().unwrap();
        told.status.success().then(|| String::from_utf8(told.stdout).unwrap())
    };
    match paths.iter().find_map(read) {
        Some(text) => assert!(text.starts_with("20500"), "{text}"),
        None => eprintln!("the unit has no quota in a file here"),
    }
}
