//! Whoever is refused is told what was wrong, where, and what to do next, in one line that begins with `error:`.

use std::{
    collections::BTreeSet,
    fs,
    io::{Read, Write as _},
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
    thread,
};

use tempfile::TempDir;

use crate::{
    harness::{PATIENCE, listens, until},
    stack::Stack,
};

/// What is typed, what it ends with, what and where the error names, and what to do next.
type Refused<'a> = (&'a str, i32, &'a [&'a str], &'a str);

/// Bad usage and bad configuration.
const USAGE: i32 = 64;

/// What is typed; what it ends with; what and where the error names; what to do next. Files are those of [`furnish`].
const REFUSED: &str = r#"
up --brokr x | 64 | --brokr | a similar argument exists: '--broker'
up --broker here | 64 | 'here' & --broker <ADDRESS> | try '--help'
up --agent-config none.toml | 64 | configuration none.toml | is the path right
up --broker 127.0.0.1:0 --page 127.0.0.1:0 --data-dir words.txt | 1 | words.txt/ | --data-dir names a folder that can be written to
top | 1 | draws on a terminal | --once prints one picture
top --once --page 127.0.0.1:1 | 1 | no brain's page at 127.0.0.1:1 | start one (`foreshadow up`)
top --once --every 0s | 64 | --every | at least a millisecond
status --page 127.0.0.1:1 | 1 | 127.0.0.1:1 | name its address (--page HOST:PORT)
status --user ann | 64 | --password-file | try '--help'
proposals --page 127.0.0.1:1 | 1 | 127.0.0.1:1 | start one (`foreshadow up`)
approve p-1 --by ann --page 127.0.0.1:1 | 1 | 127.0.0.1:1 | start one (`foreshadow up`)
decline p-1 --page 127.0.0.1:1 --reason r | 1 | who does it is not known | name them with --by NAME
freeze --page 127.0.0.1:1 | 1 | who does it is not known | name them with --by NAME
thaw --by ann --page 127.0.0.1:1 | 1 | 127.0.0.1:1 | start one (`foreshadow up`)
lab --speed 0 | 64 | --speed 0 | must be above 0
lab --hosts 0 | 64 | --hosts 0 | at least one is needed
lab --traces empty | 1 | empty: no trace | make one with `foreshadow export`
lab --traces none | 1 | none:  | is the path right
inspect none.db | 1 | 1 of 1 files & none.db:  | is the path right
inspect words.txt short/one.csv | 1 | 2 of 2 files & words.txt:  & short/one.csv:  | name what `inspect --record` or a brain has written
inspect --broker 127.0.0.1:1 | 1 | broker 127.0.0.1:1 | is it running, and the address right?
inspect --broker x.invalid:1 | 1 | broker x.invalid:1 | is the name right
query hosts | 64 | --config <FILE>|--data-dir <DIR> | try '--help'
query hosts --data-dir empty | 1 | empty/brain.db | --data-dir names the folder
query hosts --database mysql://x | 64 | store.database | must begin with postgres://
query hosts --database postgres://x@127.0.0.1:1/y | 1 | postgres://x@127.0.0.1:1/y | is it running, and the address right?
query series --data-dir empty --since soon | 64 | --since & "soon" | write a span back
explain c-1 --data-dir empty | 1 | empty/brain.db | --data-dir names the folder
report savings --data-dir empty | 1 | empty/brain.db | --data-dir names the folder
export --data-dir empty --format xls --output o | 64 | 'xls' | possible values: csv
export --data-dir empty --format csv --output o | 1 | empty/brain.db | --data-dir names the folder
detect --input none.csv --output o.csv | 1 | none.csv:  | is the path right
detect --input short/one.csv --output o.csv | 1 | one.csv: line 1 & timestamp | the first line names the columns
detect --input letters.csv --output o.csv | 1 | letters.csv: line 2, column value | leave it empty
detect --traces empty --output o.csv | 1 | empty: no trace | name another
backtest --traces short | 1 | short/one.csv: it has 1 rows | mend the file or take it away
backtest --traces hours --step 2h | 64 | --step | must be 1s to 1h
backtest --traces hours --horizons 7s | 64 | --horizons & 7 | is not a multiple of step_s = 60
backtest --traces hours --leave-hosts-out 5 | 64 | --leave-hosts-out 5 | fewer than the 1 hosts
simulate --traces hours | 1 | one: 300 rows are too few | a later --from
simulate --traces hours --resources mem | 1 | --resources & mem | take it out
policy check none.toml | 64 | none.toml | is the path right
policy check words.txt | 64 | words.txt: line 1 is no TOML | expected `=`
policy check latin.txt | 64 | latin.txt | is it the right file?
backup --data-dir empty --output hours | 1 | hours is there already | name a folder that is not
backup --data-dir empty --output o | 1 | empty/brain.db | --data-dir names the folder
audit verify none.log | 1 | none.log:  | is the path right
audit verify words.txt | 1 | broken at words.txt:1 | compare them with a copy
completions tcsh | 64 | 'tcsh' | possible values: bash
man --out /proc/none | 1 | /proc/none | is the path right
doctor --config none.toml | 64 | none.toml | is the path right
doctor --patience x | 64 | --patience & "x" | is no duration such as
processes --by x | 64 | --by | try '--help'
agent healthy --config agent.toml | 1 | no connection of this user to port 1: | its log says why
broker healthy --config broker.toml | 1 | the broker does not answer | name the configuration it runs with
broker password ann --file users | 1 | password: must have 1 to | hand it in by standard input
brain healthy --config brain.toml | 1 | the brain does not do its work | name the configuration it runs with
pki list --dir empty | 1 | empty: no authority | `foreshadow pki init` makes one
pki init --dir cell | 1 | cell: an authority is kept here already | --dir names another folder
pki host web/1 --dir cell | 1 | "web/1" & '/' at byte 3 | letters, digits, '.' and '-' are allowed
pki host web-1 --dir cell | 1 | web-1: it has a certificate | `foreshadow pki renew web-1` gives another
pki broker --dir cell --address a+b | 1 | "a+b" | --address names what clients connect to
pki renew web-2 --dir cell | 1 | web-2: it has no certificate | `foreshadow pki list` tells
pki revoke web-2 --dir cell | 1 | web-2: nothing of that is good | `foreshadow pki list` tells
pki config web-2 --dir cell | 1 | web-2: it has no good certificate | `foreshadow pki list` tells
pki serve --dir cell | 1 | no token is open | `foreshadow pki token HOST` makes one
pki serve --dir cell --for 2d | 64 | --for | must be 1s to 1day
pki token web-2 --dir cell --valid 0s | 64 | --valid | must be 1s to 7days
pki token web-2 --dir cell --out words.txt | 1 | words.txt | name another
pki token --hosts twice.txt --dir cell | 1 | twice.txt & line 2: web-2 | take one of the lines away
pki enrol --server x:1 --token-file none --out o | 1 | none:  | is the path right
pki enrol --server x:1 --token-file words.txt --out o | 1 | this is no token | as `pki token` tells it
pki enrol --server x:1 --token-file latin.txt --out o | 1 | latin.txt: no text | `foreshadow pki token`
"#;

/// Files at fault, and an authority that has issued for `web-1`.
fn furnish(folder: &Path) {
    let write = |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).unwrap();
    for inner in ["empty", "short", "hours"] {
        fs::create_dir(folder.join(inner)).unwrap();
    }
    write("words.txt", b"words\n");
    write("latin.txt", b"caf\xe9 = 1\n");
    write("twice.txt", b"web-2\nweb-2\n");
    write("letters.csv", b"timestamp,value\n1,abc\n");
    write("short/one.csv", b"time,cpu\n0,0.1\n");
    let rows: String = (0..300).map(|row| format!("{},0.{}\n", row * 60, row % 10)).collect();
    write("hours/one.csv", format!("time,cpu\n{rows}").as_bytes());
    write("agent.toml", b"[broker]\nport = 1\n");
    write("broker.toml", b"listen = \"127.0.0.1:1\"\n");
    write("brain.toml", b"[page]\nlisten = \"127.0.0.1:1\"\n");
    for arguments in ["pki init --dir cell", "pki host web-1 --dir cell"] {
        let (code, _, told) = ended(folder, arguments);
        assert_eq!(code, 0, "{told}");
    }
}

/// How a command ends that is given no input and no name of a user: its code, and what it prints and tells.
fn ended(folder: &Path, arguments: &str) -> (i32, String, String) {
    let ended = Command::new(env!("CARGO_BIN_EXE_foreshadow"))
        .args(arguments.split(' '))
        .current_dir(folder)
        .stdin(Stdio::null())
        .env_remove("USER")
        .env_remove("LOGNAME")
        .env_remove("FORESHADOW_LOG")
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (ended.status.code().unwrap(), text(ended.stdout), text(ended.stderr))
}

/// What is not as it should be with how a command is refused.
fn faults(folder: &Path, (arguments, code, names, next): &Refused<'_>) -> Option<String> {
    let (found, printed, told) = ended(folder, arguments);
    let mut lines = told.lines().filter(|line| line.starts_with("error: "));
    let (error, others) = (lines.next(), lines.count());
    let fault = match error {
        None => "no line begins with `error:`".to_owned(),
        Some(_) if others > 0 => "more than one line begins with `error:`".to_owned(),
        Some(_) if found != *code => format!("it ends with {found}, not {code}"),
        Some(_) if !printed.is_empty() => format!("it prints {printed:?}"),
        // What clap lacks it lists in lines of their own.
        Some(_) => match names.iter().chain([next]).find(|part| !told.contains(**part)) {
            Some(part) => format!("it does not tell {part:?}"),
            None => return None,
        },
    };
    Some(format!("{arguments}: {fault}\n{told}"))
}

#[test]
fn every_refusal_says_what_where_and_what_to_do_next() {
    let folder = TempDir::new().unwrap();
    furnish(folder.path());
    let (_, help, _) = ended(folder.path(), "--help");
    let listed = help.split("Commands:\n").nth(1).unwrap().lines();
    let listed = listed.map_while(|line| line.strip_prefix("  ")?.split(' ').next());
    let mut untold: BTreeSet<&str> = listed.filter(|name| *name != "help").collect();
    assert!(untold.len() > 25, "{untold:?}");
    let (mut all, mut bad) = (0, Vec::new());
    for line in REFUSED.trim().lines() {
        let [arguments, code, names, next] = line.split(" | ").collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        let names: Vec<&str> = names.split(" & ").collect();
        bad.extend(faults(folder.path(), &(arguments, code.parse().unwrap(), &names, next)));
        untold.remove(arguments.split(' ').next().unwrap());
        all += 1;
    }
    assert!(untold.is_empty(), "no refusal is tried of {untold:?}");
    assert!(
        all >= 60 && bad.is_empty(),
        "{} of {all}:\n{}",
        bad.len(),
        bad.join("\n")
    );
}

/// What a service manager runs tells it in its journal, with time and level.
#[test]
fn a_part_that_does_not_start_says_the_same_in_its_journal() {
    let folder = TempDir::new().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    write("words.txt", "words\n");
    write("range.toml", "[pace]\nmax = \"0s\"\n");
    write("broker.toml", &format!("listen = \"{address}\"\n"));
    write(
        "brain.toml",
        &format!("data_dir = \"data\"\n[page]\nlisten = \"{address}\"\n"),
    );
    write(
        "file.toml",
        "data_dir = \"words.txt\"\n[page]\nlisten = \"127.0.0.1:0\"\n",
    );
    for (arguments, code, name, next) in [
        (
            "agent --config none.toml",
            USAGE,
            "configuration none.toml",
            "is the path right",
        ),
        ("agent --config words.txt", USAGE, "words.txt:1", "expected `=`"),
        (
            "agent --config range.toml",
            USAGE,
            "range.toml:2: pace.max",
            "is shorter than min, 100ms",
        ),
        (
            "agent record --output none/x.csv --for 1s",
            1,
            "cannot create none/x.csv",
            "is the path right",
        ),
        (
            "broker --config none.toml",
            USAGE,
            "configuration none.toml",
            "is the path right",
        ),
        (
            "broker --config broker.toml",
            1,
            &address,
            "stop that one, or set `listen` to another port",
        ),
        ("brain --config words.txt", USAGE, "words.txt:1", "expected `=`"),
        ("brain --config brain.toml", 1, &address, "choose another page.listen"),
        (
            "brain --config file.toml",
            1,
            "data folder words.txt",
            "writable for this user",
        ),
    ] {
        let (found, _, told) = ended(folder.path(), arguments);
        let errors: Vec<&str> = told.lines().filter(|line| line.contains(" ERROR ")).collect();
        assert_eq!((found, errors.len()), (code, 1), "{arguments}: {told}");
        assert!(
            errors[0].contains(name) && errors[0].contains(next),
            "{arguments}: {told}"
        );
    }
}

/// A listener that answers everybody with `answer`, for as long as the test lasts.
fn listener(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let asked = stream.read(&mut [0; 4096]).unwrap_or(0);
            if asked > 0 {
                drop(stream.write_all(answer.as_bytes()));
            }
        }
    });
    address
}

#[test]
fn who_is_no_brains_page_is_told_from_one() {
    let folder = TempDir::new().unwrap();
    for (answer, says, next) in [
        (
            "220 mail.example ready\r\n",
            "does not speak HTTP",
            "--page https://HOST:PORT",
        ),
        (
            "HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\nnone",
            "404 Not Found",
            "is a brain's page there? --page HOST:PORT names it",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
            "is no answer of a brain's page",
            "is --page its address",
        ),
    ] {
        let address = listener(answer);
        let refused = (&*format!("status --page {address}"), 1, &[&*address, says][..], next);
        assert_eq!(faults(folder.path(), &refused), None);
    }
    let address = listener("nothing");
    for (options, name, next) in [
        (
            "--user ann --password-file none",
            "none: No such file",
            "--password-file must name a file whose first line",
        ),
        (
            "--ca none.pem",
            "none.pem: No such file",
            "--ca must name a file of authorities in PEM",
        ),
    ] {
        let refused = (
            &*format!("status --page https://{address} {options}"),
            1,
            &[name][..],
            next,
        );
        assert_eq!(faults(folder.path(), &refused), None);
    }
}

#[test]
fn what_a_brain_does_not_know_is_told_with_where_to_look() {
    let stack = Stack::new();
    let _broker = stack.broker();
    let brain = stack.brain();
    until("the page listens", PATIENCE, || listens(stack.page));
    let page = format!("--page 127.0.0.1:{}", stack.page);
    let check = |refused: Refused<'_>| assert_eq!(faults(stack.path(), &refused), None);
    check((
        &format!("top --once --host web-9 {page}"),
        1,
        &["no host \"web-9\""],
        "lists those that were",
    ));
    check((
        &format!("approve p-1 --by ann {page}"),
        1,
        &["no proposal \"p-1\""],
        "lists those that are open",
    ));
    assert!(brain.stop().0.success());
    check((
        "explain c-1 --data-dir data",
        1,
        &["no command or proposal called \"c-1\""],
        "`foreshadow query commands`",
    ));
    check((
        "export --data-dir data --format csv --output out",
        1,
        &["nothing is kept"],
        "an earlier --since may help",
    ));
    check((
        "backtest --from-store data",
        1,
        &["data: no rows are kept of that time"],
        "name another with --since",
    ));
}
