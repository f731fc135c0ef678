//! What a person sees of a cell in a terminal, and what scripts and shells get.

use std::{
    fs,
    io::Write as _,
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{PATIENCE, Process, free_port, get, have, step_aside, until, write};

fn foreshadow(arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_foreshadow");
    Command::new(program).args(arguments).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn a_cell_is_seen_from_a_terminal() {
    let folder = TempDir::new().unwrap();
    let (broker, port) = (format!("127.0.0.1:{}", free_port()), free_port());
    let page = format!("127.0.0.1:{port}");
    let data = folder.path().to_str().unwrap();
    let mut up = Process::foreshadow(&["up", "--data-dir", data, "--broker", &broker, "--page", &page]);
    up.expect_text("page");
    let hosts = || serde_json::from_str::<Value>(&get(port, "/api/v1/hosts")).unwrap()["rows"].clone();
    until("the host is forecast", PATIENCE, || {
        hosts()[0]["resources"][0]["peak"].is_number()
    });
    let host = hosts()[0]["name"].as_str().unwrap().to_owned();

    let status = foreshadow(&["status", "--page", &page]);
    assert!(text(&status).contains("hosts      1 online"), "{}", text(&status));
    let told: Value = serde_json::from_slice(&foreshadow(&["status", "--json", "--page", &page]).stdout).unwrap();
    assert_eq!(told["hosts"]["online"], 1);
    assert!(matches!(told["exit_code"].as_i64(), Some(0 | 2)), "{told}");

    let once = foreshadow(&["top", "--once", "--page", &page]);
    let line = text(&once)
        .lines()
        .find(|line| line.contains("online "))
        .map(str::to_owned);
    assert!(
        once.status.success() && line.is_some_and(|line| line.contains('›')),
        "{}",
        text(&once)
    );
    let once = foreshadow(&["top", "--once", "--host", &host, "--page", &page]);
    assert!(
        text(&once).contains("  5 min ") && text(&once).contains("WORKLOAD"),
        "{}",
        text(&once)
    );
    let told = foreshadow(&["top", "--once", "--json", "--host", &host, "--page", &page]);
    assert_eq!(
        serde_json::from_slice::<Value>(&told.stdout).unwrap()["host"]["name"],
        host.as_str()
    );
    let told = foreshadow(&["top", "--once", "--json", "--page", &page]);
    let told: Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(
        (&told["fleet"]["hosts"]["all"], &told["hosts"][0]["name"]),
        (&1.into(), &host.as_str().into())
    );
    on_a_terminal(&page, &host);

    let nobody = foreshadow(&["top", "--once", "--host", "nobody", "--page", &page]);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("no host \"nobody\" was ever seen"));
    let elsewhere = foreshadow(&["top", "--page", &page]);
    assert!(String::from_utf8_lossy(&elsewhere.stderr).contains("--once prints one picture"));

    assert!(up.stop().0.success());
    let gone = foreshadow(&["status", "--page", &page]);
    assert_eq!(gone.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&gone.stderr).contains("start one (`foreshadow up`), or name its address"));
}

/// A lab that is over has a brain that answers, and whose engine makes no pictures any more.
#[test]
fn a_brain_whose_engine_stands_still_is_not_well() {
    let folder = TempDir::new().unwrap();
    let rows: String = (0..30).map(|row| format!("{},0.2,0.3\n", row * 10)).collect();
    write(folder.path(), "web-1.csv", &format!("time,cpu,mem\n{rows}"));
    let page = format!("127.0.0.1:{}", free_port());
    let traces = folder.path().to_str().unwrap();
    let mut lab = Process::foreshadow(&[
        "lab", "--traces", traces, "--speed", "100000", "--page", &page, "--stay",
    ]);
    lab.expect_text("the page goes on");
    let fresh = foreshadow(&["status", "--page", &page]);
    assert_eq!(fresh.status.code(), Some(0), "{}", text(&fresh));

    let status = || foreshadow(&["status", "--page", &page]);
    until("it is told", PATIENCE, || status().status.code() == Some(2));
    let told = text(&status());
    let line = told.lines().find(|line| line.starts_with("ATTENTION")).unwrap();
    assert!(
        line.contains("nothing new for ") && line.contains("start it anew"),
        "{told}"
    );
    assert!(!told.contains("all is well"), "{told}");
    let told = foreshadow(&["status", "--json", "--page", &page]);
    let told: Value = serde_json::from_slice(&told.stdout).unwrap();
    assert!(
        told["exit_code"] == 2 && told["age_ms"].as_u64() > Some(30_000),
        "{told}"
    );
    for view in [&["top", "--once"][..], &["top", "--once", "--host", "web-1"]] {
        let once = foreshadow(&[view, &["--page", &page]].concat());
        assert!(text(&once).starts_with("nothing new for "), "{}", text(&once));
    }
    let once = foreshadow(&["top", "--once", "--json", "--page", &page]);
    let once: Value = serde_json::from_slice(&once.stdout).unwrap();
    assert!(once["fleet"]["age_ms"].as_u64() > Some(30_000), "{once}");
}

/// As the packages of the parts have them, whose only program is the part's own.
#[test]
fn manuals_of_a_part_tell_of_its_own_program() {
    for (part, commands) in [
        (
            "agent",
            &["", " run", " record", " doctor", " processes", " healthy"][..],
        ),
        ("broker", &["", " password", " healthy"]),
        ("brain", &["", " user", " user add", " healthy"]),
    ] {
        let folder = TempDir::new().unwrap();
        assert!(
            foreshadow(&["man", "--part", part, "--out", folder.path().to_str().unwrap()])
                .status
                .success()
        );
        for command in commands {
            let called = format!("foreshadow-{part}{command}");
            let page = folder.path().join(called.replace(' ', "-") + ".1");
            let page = fs::read_to_string(&page).unwrap_or_else(|fault| panic!("{}: {fault}", page.display()));
            let page = page.replace("\\-", "-");
            let synopsis = page.split(".SH SYNOPSIS\n").nth(1).unwrap();
            assert!(synopsis.starts_with(&format!("\\fB{called}\\fR")), "{synopsis}");
            assert!(!page.contains(&format!("foreshadow {part}")), "{page}");
        }
        let page = fs::read_to_string(folder.path().join(format!("foreshadow-{part}.1"))).unwrap();
        assert!(page.contains(".SH \"EXIT STATUS\"\n0 when"), "{page}");
        let script = text(&foreshadow(&["completions", "bash", "--part", part]));
        let last = script
            .lines()
            .rfind(|line| line.trim_start().starts_with("complete -F "))
            .unwrap();
        assert!(last.ends_with(&format!(" foreshadow-{part}")), "{last}");
    }
}

/// Draws on a terminal of `script`'s making; keys come through a pipe.
fn on_a_terminal(page: &str, host: &str) {
    if !have("script") {
        return step_aside("script (util-linux) is not installed");
    }
    let command = format!(
        "stty rows 24 cols 80; {} top --page {page} --host {host}",
        env!("CARGO_BIN_EXE_foreshadow")
    );
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("screen");
    let mut script = Command::new("script")
        .args([
            "--quiet",
            "--return",
            "--flush",
            "--command",
            &command,
            log.to_str().unwrap(),
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let screen = || String::from_utf8_lossy(&fs::read(&log).unwrap_or_default()).into_owned();
    until("the host is drawn", PATIENCE, || screen().contains("WORKLOAD"));
    let mut keys = script.stdin.take().unwrap();
    keys.write_all(b"\x7f").unwrap();
    until("the fleet is drawn", PATIENCE, || screen().contains("now›peak"));
    keys.write_all(b"q").unwrap();
    assert!(script.wait().unwrap().success());
    assert!(screen().contains("\u{1b}[?1049l"), "the screen is given back");
}

/// Of a part, whose failure is a line of its log.
#[test]
fn colours_are_for_terminals_alone() {
    if !have("script") {
        return step_aside("script (util-linux) is not installed");
    }
    let ask = [
        env!("CARGO_BIN_EXE_foreshadow"),
        "agent",
        "run",
        "--config",
        "/nowhere.toml",
    ];
    let piped = foreshadow(&ask[1..]);
    let told = String::from_utf8_lossy(&piped.stderr).into_owned();
    assert!(told.contains("ERROR") && !told.contains('\u{1b}'), "{told:?}");
    for (no_colour, has_colours) in [(None, true), (Some("1"), false)] {
        let mut script = Command::new("script");
        script.args(["-qec", &ask.join(" "), "/dev/null"]).stdin(Stdio::null());
        script
            .env_remove("NO_COLOR")
            .envs(no_colour.map(|set| ("NO_COLOR", set)));
        let told = text(&script.output().unwrap());
        assert!(
            told.contains("ERROR") && told.contains('\u{1b}') == has_colours,
            "{no_colour:?}: {told:?}"
        );
    }
}

#[test]
fn shells_complete_it_and_man_has_its_pages() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let told = foreshadow(&["completions", shell]);
        assert!(told.status.success() && text(&told).contains("simulate"), "{shell}");
    }
    let script = foreshadow(&["completions", "bash"]).stdout;
    let ask = "source /dev/stdin; COMP_WORDS=(foreshadow stat); COMP_CWORD=1; _foreshadow foreshadow stat foreshadow; echo ${COMPREPLY[@]}";
    let mut bash = Command::new("bash")
        .args(["-c", ask])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    bash.stdin.take().unwrap().write_all(&script).unwrap();
    assert_eq!(text(&bash.wait_with_output().unwrap()).trim(), "status");

    let folder = TempDir::new().unwrap();
    let pages = folder.path().join("man1");
    assert!(foreshadow(&["man", "--out", pages.to_str().unwrap()]).status.success());
    let page = fs::read_to_string(pages.join("foreshadow-status.1")).unwrap();
    assert!(page.contains(".TH") && page.contains("\\-\\-json"), "{page}");
    // With all exit codes, at the root and where they say how a cell stands.
    let help = |arguments: &[&str]| text(&foreshadow(arguments)).replace('\n', " ");
    for (page, help, codes) in [
        (
            "foreshadow.1",
            help(&["--help"]),
            &["0 when", "1 when", "2 when", "64 for", "130 when"][..],
        ),
        (
            "foreshadow-status.1",
            help(&["status", "--help"]),
            &["0 when", "1 when", "2 when", "64 for"],
        ),
    ] {
        let page = fs::read_to_string(pages.join(page)).unwrap().replace('\n', " ");
        let section = page.split(".SH \"EXIT STATUS\"").nth(1).unwrap();
        for code in codes {
            assert!(
                section.contains(code) && help.contains(code),
                "{code}: {section} {help}"
            );
        }
    }
    let taken = folder.path().join("file");
    fs::write(&taken, "").unwrap();
    let refused = foreshadow(&["man", "--out", taken.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("man pages cannot be written to"));
}
