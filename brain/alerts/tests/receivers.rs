//! Receivers of this machine's own: what they get, and what their troubles cost.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that meets what it does not expect is to fail there and then"
)]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use alerts::{Config, Count, Counted, Incident, Source, start};
use runtime::Shutdown;
use serde_json::Value;
use shadow::{Severity, UnixMs};
use tempfile::TempDir;
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinSet,
};

const NOW_MS: UnixMs = 1_800_000_000_000;

/// Incidents, at a time that stands.
struct Standing(Mutex<Vec<Incident>>);

impl Source for Standing {
    fn incidents(&self) -> (UnixMs, Vec<Incident>) {
        (NOW_MS, self.0.lock().unwrap().clone())
    }
}

fn incident(host: &str) -> Incident {
    Incident {
        host: host.to_owned(),
        since_ms: NOW_MS - 60_000,
        until_ms: NOW_MS,
        goes_on: true,
        severity: Severity::Critical,
        cause: "memory leaks".to_owned(),
        evidence: vec!["14 GiB, expected were 3".to_owned()],
        is_acknowledged: false,
    }
}

/// A cell with an incident and a receiver.
struct Cell {
    folder: TempDir,
    config: Config,
    incidents: Arc<Standing>,
    counts: UnboundedReceiver<Count>,
    counted: Counted,
}

impl Cell {
    fn new(receiver: &str) -> Self {
        let text = format!("[[receivers]]\nname = 'ops'\ngroup_wait = '0s'\n{receiver}");
        let (tell, counts) = unbounded_channel();
        Self {
            folder: TempDir::new().unwrap(),
            config: runtime::config::parse(&text, "brain.toml").unwrap(),
            incidents: Arc::new(Standing(Mutex::new(vec![incident("node-1")]))),
            counts,
            counted: Arc::new(move |_, count| tell.send(count).unwrap_or_default()),
        }
    }

    fn start(&self, shutdown: &Shutdown) -> JoinSet<()> {
        let source: Arc<dyn Source> = Arc::clone(&self.incidents) as _;
        let page = "http://127.0.0.1:8420";
        start(
            &self.config,
            ("main", page),
            self.folder.path(),
            &source,
            &self.counted,
            shutdown,
        )
    }

    async fn counts(&mut self, expected: Count) {
        assert_eq!(self.counts.recv().await, Some(expected));
    }

    fn ends(&self) {
        for incident in &mut *self.incidents.0.lock().unwrap() {
            incident.goes_on = false;
        }
    }
}

/// Serves each connection with `answer`, and hands on what it took.
fn serve(answer: impl Fn(usize, TcpStream) -> String + Send + 'static) -> (u16, UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, told): (UnboundedSender<String>, _) = unbounded_channel();
    thread::spawn(move || {
        for (index, stream) in listener.incoming().enumerate() {
            if tell.send(answer(index, stream.unwrap())).is_err() {
                return;
            }
        }
    });
    (port, told)
}

/// A web server that answers the statuses in turn, the last of them for ever.
fn web(statuses: &'static [&'static str]) -> (u16, UnboundedReceiver<String>) {
    serve(move |index, mut stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line.trim().is_empty() {
                break;
            }
            head += &line;
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let status = statuses[index.min(statuses.len() - 1)];
        write!(
            stream,
            "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        )
        .unwrap();
        format!("{head}\n{}", String::from_utf8(body).unwrap())
    })
}

fn body(request: &str) -> Value {
    serde_json::from_str(request.split_once("\n\n").unwrap().1).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_fails_is_told_again_until_it_takes_it_and_once() {
    let (port, mut requests) = web(&["503 Busy", "302 Found\r\nlocation: http://127.0.0.1:1/", "200 OK"]);
    let token = TempDir::new().unwrap();
    let file = token.path().join("token");
    fs::write(&file, "let-me-in\n").unwrap();
    let mut cell = Cell::new(&format!(
        "kind = 'webhook'\nurl = 'http://127.0.0.1:{port}/hook'\nsecret_file = {file:?}"
    ));
    let shutdown = Shutdown::new();
    let mut tasks = cell.start(&shutdown);
    for expected in [Count::Failed, Count::Failed, Count::Delivered] {
        cell.counts(expected).await;
        let request = requests.recv().await.unwrap();
        assert!(request.starts_with("POST /hook HTTP/1.1"), "{request}");
        assert!(
            request.to_lowercase().contains("authorization: bearer let-me-in"),
            "{request}"
        );
        let told = body(&request);
        assert_eq!(
            (&told["notices"][0]["host"], &told["notices"][0]["why"]),
            (&"node-1".into(), &"began".into())
        );
        assert!(
            told["text"]
                .as_str()
                .unwrap()
                .starts_with("[foreshadow main] critical: node-1: memory leaks")
        );
    }
    shutdown.trigger("a restart");
    while tasks.join_next().await.is_some() {}

    // After a restart nothing is told twice; the end is told.
    let shutdown = Shutdown::new();
    let mut tasks = cell.start(&shutdown);
    cell.ends();
    cell.counts(Count::Delivered).await;
    assert_eq!(body(&requests.recv().await.unwrap())["notices"][0]["why"], "ended");
    shutdown.trigger("the end");
    while tasks.join_next().await.is_some() {}
    assert!(requests.try_recv().is_err() && cell.counts.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn an_alertmanager_gets_alerts_of_its_api() {
    let (port, mut requests) = web(&["200 OK"]);
    let mut cell = Cell::new(&format!("kind = 'alertmanager'\nurl = 'http://127.0.0.1:{port}/'"));
    let shutdown = Shutdown::new();
    let _tasks = cell.start(&shutdown);
    cell.counts(Count::Delivered).await;
    let request = requests.recv().await.unwrap();
    assert!(request.starts_with("POST /api/v2/alerts HTTP/1.1"), "{request}");
    let alert = &body(&request)[0];
    assert_eq!(alert["labels"]["host"], "node-1");
    assert_eq!(alert["generatorURL"], "http://127.0.0.1:8420/#/hosts/node-1");
    assert_eq!(alert["endsAt"], "2027-01-15T08:05:00Z");
}

/// An SMTP server as small as one can be, which has no room for the first `refused` mails; hands on what it was told.
fn post_office(refused: usize) -> (u16, UnboundedReceiver<String>) {
    serve(move |index, mut stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let (mut all, mut in_data) = (String::new(), false);
        stream.write_all(b"220 here\r\n").unwrap();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap() == 0 {
                return all;
            }
            all += &line;
            let answer = match line.trim_end() {
                "." if in_data => {
                    in_data = false;
                    "250 taken"
                }
                _ if in_data => continue,
                from if from.starts_with("MAIL") && index < refused => "452 no room",
                "DATA" => {
                    in_data = true;
                    "354 go on"
                }
                "QUIT" => "221 bye",
                _ => "250 yes",
            };
            write!(stream, "{answer}\r\n").unwrap();
        }
    })
}

#[tokio::test(start_paused = true)]
async fn mail_has_a_subject_a_text_and_its_readers() {
    let (port, mut mails) = post_office(0);
    let receiver = format!(
        "kind = 'mail'\nurl = 'smtp://127.0.0.1:{port}'\nfrom = 'foreshadow <brain@example.org>'\nto = ['ops@example.org', 'night@example.org']"
    );
    let mut cell = Cell::new(&receiver);
    let shutdown = Shutdown::new();
    let _tasks = cell.start(&shutdown);
    cell.counts(Count::Delivered).await;
    let mail = mails.recv().await.unwrap();
    for part in [
        "MAIL FROM:<brain@example.org>",
        "RCPT TO:<night@example.org>",
        "Subject: [foreshadow main] critical: node-1: memory leaks",
        "14 GiB, expected were 3",
    ] {
        assert!(mail.contains(part), "{part:?} in {mail}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_cannot_be_reached_costs_nothing_but_time() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut cell = Cell::new(&format!(
        "kind = 'mail'\nurl = 'smtp://127.0.0.1:{gone}'\nfrom = 'a@b.c'\nto = ['d@e.f']"
    ));
    let shutdown = Shutdown::new();
    let mut tasks = cell.start(&shutdown);
    cell.counts(Count::Failed).await;
    cell.counts(Count::Failed).await;
    shutdown.trigger("the end");
    while tasks.join_next().await.is_some() {}
    let kept = fs::read_to_string(cell.folder.path().join("ops.json")).unwrap();
    assert!(kept.contains("\"told\":[]"), "{kept}");
}

/// Two incidents and a silenced one are one message without the third, which is taken at the third try; so is their end.
async fn is_tried_again_grouped_and_silenced(kind: &str, port: u16, taken: &mut UnboundedReceiver<String>) {
    let silence = "[[silences]]\nhosts = 'lab-*'\nuntil = '2030-01-01T00:00:00Z'";
    let mut cell = Cell::new(&format!("{}\n{silence}", kind.replace("PORT", &port.to_string())));
    let more = ["node-2", "lab-3"].map(incident);
    cell.incidents.0.lock().unwrap().extend(more);
    let shutdown = Shutdown::new();
    let mut tasks = cell.start(&shutdown);
    let mut told = String::new();
    for expected in [Count::Failed, Count::Failed, Count::Delivered] {
        cell.counts(expected).await;
        told = taken.recv().await.unwrap();
    }
    assert!(told.contains("node-1") && told.contains("node-2"), "{kind}: {told}");
    assert!(!told.contains("lab-3"), "{kind}: {told}");
    cell.ends();
    cell.counts(Count::Delivered).await;
    let ended = taken.recv().await.unwrap();
    assert!(ended.contains("node-1") && ended.contains("node-2"), "{kind}: {ended}");
    shutdown.trigger("the end");
    while tasks.join_next().await.is_some() {}
}

#[tokio::test(start_paused = true)]
async fn every_kind_is_tried_again_grouped_and_silenced() {
    for kind in [
        "kind = 'webhook'\nurl = 'http://127.0.0.1:PORT/hook'",
        "kind = 'alertmanager'\nurl = 'http://127.0.0.1:PORT/'",
    ] {
        let (port, mut taken) = web(&["503 Busy", "503 Busy", "200 OK"]);
        is_tried_again_grouped_and_silenced(kind, port, &mut taken).await;
    }
    let kind = "kind = 'mail'\nurl = 'smtp://127.0.0.1:PORT'\nfrom = 'a@b.c'\nto = ['d@e.f']";
    let (port, mut taken) = post_office(2);
    is_tried_again_grouped_and_silenced(kind, port, &mut taken).await;
}
