//! Command lines as a shell splits them, as far as documents need it.

/// The commands of a script, each as its words: without comments, redirections and variables set before them.
pub(crate) fn commands(script: &str) -> Vec<Vec<String>> {
    let script = script.replace("\\\n", " ");
    let (mut all, mut command) = (Vec::new(), Vec::new());
    for line in script.lines() {
        let line = line.strip_prefix("$ ").unwrap_or(line);
        let mut letters = line.chars().peekable();
        let (mut word, mut is_word) = (String::new(), false);
        while let Some(letter) = letters.next() {
            match letter {
                '#' if !is_word => break,
                '\'' => {
                    is_word = true;
                    word.extend(letters.by_ref().take_while(|letter| *letter != '\''));
                }
                '"' => {
                    is_word = true;
                    word.extend(letters.by_ref().take_while(|letter| *letter != '"'));
                }
                '|' | '&' | ';' | '(' | ')' => {
                    end_word(&mut word, &mut is_word, &mut command);
                    end_command(&mut command, &mut all);
                }
                '>' | '<' => {
                    // What is redirected is no word, and neither is where to.
                    if word.bytes().all(|byte| byte.is_ascii_digit()) {
                        (word, is_word) = (String::new(), false);
                    }
                    end_word(&mut word, &mut is_word, &mut command);
                    while letters
                        .next_if(|letter| matches!(letter, '>' | '<' | '&' | ' '))
                        .is_some()
                    {}
                    while letters
                        .next_if(|letter| !letter.is_whitespace() && !matches!(letter, '|' | ';' | ')'))
                        .is_some()
                    {}
                }
                letter if letter.is_whitespace() => end_word(&mut word, &mut is_word, &mut command),
                letter => {
                    is_word = true;
                    word.push(letter);
                }
            }
        }
        end_word(&mut word, &mut is_word, &mut command);
        end_command(&mut command, &mut all);
    }
    all
}

fn end_word(word: &mut String, is_word: &mut bool, command: &mut Vec<String>) {
    if *is_word {
        command.push(std::mem::take(word));
    }
    *is_word = false;
}

fn end_command(command: &mut Vec<String>, all: &mut Vec<Vec<String>>) {
    let is_set = |word: &String| {
        word.split_once('=')
            .is_some_and(|(name, _)| !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'))
    };
    let set = command.iter().take_while(|word| is_set(word)).count();
    let words = std::mem::take(command).split_off(set);
    if !words.is_empty() {
        all.push(words);
    }
}

/// The arguments of the command `foreshadow` that a command line comes to; `None` where it is of another program, or no whole
/// line but a form of it.
pub(crate) fn of_program(words: &[String]) -> Option<Vec<String>> {
    let (program, rest) = words.split_first()?;
    let arguments: Vec<String> = match program.as_str() {
        "foreshadow" => rest.to_vec(),
        "foreshadow-agent" | "foreshadow-broker" | "foreshadow-brain" => {
            let part = program.trim_start_matches("foreshadow-").to_owned();
            [part].into_iter().chain(rest.iter().cloned()).collect()
        }
        "cargo" if !rest.iter().any(|word| word == "-p") && rest.first().is_some_and(|word| word == "run") => {
            rest.iter().skip_while(|word| *word != "--").skip(1).cloned().collect()
        }
        _ => return None,
    };
    whole(arguments)
}

/// How cargo is told to build a program of the package `package`, where it is told so, and the program's arguments; `None` as for
/// [`of_program`].
pub(crate) fn of_package(words: &[String], package: &str) -> Option<(Vec<String>, Vec<String>)> {
    let (program, rest) = words.split_first()?;
    let (build, arguments) = match program.as_str() {
        "cargo" if rest.first()? == "run" && rest.windows(2).any(|pair| pair == ["-p", package]) => {
            let end = rest.iter().position(|word| word == "--")?;
            (rest[..end].to_vec(), rest[end + 1..].to_vec())
        }
        program if program == package => (Vec::new(), rest.to_vec()),
        _ => return None,
    };
    Some((build, whole(arguments)?))
}

/// Arguments as a program can read them; `None` where they are a form of a line and no line.
fn whole(mut arguments: Vec<String>) -> Option<Vec<String>> {
    let form = |word: &String| ["COMMAND", "...", "…"].contains(&word.as_str());
    if arguments.first()? == "NAME" || arguments.iter().any(form) {
        return None;
    }
    // What may be left out stands in brackets; addresses and names of shells are read.
    for word in &mut arguments {
        *word = word
            .trim_matches(['[', ']'])
            .replace("HOST:PORT", "127.0.0.1:1")
            .replace("SHELL", "bash");
    }
    Some(arguments)
}

#[test]
fn scripts_are_split() {
    let script = "X=1 Y_Z=... foreshadow up --data-dir 'a b' > out.txt 2>&1 # why\n(umask 077; foreshadow pki token web-2 > t) && cat x | jq '.a | .b' \\\n  -r &\n$ foreshadow-broker password ann --file FILE\n";
    let expected: [&[&str]; 5] = [
        &["foreshadow", "up", "--data-dir", "a b"],
        &["umask", "077"],
        &["foreshadow", "pki", "token", "web-2"],
        &["cat", "x"],
        &["jq", ".a | .b", "-r"],
    ];
    let found = commands(script);
    assert_eq!(
        found[..5],
        expected.map(|words| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    );
    let args = |line: &str| of_program(&commands(line)[0]).map(|args| args.join(" "));
    assert_eq!(
        args("foreshadow-broker password ann --file FILE").unwrap(),
        "broker password ann --file FILE"
    );
    assert_eq!(args("cargo run --release --locked -- up").unwrap(), "up");
    assert_eq!(args("foreshadow detect [--combine]").unwrap(), "detect --combine");
    let bench = |line: &str| {
        let (build, arguments) = of_package(&commands(line)[0], "foreshadow-bench")?;
        Some(format!("{} | {}", build.join(" "), arguments.join(" ")))
    };
    assert_eq!(
        bench("cargo run --release -p foreshadow-bench --no-default-features -- detect [--reference FILE.py]").unwrap(),
        "run --release -p foreshadow-bench --no-default-features | detect --reference FILE.py"
    );
    assert_eq!(
        bench("foreshadow-bench codec --telemetry A").unwrap(),
        " | codec --telemetry A"
    );
    for other in [
        "cargo run -p foreshadow-bench -- NAME",
        "cargo run -p foreshadow-bench",
        "cargo run -p foreshadow-chaos -- run",
        "cargo run -- up",
        "foreshadow codec",
    ] {
        assert_eq!(bench(other), None, "{other}");
    }
    for other in [
        "cargo run -p foreshadow-bench -- codec",
        "foreshadow COMMAND --help",
        "foreshadow pki ...",
        "ls -l",
    ] {
        assert_eq!(args(other), None, "{other}");
    }
}
