//! A cell that commands of documents meet, and the folder that they run in.

use std::{
    fs,
    io::Read,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{pages::Block, words};
use crate::{
    database::{number, texts},
    harness::{PATIENCE, Process, free_port, listens, step_aside, until, write},
    lab::traces,
};

/// How long a command goes on after its first word before it is believed to go on for ever.
const GOES_ON: Duration = Duration::from_millis(500);
/// How long a command may take to end when it is told to.
const ENDING: Duration = Duration::from_secs(5);

/// Broker, brain and an agent `web-1`, with what documents name in the folder beside them.
pub(crate) struct Cell {
    /// They end before their folder does.
    _parts: [Process; 3],
    folder: TempDir,
    port: u16,
    page: u16,
    /// A command that was answered, as `explain` takes it.
    command: String,
    /// When an incident began that goes on.
    incident: i64,
}

/// An incident as a brain keeps it, which one that starts goes on with.
const INCIDENT: &str = "INSERT INTO incidents SELECT 'web-1', now - 60000, now, 1, 'warning', 3.0, 'a fan is slow', \
     '[{\"kind\":\"event\",\"subject\":\"fan\",\"severity\":\"warning\",\"score\":3.0,\"evidence\":\"a fan is slow\"}]', NULL, NULL \
     FROM (SELECT CAST(unixepoch() AS INTEGER) * 1000 AS now) RETURNING since";

impl Cell {
    pub(crate) fn start() -> Self {
        let folder = TempDir::with_prefix("foreshadow-docs-").unwrap();
        let [port, page] = [(); 2].map(|()| free_port());
        let at = folder.path();
        for inner in [
            "bin",
            "etc/foreshadow",
            "etc/bash_completion.d",
            "home/.config/fish/completions",
            "share/man/man1",
            "state",
            "run",
        ] {
            fs::create_dir_all(at.join(inner)).unwrap();
        }
        let spawn = |name: &str, part: &str, config: &str| {
            let config = write(at, name, config);
            let mut command = Command::new(env!("CARGO_BIN_EXE_foreshadow"));
            command
                .args([part, "--config", &config])
                .current_dir(at)
                .env("FORESHADOW_LOG", "info");
            Process::spawn(part, &mut command)
        };
        let socket = at.join("run/mqtt.sock");
        let broker = spawn(
            "broker.toml",
            "broker",
            &format!("listen = \"127.0.0.1:{port}\"\nunix_socket = {socket:?}\n"),
        );
        until("the broker listens", PATIENCE, || listens(port));
        let text = format!(
            "[broker]\nport = {port}\n[page]\nlisten = \"127.0.0.1:{page}\"\nlocal_role = \"operator\"\n[grid]\nstep = \"1s\"\ngrace = \"0s\"\nlength = \"1h\"\n\
             [store]\nflush_every = \"200ms\"\n[allocate]\nevery = \"2s\"\n"
        );
        let data = at.join("data/brain");
        let start = || {
            let brain = spawn("etc/foreshadow/brain.toml", "brain", &text);
            until("the page listens", PATIENCE, || listens(page));
            brain
        };
        assert!(start().stop().0.success(), "it has made its database");
        let incident = number(&data, INCIDENT);
        let brain = start();
        let text = format!(
            "host = \"web-1\"\nstate_dir = {:?}\n[broker]\nport = {port}\n[pace]\nmax = \"200ms\"\n",
            at.join("state")
        );
        let agent = spawn("etc/foreshadow/agent.toml", "agent", &text);
        let answered = "SELECT count(*) FROM v_commands WHERE state = 'dry_run'";
        let minutes = "SELECT count(*) FROM rollup_1m";
        until("a command is answered, and a minute is kept", 3 * PATIENCE, || {
            data.join("brain.db").exists() && number(&data, answered) > 0 && number(&data, minutes) > 0
        });
        let command = texts(&data, "SELECT id FROM v_commands WHERE state = 'dry_run' LIMIT 1").remove(0);
        let cell = Self {
            port,
            page,
            command,
            incident,
            _parts: [broker, brain, agent],
            folder,
        };
        cell.furnish();
        cell
    }

    /// What documents name: series, traces, a password, and programs that find the cell at its ports.
    fn furnish(&self) {
        let at = self.folder.path();
        let rows: String = (0..2_000)
            .map(|row| format!("{},{}\n", 1_700_000_000 + row * 300, row % 12 + row / 1_990 * 90))
            .collect();
        write(at, "series.csv", &format!("timestamp,value\n{rows}"));
        let traces = traces();
        fs::create_dir_all(at.join("recorded")).unwrap();
        for file in fs::read_dir(traces.path()).unwrap().map(|entry| entry.unwrap().path()) {
            fs::copy(&file, at.join("recorded").join(file.file_name().unwrap())).unwrap();
        }
        write(at, "secret", "a password\n");
        let (ours, page) = (env!("CARGO_BIN_EXE_foreshadow"), self.page);
        self.program(
            "foreshadow",
            &format!(
                "part=$1; shift\ncase $part in\ntop|status|freeze|thaw) set -- --page 127.0.0.1:{page} \"$@\" ;;\n\
                 up) set -- --page 127.0.0.1:0 --broker 127.0.0.1:0 \"$@\" ;;\nesac\nexec {ours} $part \"$@\""
            ),
        );
        for part in ["agent", "broker", "brain"] {
            self.program(&format!("foreshadow-{part}"), &format!("exec {ours} {part} \"$@\""));
        }
        // By itself it ends well with whatever it is answered.
        self.program("curl", "PATH=${PATH#*:}\nexec curl --fail-with-body \"$@\"");
        let port = self.port;
        self.program(
            "mosquitto_sub",
            &format!(
                "case $1 in --unix) ;; *) set -- -p {port} \"$@\" ;; esac\nPATH=${{PATH#*:}}\nexec mosquitto_sub \"$@\""
            ),
        );
    }

    fn program(&self, name: &str, script: &str) {
        let path = self.folder.path().join("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// A script with this cell's ports, folders and names in place of those that documents have.
    fn placed(&self, script: &str) -> String {
        let folder = self.folder.path().display();
        script
            .replace("127.0.0.1:8420", &format!("127.0.0.1:{}", self.page))
            .replace("localhost:1883", &format!("localhost:{}", self.port))
            .replace("1796083200000000-edge-1-7", &self.command)
            .replace("/incidents/1700000000000/", &format!("/incidents/{}/", self.incident))
            .replace("/run/foreshadow/", &format!("{folder}/run/"))
            .replace("/etc/", &format!("{folder}/etc/"))
            .replace("/usr/local/share/", &format!("{folder}/share/"))
            .replace("\"${fpath[1]}/_foreshadow\"", "_foreshadow")
    }

    fn command(&self, program: &str) -> Command {
        let bin = self.folder.path().join("bin");
        let mut command = Command::new(program);
        command
            .current_dir(self.folder.path())
            .env("PATH", format!("{}:{}", bin.display(), std::env::var("PATH").unwrap()))
            .env("HOME", self.folder.path().join("home"))
            .env("USER", "ann")
            .env("XDG_STATE_HOME", self.folder.path().join("home/state"))
            .env("SHELL", "/bin/sh")
            .env("MPLBACKEND", "agg")
            .env_remove("STATE_DIRECTORY")
            .env_remove("RUNTIME_DIRECTORY")
            .stdin(Stdio::null())
            .process_group(0);
        command
    }

    /// Whether all programs of a block are here; where one is not, the block steps aside.
    fn has_programs(&self, block: &Block) -> bool {
        let bin = self.folder.path().join("bin");
        let path = std::env::var("PATH").unwrap();
        let found = |name: &str| std::env::split_paths(&path).any(|folder| folder.join(name).is_file());
        words::commands(&block.text).iter().all(|words| {
            let name = &words[0];
            let is_of_shell = ["cd", "umask", "export"].contains(&name.as_str());
            // Those of others are only called here.
            let is_called = ["curl", "mosquitto_sub"].contains(&name.as_str());
            let here = is_of_shell || found(name) || !is_called && bin.join(name).is_file();
            if !here {
                step_aside(&format!("{block}: {name} is not installed"));
            }
            here
        })
    }

    /// Runs a block as a whole; it must end by itself, and well.
    pub(crate) fn run(&self, block: &Block) -> Result<(), String> {
        let mut command = if block.is_of_shell() {
            if !self.has_programs(block) {
                return Ok(());
            }
            self.command("sh")
        } else {
            let Some(python) = python(block) else { return Ok(()) };
            self.command(&python)
        };
        let option = if block.is_of_shell() { "-ec" } else { "-c" };
        command.args([option, &self.placed(&block.text)]);
        let mut running = Running::start(&mut command);
        let began = Instant::now();
        loop {
            if let Some(status) = running.child.try_wait().unwrap() {
                let told = running.told();
                return if status.success() {
                    Ok(())
                } else {
                    Err(format!("{status}: {told}"))
                };
            }
            if began.elapsed() > PATIENCE {
                return Err(format!("it does not end: {}", running.told()));
            }
            thread::sleep(Duration::from_millis(25));
        }
    }

    /// Runs each line of a block in a terminal until it has told something and goes on.
    pub(crate) fn watch(&self, block: &Block) -> Result<(), String> {
        if !self.has_programs(block) {
            return Ok(());
        }
        let script = self.placed(&block.text.replace("\\\n", " "));
        for line in script.lines().filter(|line| !line.trim().is_empty()) {
            let mut command = self.command("script");
            command.args(["-qefc", line, "/dev/null"]);
            let mut running = Running::start(&mut command);
            let began = Instant::now();
            while running.told().trim().is_empty() {
                let ended = running.child.try_wait().unwrap();
                if ended.is_some() || began.elapsed() > PATIENCE {
                    return Err(format!("{line}: it tells nothing ({ended:?})"));
                }
                thread::sleep(Duration::from_millis(25));
            }
            // It goes on, or has ended well: what fails says why, and ends at once.
            let told = Instant::now();
            while told.elapsed() < GOES_ON {
                if let Some(status) = running.child.try_wait().unwrap() {
                    if !status.success() {
                        return Err(format!("{line}: {status}: {}", running.told()));
                    }
                    break;
                }
                thread::sleep(Duration::from_millis(25));
            }
        }
        Ok(())
    }
}

/// A Python with what a block imports, and with what pandas needs for the files and pictures of the documents.
fn python(block: &Block) -> Option<String> {
    let python = concat!(env!("CARGO_MANIFEST_DIR"), "/target/interop/venv/bin/python");
    let tried = Command::new(python)
        .args(["-c", "import pandas, pyarrow, matplotlib"])
        .stderr(Stdio::null())
        .status();
    let has_all = tried.is_ok_and(|status| status.success());
    if !has_all {
        step_aside(&format!(
            "{block}: {python} has no pandas, pyarrow and matplotlib: run broker/tests/interop/install"
        ));
    }
    has_all.then(|| python.to_owned())
}

/// A command with its group, which ends with it.
struct Running {
    child: Child,
    told: Arc<Mutex<String>>,
}

impl Running {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let told = Arc::new(Mutex::new(String::new()));
        keep(child.stdout.take().unwrap(), Arc::clone(&told));
        keep(child.stderr.take().unwrap(), Arc::clone(&told));
        Self { child, told }
    }

    fn told(&self) -> String {
        self.told.lock().unwrap().clone()
    }

    fn signal(&self, signal: &str) {
        let group = format!("-{}", self.child.id());
        drop(
            Command::new("kill")
                .args([signal, "--", &group])
                .stderr(Stdio::null())
                .status(),
        );
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.signal("-TERM");
        let end = Instant::now() + ENDING;
        while self.child.try_wait().unwrap().is_none() && Instant::now() < end {
            thread::sleep(Duration::from_millis(25));
        }
        self.signal("-KILL");
        drop(self.child.wait());
    }
}

fn keep(mut output: impl Read + Send + 'static, told: Arc<Mutex<String>>) {
    thread::spawn(move || {
        let mut some = [0; 4096];
        while let Ok(length) = output.read(&mut some) {
            if length == 0 {
                break;
            }
            told.lock().unwrap().push_str(&String::from_utf8_lossy(&some[..length]));
        }
    });
}
