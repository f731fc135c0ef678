//! Programs of the site that know how to limit what the agent does not: a cloud's resize, a unit of systemd.
//!
//! Each has two fixed argument lists: one that prints the present value, and one that sets it, in which `{value}` and
//! `{workload}` stand for what they say. No shell reads them, the environment is empty but for a `PATH`, what is printed is
//! bounded, and a program that takes too long is killed.

use std::{
    io::{self, Read},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{Ask, Lever, LeverError, Quantity, Turn};
use crate::config::Exec;

/// The most of an output that is read.
const MAX_OUTPUT: u64 = 4_096;
/// Between two looks whether a program has ended.
const LOOK: Duration = Duration::from_millis(10);
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// A pair of programs.
pub(crate) struct Program {
    name: &'static str,
    exec: Exec,
}

impl Program {
    /// The lever that `exec` describes. Its name lives as long as the process: there is one for each entry of the
    /// configuration.
    pub(crate) fn new(exec: Exec) -> Self {
        let name = Box::leak(format!("exec.{}", exec.name).into_boxed_str());
        Self { name, exec }
    }

    fn run(&self, arguments: &[String], workload: &str, value: &str) -> Result<String, LeverError> {
        let told = |argument: &String| argument.replace("{workload}", workload).replace("{value}", value);
        let arguments: Vec<String> = arguments.iter().map(told).collect();
        let (program, rest) = arguments.split_first().ok_or_else(|| failed("it names no program"))?;
        let mut command = Command::new(program);
        command.args(rest).env_clear().env("PATH", PATH);
        output(command, self.exec.deadline.duration()).map_err(|why| failed(&format!("{program}: {why}")))
    }
}

fn failed(why: &str) -> LeverError {
    LeverError::Failed(why.to_owned())
}

/// What `command` prints, of which it must end well in time.
pub(super) fn output(mut command: Command, deadline: Duration) -> Result<String, String> {
    let text = |fault: io::Error| fault.to_string();
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.spawn().map_err(text)?;
    let printed = child.stdout.take();
    // Ends with the program's output, which may be held open by a child of it: then nobody waits for it.
    let (tell, told) = std::sync::mpsc::channel();
    let reader = thread::Builder::new().name("exec".to_owned()).spawn(move || {
        let mut text = String::new();
        let read = printed.map(|printed| printed.take(MAX_OUTPUT).read_to_string(&mut text));
        drop(tell.send(read.transpose().map(|_| text)));
    });
    reader.map_err(text)?;
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().map_err(text)? {
            break status;
        }
        if start.elapsed() >= deadline {
            child.kill().and_then(|()| child.wait()).map_err(text)?;
            return Err(format!("it took longer than {deadline:?}, and was killed"));
        }
        thread::sleep(LOOK);
    };
    if !status.success() {
        return Err(format!("it ended with {status}"));
    }
    let printed = told
        .recv_timeout(deadline)
        .map_err(|_| "its output does not end".to_owned())?;
    Ok(printed.map_err(text)?.trim().to_owned())
}

impl Lever for Program {
    fn name(&self) -> &'static str {
        self.name
    }

    fn quantity(&self) -> Quantity {
        self.exec.resource
    }

    fn aim(&mut self, ask: Ask<'_>) -> Result<Vec<Turn>, String> {
        let value = ask.amount * self.exec.scale;
        Ok(vec![Turn {
            subject: ask.workload.to_owned(),
            text: format!("{value:.0}"),
            note: String::new(),
        }])
    }

    fn read(&mut self, subject: &str) -> Result<String, LeverError> {
        let text = self.run(&self.exec.get, subject, "")?;
        if text.is_empty() || text.contains(char::is_whitespace) {
            return Err(failed(&format!(
                "{:?} is no value",
                text.chars().take(80).collect::<String>()
            )));
        }
        Ok(text)
    }

    fn write(&mut self, subject: &str, text: &str) -> Result<(), LeverError> {
        self.run(&self.exec.set, subject, text).map(drop)
    }

    fn amount(&mut self, _subject: &str, text: &str) -> Option<f64> {
        text.parse::<f64>().ok().map(|value| value / self.exec.scale)
    }

    fn outlives_reboot(&self) -> bool {
        self.exec.outlives_reboot
    }

    fn is_slow(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use runtime::Span;

    use super::*;

    fn program(get: &[&str], set: &[&str], deadline_ms: u64) -> Program {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Program::new(Exec {
            name: "resize".to_owned(),
            resource: Quantity::Cpu,
            get: owned(get),
            set: owned(set),
            scale: 1_000.0,
            deadline: Span::from_millis(deadline_ms),
            outlives_reboot: true,
        })
    }

    #[test]
    fn values_are_arguments_and_no_shell_reads_them() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("{workload}").to_str().unwrap().to_owned();
        let mut program = program(
            &["cat", &file],
            &["dd", "if=/dev/null", &format!("of={file}.{{value}}")],
            5_000,
        );
        let turns = program.aim(Ask {
            workload: "web; touch x",
            amount: 1.5,
        });
        let turn = turns.unwrap().remove(0);
        assert_eq!((&*turn.text, program.amount("", "1500")), ("1500", Some(1.5)));
        program.write(&turn.subject, &turn.text).unwrap();
        assert!(home.path().join("web; touch x.1500").exists());
        std::fs::write(home.path().join("web; touch x"), "2000\n").unwrap();
        assert_eq!(program.read("web; touch x").unwrap(), "2000");
        assert_eq!((program.name(), program.outlives_reboot()), ("exec.resize", true));
    }

    #[test]
    fn programs_that_fail_hang_or_talk_too_much_are_told() {
        let fault = |get: &[&str]| program(get, &[], 200).read("web").unwrap_err().to_string();
        assert!(fault(&["false"]).contains("ended with"));
        assert!(fault(&["sleep", "60"]).contains("was killed"));
        assert!(fault(&["/none/such"]).contains("No such file"));
        assert!(fault(&["echo", "two words"]).contains("is no value"));
        assert!(fault(&["true"]).contains("is no value"));
        assert!(fault(&[]).contains("names no program"));
        let start = Instant::now();
        assert!(!fault(&["yes"]).is_empty());
        assert!(start.elapsed() < Duration::from_secs(10));
    }
}
