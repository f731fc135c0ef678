//! A real browser over a real listener: chromium, told what to do by chromedriver.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use axum::http;
use fantoccini::{Client, ClientBuilder, Locator, elements::Element, error::CmdError, wd::WebDriverCompatibleCommand};
use hyper_util::client::legacy::connect::HttpConnector;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{oneshot, watch},
    task::JoinHandle,
    time,
};
use url::{ParseError, Url};

use crate::{
    page::{
        Door, PageState,
        fixture::{decided, fleet::Waves, state},
        serve,
    },
    snapshot::Snapshot,
    testing::step_aside,
};

/// How long something may take to appear on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// How a browser looks at the page.
#[derive(Debug, Clone, Copy)]
pub(super) enum Eyes {
    Desk,
    Dark,
    Phone,
}

/// A browser, and the page that it looks at.
pub(super) struct Browser {
    client: Client,
    pub(super) site: Site,
    _driver: Driver,
}

/// chromedriver and the browsers that it has started, which end with it: also where a test has failed.
struct Driver {
    child: Child,
    /// Kept open: it may tell more.
    told: BufReader<ChildStdout>,
}

impl Driver {
    /// `None`, and a printed reason, where there is none.
    fn start() -> Option<Self> {
        let started = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn();
        let Ok(mut child) = started else {
            step_aside("chromedriver is not installed (Debian: chromium-driver)");
            return None;
        };
        let told = BufReader::new(child.stdout.take().unwrap());
        Some(Self { child, told })
    }

    /// Waits until it says where it listens.
    fn port(&mut self) -> u16 {
        let mut line = String::new();
        loop {
            line.clear();
            assert!(self.told.read_line(&mut line).unwrap() > 0, "chromedriver has ended");
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                return port.trim().trim_end_matches('.').parse().unwrap();
            }
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let group = Pid::from_child(&self.child);
        kill_process_group(group, Signal::KILL).unwrap_or_default();
        self.child.wait().unwrap();
    }
}

/// A page on a free port.
pub(super) struct Site {
    pub(super) address: SocketAddr,
    pub(super) engine: watch::Sender<Arc<Snapshot>>,
    stop: Option<oneshot::Sender<()>>,
    server: Option<JoinHandle<()>>,
}

impl Site {
    async fn new(snapshot: Snapshot, door: Option<Door>) -> Self {
        let (engine, _, page) = state();
        engine.send_replace(Arc::new(snapshot));
        let page = decided(&engine, page);
        let page = PageState {
            series: Arc::new(Waves),
            door: door.map_or_else(|| Arc::clone(&page.door), Arc::new),
            ..page
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(async move {
            let stopped = async {
                stopped.await.unwrap_or_default();
            };
            serve(listener, page, stopped).await.unwrap();
        });
        Self {
            address,
            engine,
            stop: Some(stop),
            server: Some(server),
        }
    }

    /// The brain is gone, and its port refuses.
    pub(super) async fn die(&mut self) {
        drop(self.stop.take());
        self.server.take().unwrap().await.unwrap();
    }
}

impl Browser {
    /// A browser on `#/`; `None`, and a printed reason, where there is no chromedriver.
    pub(super) async fn open(snapshot: Snapshot, eyes: Eyes) -> Option<Self> {
        Self::open_at(snapshot, eyes, None).await
    }

    /// As [`Browser::open`], where people log in.
    pub(super) async fn open_at(snapshot: Snapshot, eyes: Eyes, door: Option<Door>) -> Option<Self> {
        let mut driver = Driver::start()?;
        let port = driver.port();
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(capabilities(eyes).as_object().unwrap().clone());
        let client = builder.connect(&format!("http://127.0.0.1:{port}")).await.unwrap();
        let browser = Self {
            client,
            site: Site::new(snapshot, door).await,
            _driver: driver,
        };
        browser.go("#/").await;
        Some(browser)
    }

    /// Loads the page anew at an address after the host.
    pub(super) async fn go(&self, at: &str) {
        self.client.goto("about:blank").await.unwrap();
        let url = format!("http://{}/{at}", self.site.address);
        self.client.goto(&url).await.unwrap();
    }

    /// Another view, as a link leads there.
    pub(super) async fn follow(&self, at: &str) {
        self.js(&format!("location.hash = '{at}'")).await;
    }

    /// What a script returns.
    pub(super) async fn js(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap()
    }

    /// Waits until an expression is true.
    pub(super) async fn until(&self, expression: &str) {
        let began = Instant::now();
        while self.js(&format!("return Boolean({expression})")).await != true {
            if began.elapsed() > PATIENCE {
                let shown = self.js("return document.body.innerText").await;
                let logs = self.faults().await;
                panic!(
                    "it never came to {expression}: {logs:?}\n{}",
                    shown.as_str().unwrap_or_default()
                );
            }
            time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// Waits until the page tells `text`.
    pub(super) async fn reads(&self, text: &str) {
        let text = serde_json::to_string(text).unwrap();
        self.until(&format!("document.body.innerText.includes({text})")).await;
    }

    pub(super) async fn find(&self, css: &str) -> Element {
        let count = format!("document.querySelector({})", serde_json::to_string(css).unwrap());
        self.until(&count).await;
        self.client.find(Locator::Css(css)).await.unwrap()
    }

    /// Clicks on what has this text.
    pub(super) async fn click(&self, css: &str, text: &str) {
        let script = format!(
            "const node = [...document.querySelectorAll('{css}')].find((node) => node.innerText.trim() === '{text}'); node?.click(); return Boolean(node)"
        );
        let began = Instant::now();
        while self.js(&script).await != true {
            assert!(began.elapsed() < PATIENCE, "there is no {css} {text}");
            time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// What the console has told since it was asked last, with requests that had no answer left out: a dead brain is no fault of
    /// the page.
    pub(super) async fn faults(&self) -> Vec<String> {
        let told = self.command("se/log", json!({"type": "browser"})).await;
        let lines = told.as_array().unwrap().iter().filter(|line| line["level"] == "SEVERE");
        let lines = lines.map(|line| line["message"].as_str().unwrap().to_owned());
        lines.filter(|line| !line.contains("Failed to load resource")).collect()
    }

    /// A link of so many bytes a second.
    pub(super) async fn slow_down(&self, bytes_per_s: u32, latency_ms: u32) {
        let conditions = json!({"offline": false, "latency": latency_ms, "download_throughput": bytes_per_s, "upload_throughput": bytes_per_s});
        self.command("chromium/network_conditions", json!({"network_conditions": conditions}))
            .await;
    }

    async fn command(&self, path: &'static str, body: Value) -> Value {
        self.client.issue_cmd(Extra { path, body }).await.unwrap()
    }

    /// A window of so many pixels.
    pub(super) async fn resize(&self, width: u32, height: u32) {
        self.client.set_window_size(width, height).await.unwrap();
    }

    /// What is seen, as a PNG.
    pub(super) async fn png(&self) -> Vec<u8> {
        self.client.screenshot().await.unwrap()
    }

    /// Keeps a picture where `FORESHADOW_PICTURES` names a folder.
    pub(super) async fn picture(&self, name: &str) {
        let Some(folder) = std::env::var_os("FORESHADOW_PICTURES") else {
            return;
        };
        let picture = self.client.screenshot().await.unwrap();
        std::fs::write(Path::new(&folder).join(format!("{name}.png")), picture).unwrap();
    }

    /// Ends browser and page; the page must have had no fault.
    pub(super) async fn close(self) {
        assert_eq!(self.faults().await, Vec::<String>::new());
        self.client.close().await.unwrap();
    }
}

fn capabilities(eyes: Eyes) -> Value {
    let mut arguments = vec![
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        "--window-size=1300,1000",
    ];
    if matches!(eyes, Eyes::Dark) {
        arguments.push("--blink-settings=preferredColorScheme=0");
    }
    let mut options = json!({"args": arguments});
    if matches!(eyes, Eyes::Phone) {
        options["mobileEmulation"] =
            json!({"deviceMetrics": {"width": 390, "height": 844, "pixelRatio": 2, "touch": true}});
    }
    json!({"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}})
}

/// What chromedriver does beyond the standard.
#[derive(Debug)]
struct Extra {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Extra {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.body.to_string()))
    }
}

/// Where an element cannot be used, why.
pub(super) fn done(result: Result<(), CmdError>) {
    result.unwrap();
}
