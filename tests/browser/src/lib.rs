//! A real browser over a real listener: chromium, told what to do by chromedriver. For tests alone.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a test that meets what it does not expect is to fail there and then"
)]

mod driver;

use std::{
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use fantoccini::{
    Client, ClientBuilder, Locator,
    elements::Element,
    error::{CmdError, NewSessionError},
    wd::{WebDriverCompatibleCommand, WindowHandle},
};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::time;
use url::{ParseError, Url};

use driver::{Driver, step_aside};

/// How long something may take to appear on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// How a browser looks at the page.
#[derive(Debug, Clone, Copy)]
pub enum Eyes {
    /// In a window of 1300 by 1000 pixels, in the light.
    Desk,
    /// As [`Eyes::Desk`], where a person prefers the dark.
    Dark,
    /// On a screen of 390 by 844 points, by touch.
    Phone,
}

/// A browser that looks at a page.
pub struct Browser {
    client: Client,
    page: SocketAddr,
    _driver: Driver,
}

impl Browser {
    /// A browser on `#/` of the page at `page`; `None`, and a printed reason, where there is no chromium or chromedriver.
    ///
    /// # Panics
    /// As everything here: where the browser does not do what it is told.
    pub async fn open(page: SocketAddr, eyes: Eyes) -> Option<Self> {
        let mut driver = Driver::start()?;
        let port = driver.port();
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(capabilities(eyes).as_object().unwrap().clone());
        let client = match builder.connect(&format!("http://127.0.0.1:{port}")).await {
            Ok(client) => client,
            Err(NewSessionError::SessionNotCreated(why)) if why.message.contains("binary") => {
                step_aside("chromium is not installed (Debian: chromium)");
                return None;
            }
            Err(error) => panic!("no browser: {error}"),
        };
        let browser = Self {
            client,
            page,
            _driver: driver,
        };
        browser.go("#/").await;
        Some(browser)
    }

    /// Loads the page anew at an address after the host.
    pub async fn go(&self, at: &str) {
        self.visit(self.page, at).await;
    }

    /// The same of another page.
    pub async fn visit(&self, page: SocketAddr, at: &str) {
        self.client.goto("about:blank").await.unwrap();
        let url = format!("http://{page}/{at}");
        self.client.goto(&url).await.unwrap();
    }

    /// From now on everything is fetched, as by a browser that was never there.
    pub async fn keep_nothing(&self) {
        for (method, parameters) in [
            ("Network.enable", json!({})),
            ("Network.setCacheDisabled", json!({"cacheDisabled": true})),
        ] {
            self.command("goog/cdp/execute", json!({"cmd": method, "params": parameters}))
                .await;
        }
    }

    /// Another view, as a link leads there.
    pub async fn follow(&self, at: &str) {
        self.js(&format!("location.hash = '{at}'")).await;
    }

    /// What a script returns.
    pub async fn js(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap()
    }

    /// Waits until an expression is true.
    pub async fn until(&self, expression: &str) {
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
    pub async fn reads(&self, text: &str) {
        let text = serde_json::to_string(text).unwrap();
        self.until(&format!("document.body.innerText.includes({text})")).await;
    }

    /// Waits until there is such an element.
    pub async fn find(&self, css: &str) -> Element {
        let count = format!("document.querySelector({})", serde_json::to_string(css).unwrap());
        self.until(&count).await;
        self.client.find(Locator::Css(css)).await.unwrap()
    }

    /// Clicks on what has this text.
    pub async fn click(&self, css: &str, text: &str) {
        let script = format!(
            "const node = [...document.querySelectorAll('{css}')].find((node) => node.innerText.trim() === '{text}'); node?.click(); return Boolean(node)"
        );
        let began = Instant::now();
        while self.js(&script).await != true {
            assert!(began.elapsed() < PATIENCE, "there is no {css} {text}");
            time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// What has failed since it was asked last, by the console: scripts, and requests that had no answer or were refused.
    pub async fn complaints(&self) -> Vec<String> {
        let told = self.command("se/log", json!({"type": "browser"})).await;
        let lines = told.as_array().unwrap().iter().filter(|line| line["level"] == "SEVERE");
        lines.map(|line| line["message"].as_str().unwrap().to_owned()).collect()
    }

    /// As [`Browser::complaints`], without requests: a dead brain is no fault of the page.
    pub async fn faults(&self) -> Vec<String> {
        let mut faults = self.complaints().await;
        faults.retain(|line| !line.contains("Failed to load resource"));
        faults
    }

    /// A link of so many bytes a second.
    pub async fn slow_down(&self, bytes_per_s: u32, latency_ms: u32) {
        let conditions = json!({"offline": false, "latency": latency_ms, "download_throughput": bytes_per_s, "upload_throughput": bytes_per_s});
        self.command("chromium/network_conditions", json!({"network_conditions": conditions}))
            .await;
    }

    async fn command(&self, path: &'static str, body: Value) -> Value {
        self.client.issue_cmd(Extra { path, body }).await.unwrap()
    }

    /// A window of so many pixels.
    pub async fn resize(&self, width: u32, height: u32) {
        self.client.set_window_size(width, height).await.unwrap();
    }

    /// What is seen, as a PNG.
    pub async fn png(&self) -> Vec<u8> {
        self.client.screenshot().await.unwrap()
    }

    /// How far two PNGs of one size are from each other, seen from afar: each is laid out in squares of 20 pixels, and what is compared
    /// are their mean colours, 0 for the same to 1 for black beside white. Letters of another font have much the same mean.
    pub async fn difference(&self, one: &[u8], other: &[u8]) -> Difference {
        let pictures = vec![json!(one), json!(other)];
        let told = self.client.execute_async(DIFFERENCE, pictures).await.unwrap();
        let number = |key: &str| told[key].as_f64().unwrap_or_else(|| panic!("not compared: {told}"));
        Difference {
            mean: number("mean"),
            far: number("far"),
        }
    }

    /// Keeps a picture where `FORESHADOW_PICTURES` names a folder.
    pub async fn picture(&self, name: &str) {
        let Some(folder) = std::env::var_os("FORESHADOW_PICTURES") else {
            return;
        };
        let picture = self.client.screenshot().await.unwrap();
        std::fs::write(Path::new(&folder).join(format!("{name}.png")), picture).unwrap();
    }

    /// Opens a further window on the page, which is seen as the others are, and is looked at from now on; its name for [`Browser::look_at`].
    pub async fn open_window(&self, at: &str) -> WindowHandle {
        let window = self.client.new_window(false).await.unwrap().handle;
        self.look_at(&window).await;
        self.go(at).await;
        window
    }

    /// The window that is looked at.
    pub async fn current_window(&self) -> WindowHandle {
        self.client.window().await.unwrap()
    }

    /// Another window.
    pub async fn look_at(&self, window: &WindowHandle) {
        self.client.switch_to_window(window.clone()).await.unwrap();
    }

    /// Closes the window that is looked at; another has to be looked at then.
    pub async fn close_window(&self) {
        self.client.close_window().await.unwrap();
    }

    /// Ends the browser; the page must have had no fault.
    pub async fn close(self) {
        assert_eq!(self.faults().await, Vec::<String>::new());
        self.client.close().await.unwrap();
    }
}

/// How far two pictures are from each other.
#[derive(Debug, Clone, Copy)]
pub struct Difference {
    /// Of all squares.
    pub mean: f64,
    /// The share of squares that are more than a tenth off.
    pub far: f64,
}

/// The browser reads its own pictures; what it is given are bytes, which no policy of the page's keeps out.
const DIFFERENCE: &str = r"
    const SIDE = 20, FAR = 0.1, done = arguments[arguments.length - 1];
    const squares = async (bytes) => {
        const picture = await createImageBitmap(new Blob([Uint8Array.from(bytes)], { type: 'image/png' }));
        const { width, height } = picture, across = Math.ceil(width / SIDE);
        const context = new OffscreenCanvas(width, height).getContext('2d');
        context.drawImage(picture, 0, 0);
        const { data } = context.getImageData(0, 0, width, height);
        const sums = new Float64Array(across * Math.ceil(height / SIDE) * 3), counts = new Float64Array(sums.length);
        for (let y = 0; y < height; y += 1) for (let x = 0; x < width; x += 1) for (let c = 0; c < 3; c += 1) {
            const square = 3 * (Math.floor(y / SIDE) * across + Math.floor(x / SIDE)) + c;
            sums[square] += data[4 * (y * width + x) + c] / 255;
            counts[square] += 1;
        }
        return sums.map((sum, square) => sum / counts[square]);
    };
    Promise.all([squares(arguments[0]), squares(arguments[1])]).then(([one, other]) => {
        const off = one.map((value, square) => Math.abs(value - other[square]));
        const mean = off.reduce((sum, value) => sum + value, 0) / off.length;
        done({ mean, far: off.filter((value) => value > FAR).length / off.length });
    }).catch((fault) => done(String(fault)));
";

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
pub fn done(result: Result<(), CmdError>) {
    result.unwrap();
}
