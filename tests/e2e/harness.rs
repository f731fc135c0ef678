//! Real processes on loopback, what they print, and what goes over their broker.

use std::{
    io::{BufRead, BufReader, Read, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

pub(crate) use crate::ports::free_port;

/// How long a step may take on a busy machine before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Asks `condition` until it holds.
///
/// # Panics
/// After `patience`, naming `what`.
pub(crate) fn until(what: &str, patience: Duration, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < patience, "not within {patience:?}: {what}");
        thread::sleep(Duration::from_millis(25));
    }
}

/// Whether somebody listens there.
pub(crate) fn listens(port: u16) -> bool {
    TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), Duration::from_secs(1)).is_ok()
}

/// The body of a page's answer.
pub(crate) fn get(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
        .split_once("\r\n\r\n")
        .map(|(_, body)| body.to_owned())
        .unwrap_or_default()
}

/// Asks the page to change something.
pub(crate) fn post(port: u16, path: &str, body: &str) -> serde_json::Value {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let length = body.len();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

/// Whether `program` can be started here; prints why a test steps aside where it cannot.
pub(crate) fn have(program: &str) -> bool {
    let found = Command::new(program)
        .arg("-h")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok();
    if !found {
        step_aside(&format!("{program} is not installed"));
    }
    found
}

/// A test steps aside and says why; where everything must be there (`FORESHADOW_ALL`, which `.ci/run` sets) it fails instead.
pub(crate) fn step_aside(why: &str) {
    assert!(
        std::env::var_os("FORESHADOW_ALL").is_none(),
        "it cannot be tested here: {why}"
    );
    eprintln!("SKIPPED: {why}");
}

/// A process that ends with its test.
pub(crate) struct Process {
    name: String,
    child: Child,
    printed: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    /// Starts `foreshadow` with `arguments`: what was built with the tests, or what `FORESHADOW_PROGRAM` names, such as a
    /// build for release.
    pub(crate) fn foreshadow<S: AsRef<str>>(arguments: &[S]) -> Self {
        let named = std::env::var("FORESHADOW_PROGRAM");
        Self::start(named.as_deref().unwrap_or(env!("CARGO_BIN_EXE_foreshadow")), arguments)
    }

    /// As [`Process::foreshadow`], where the shell's `ulimit` has been told `limit` beforehand.
    pub(crate) fn foreshadow_within<S: AsRef<str>>(limit: &str, arguments: &[S]) -> Self {
        let named = std::env::var("FORESHADOW_PROGRAM");
        let program = named.as_deref().unwrap_or(env!("CARGO_BIN_EXE_foreshadow"));
        let within = format!("ulimit {limit} && exec \"$0\" \"$@\"");
        let arguments = arguments.iter().map(AsRef::as_ref);
        let all: Vec<&str> = ["-c", &within, program].into_iter().chain(arguments).collect();
        Self::start("sh", &all)
    }

    /// Starts any program, its output kept.
    pub(crate) fn start<S: AsRef<str>>(program: &str, arguments: &[S]) -> Self {
        let arguments: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
        let mut command = Command::new(program);
        command.args(&arguments).env("FORESHADOW_LOG", "info");
        Self::spawn(&format!("{program} {}", arguments.join(" ")), &mut command)
    }

    /// Starts `command`, its output kept; `name` tells which it was.
    pub(crate) fn spawn(name: &str, command: &mut Command) -> Self {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
        let printed = Arc::new(Mutex::new(String::new()));
        let readers = vec![
            keep(child.stdout.take().unwrap(), Arc::clone(&printed)),
            keep(child.stderr.take().unwrap(), Arc::clone(&printed)),
        ];
        Self {
            name: name.to_owned(),
            child,
            printed,
            readers,
        }
    }

    /// Waits until it has printed `text`, whether it goes on or not.
    pub(crate) fn wait_for_text(&self, text: &str) {
        until(&format!("{} prints {text:?}", self.name), PATIENCE, || {
            self.printed().contains(text)
        });
    }

    /// What it has printed so far, both outputs together.
    pub(crate) fn printed(&self) -> String {
        self.printed.lock().unwrap().clone()
    }

    /// Waits until it has printed `text`.
    pub(crate) fn expect_text(&mut self, text: &str) {
        let start = Instant::now();
        while !self.printed().contains(text) {
            let ended = self.child.try_wait().unwrap();
            let late = start.elapsed() > PATIENCE;
            assert!(
                ended.is_none() && !late,
                "{} ({ended:?}) did not print {text:?}:\n{}",
                self.name,
                self.printed()
            );
            thread::sleep(Duration::from_millis(25));
        }
    }

    /// Whether it still runs.
    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Sends SIGTERM and tells how it ended and how long that took.
    pub(crate) fn stop(self) -> (ExitStatus, Duration) {
        let (status, took, _) = self.stop_and_read();
        (status, took)
    }

    /// As [`Process::stop`], with everything that it has printed.
    pub(crate) fn stop_and_read(mut self) -> (ExitStatus, Duration, String) {
        let start = Instant::now();
        self.signal("-TERM");
        let (status, took) = (self.wait(), start.elapsed());
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        (status, took, self.printed())
    }

    /// Sends SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends a signal, as `kill` names it.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// Waits until it ends by itself; a lab with its trainings takes most of a minute beside others.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(
                start.elapsed() < 3 * PATIENCE,
                "{} does not end:\n{}",
                self.name,
                self.printed()
            );
            thread::sleep(Duration::from_millis(25));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.runs() {
            // Politely at first, for a script has processes of its own to end.
            let pid = self.child.id().to_string();
            drop(Command::new("kill").args(["-TERM", &pid]).status());
            let end = Instant::now() + Duration::from_secs(3);
            while self.runs() && Instant::now() < end {
                thread::sleep(Duration::from_millis(25));
            }
            drop(self.child.kill());
            drop(self.child.wait());
        }
        if thread::panicking() {
            eprintln!("--- {}\n{}", self.name, self.printed());
        }
    }
}

fn keep(output: impl Read + Send + 'static, printed: Arc<Mutex<String>>) -> JoinHandle<()> {
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let mut printed = printed.lock().unwrap();
            printed.push_str(&line);
            printed.push('\n');
        }
    })
}

/// Writes `text` to a file in `folder` and gives its path.
pub(crate) fn write(folder: &Path, name: &str, text: &str) -> String {
    let path: PathBuf = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}
