//! The page as people see it, in chromium.

use browser::{Browser, Eyes, done};
use serde_json::{Value, json};

use super::site::open;
use crate::page::fixture::{HOSTILE, fleet::fleet};

const VIEWS: [(&str, &str); 6] = [
    ("#/", "fleet"),
    ("#/hosts/web-1", "host"),
    ("#/incidents", "incidents"),
    ("#/plans", "plans"),
    ("#/pool", "pool"),
    ("#/models", "models"),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_view_shows_what_the_brain_knows() {
    let Some((browser, _site)) = open(fleet(30), Eyes::Desk).await else {
        return;
    };
    browser.reads("30 of 30").await;
    browser
        .until("document.querySelectorAll('.rows .row a').length > 12")
        .await;
    browser.picture("fleet").await;

    browser.click(".rows a", "web-1").await;
    browser
        .until("document.querySelectorAll('path.measured').length === 5")
        .await;
    for text in [
        "peak in 15 min",
        "LSTM",
        "shop-1.service",
        "the link fell back from x16 to x8",
    ] {
        browser.reads(text).await;
    }
    for path in ["path.measured", "path.held", "path.band", "path.p95"] {
        let drawn =
            format!("[...document.querySelectorAll('{path}')].some((path) => path.getAttribute('d').length > 20)");
        browser.until(&drawn).await;
    }
    browser
        .until("document.querySelectorAll('.lane .critical, .lane .warning').length >= 2")
        .await;
    browser.picture("host").await;
    for (tab, text) in [
        ("Inventory", "x8 at 8 GT/s"),
        ("Sensors", "Inlet Temp"),
        ("Event log", "sel"),
        ("Sources", "/sys/class/powercap"),
    ] {
        browser.click(".tabs button", tab).await;
        browser.reads(text).await;
    }

    for (view, texts) in [
        ("#/incidents", ["web-1", "critical"]),
        ("#/plans", ["taken back", "16 cores lack"]),
        ("#/pool", ["540", "shop-9.service"]),
        ("#/models", ["30 of 200 steps", "Calibration"]),
    ] {
        browser.follow(view).await;
        for text in texts {
            browser.reads(text).await;
        }
        browser.picture(&view[2..]).await;
    }
    browser.close().await;
}

/// Loads the fleet as a browser that was never there: how many requests it took until hosts were drawn, and of how many bytes
/// their answers are.
async fn until_drawn(browser: &Browser) -> [u64; 2] {
    browser.keep_nothing().await;
    browser.go("#/").await;
    browser
        .until("document.querySelector('.rows .row a')?.innerText.startsWith('web-')")
        .await;
    let asked = "const drawn = performance.getEntriesByName('drawn')[0].startTime; \
        const before = performance.getEntriesByType('resource').filter((entry) => entry.responseEnd > 0 && entry.responseEnd <= drawn); \
        return [before.length, before.reduce((sum, entry) => sum + entry.transferSize, 0)]";
    let told = browser.js(asked).await;
    [0, 1].map(|at| told[at].as_u64().unwrap())
}

// How long it takes tells `bench page`.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_hosts_take_no_more_requests_than_one_and_only_seen_ones_exist() {
    let Some((one, _site_of_one)) = open(fleet(1), Eyes::Desk).await else {
        return;
    };
    let [requests, bytes] = until_drawn(&one).await;
    one.close().await;
    let Some((browser, _site)) = open(fleet(10_000), Eyes::Desk).await else {
        return;
    };
    let [of_many, bytes_of_many] = until_drawn(&browser).await;
    println!("drawn after {requests} requests, {bytes} bytes; 10,000 hosts {of_many}, {bytes_of_many} bytes");
    assert!(requests > 0 && of_many <= requests);
    // The rows that are asked for, and no more.
    assert!(bytes_of_many < bytes + 40_000 && bytes_of_many < 120_000);
    browser.reads("9,400 of 10,000").await;
    let rows = "document.querySelectorAll('.rows .row').length";
    assert!(browser.js(&format!("return {rows}")).await.as_u64().unwrap() < 60);
    browser.picture("fleet-10000").await;

    browser.js("document.querySelector('.rows').scrollTop = 1e9").await;
    browser.reads("web-9999").await;
    assert!(browser.js(&format!("return {rows}")).await.as_u64().unwrap() < 60);

    browser.click(".headings button", "CPU").await;
    browser
        .until("parseInt(document.querySelector('.rows .row .now')?.innerText) >= 70")
        .await;
    browser.until("location.hash.includes('sort=cpu')").await;

    let search = browser.find("input[type=search]").await;
    done(search.send_keys("web-4711").await);
    browser
        .until("document.querySelectorAll('.rows .row:not(.blank)').length === 1")
        .await;
    browser.reads("1 of 10,000 hosts").await;
    done(search.send_keys("\u{e007}").await);
    browser.until("document.activeElement.innerText === 'web-4711'").await;
    browser.close().await;
}

/// Whether what each resource's line in `svg` goes through is so many points, from left to right, within the plot.
fn lines(svg: &str, points: usize) -> String {
    format!(
        "(() => {{ const plot = {svg}; const box = plot?.viewBox.baseVal; \
         const lines = [...(plot?.querySelectorAll('path') ?? [])].map((path) => path.getAttribute('d').split(/[ML]/).slice(1).map((point) => point.split(' ').map(Number))); \
         return lines.length === 5 && lines.every((line) => line.length === {points} \
           && line.every(([x, y], at) => x > (line[at - 1]?.[0] ?? 0) && x <= box.width && y >= 0 && y <= box.height) \
           && new Set(line.map(([, y]) => y)).size > 2); }})()"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn models_draw_skill_and_calibration_and_follow_a_training() {
    let Some((browser, site)) = open(fleet(10), Eyes::Desk).await else {
        return;
    };
    browser.follow("#/models").await;
    // Five hours, a point each five minutes; four quantiles, each with a dot that says its share.
    let over_time = "document.querySelector('svg.small:not(.square)')";
    let curve = "document.querySelector('svg.square')";
    browser.until(&lines(over_time, 60)).await;
    browser.until(&lines(curve, 4)).await;
    let dots = browser
        .js("return [...document.querySelectorAll('svg.square circle.of-cpu')].map((dot) => [dot.querySelector('title').textContent, Number(dot.getAttribute('cy'))])")
        .await;
    let told: Vec<_> = dots
        .as_array()
        .unwrap()
        .iter()
        .map(|dot| dot[0].as_str().unwrap())
        .collect();
    let shares = [("p50", 52), ("p90", 89), ("p95", 94), ("p99", 99)];
    assert_eq!(
        told,
        shares.map(|(quantile, share)| format!("cpu {quantile}: {share}\u{202f}%"))
    );
    let heights: Vec<_> = dots
        .as_array()
        .unwrap()
        .iter()
        .map(|dot| dot[1].as_f64().unwrap())
        .collect();
    assert!(heights.is_sorted_by(|low, high| low > high), "{heights:?}");

    // Another figure is another line.
    let line = format!("{over_time}.querySelector('path').getAttribute('d')");
    let skill = browser.js(&format!("return {line}")).await;
    browser.click("button", "≤ p95").await;
    browser
        .until(&format!("{line} !== {skill} && {}", lines(over_time, 60)))
        .await;

    // The bar moves with the training, and goes with it.
    let bar =
        |done: u32| format!("document.querySelector('[role=progressbar]')?.getAttribute('aria-valuenow') === '{done}'");
    let wide = "parseFloat(document.querySelector('[role=progressbar] i').style.width)";
    browser.until(&format!("{} && {wide} === 15", bar(15))).await;
    let mut snapshot = fleet(10);
    for (done, share) in [(90_u32, 45), (199, 100)] {
        snapshot.time_ms += 1_000;
        snapshot.model.progress = Some(crate::snapshot::ProgressView {
            part: "steps",
            done: done.into(),
            of: 200,
            loss: Some(0.125),
        });
        site.engine.send_replace(std::sync::Arc::new(snapshot.clone()));
        browser
            .until(&format!("{} && {wide} === {}", bar(share), f64::from(done) / 2.0))
            .await;
    }
    browser.reads("of steps, loss 0.1250").await;
    snapshot.time_ms += 1_000;
    snapshot.model.progress = None;
    "serving".clone_into(&mut snapshot.model.state);
    site.engine.send_replace(std::sync::Arc::new(snapshot));
    browser
        .until("!document.querySelector('[role=progressbar]') && document.querySelector('main .chip.good')?.innerText === 'serving'")
        .await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_axis_is_moved_by_keys_and_by_the_pointer() {
    let Some((browser, _site)) = open(fleet(5), Eyes::Desk).await else {
        return;
    };
    browser.go("#/hosts/web-1").await;
    browser
        .until("document.querySelectorAll('path.measured').length === 5")
        .await;
    let span = "(() => { const q = new URLSearchParams(location.hash.split('?')[1]); return q.get('until') - q.get('since') })()";
    assert_eq!(browser.js(&format!("return {span}")).await, 0, "it follows the present");
    let axis = "[...document.querySelectorAll('.axis text')].map((text) => text.textContent).join()";
    let before = browser.js(&format!("return {axis}")).await;

    let charts = browser.find(".charts").await;
    browser.js("document.querySelector('.charts').focus()").await;
    done(charts.send_keys("+").await);
    browser.until(&format!("{axis} !== {before}")).await;
    done(charts.send_keys("\u{e012}").await); // to the left
    browser.until(&format!("{span} > 0")).await;
    let whole = browser.js(&format!("return {span}")).await.as_f64().unwrap();
    done(charts.send_keys("+").await);
    browser.until(&format!("{span} < {}", 0.6 * whole)).await;
    done(charts.send_keys("0").await);
    browser.until(&format!("{axis} === {before}")).await;

    // The cross-hair tells the same moment in every chart.
    done(charts.send_keys("\u{e008}\u{e012}\u{e012}\u{e000}").await);
    browser
        .until("[...document.querySelectorAll('.chart .readout')].filter((node) => node.innerText !== '').length === 5")
        .await;

    // A part of the charts is pulled out.
    let pull = "const charts = document.querySelector('.charts'); const {left, top, width} = charts.getBoundingClientRect(); \
        const send = (type, x) => charts.dispatchEvent(new PointerEvent(type, {clientX: left + x * width, clientY: top + 90, pointerType: 'mouse', pointerId: 1, button: 0, bubbles: true})); \
        charts.setPointerCapture = () => {}; send('pointerdown', 0.3); send('pointermove', 0.4); send('pointermove', 0.5); send('pointerup', 0.5)";
    browser.js(pull).await;
    browser.until(&format!("{span} > 0 && {span} < 20 * 60000")).await;
    // The address leads others to the same part of time.
    let address = browser.js("return location.hash").await;
    browser.go(address.as_str().unwrap()).await;
    browser
        .until("document.querySelectorAll('path.measured').length === 5")
        .await;
    assert_eq!(browser.js("return location.hash").await, address);
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_view_fits_a_phone() {
    let Some((browser, _site)) = open(fleet(30), Eyes::Phone).await else {
        return;
    };
    for (view, name) in VIEWS {
        browser.follow(view).await;
        browser
            .until(&format!("document.querySelector('main.of-{name} :is(.panel, .row a)')"))
            .await;
        let wide = browser
            .js("return [...document.querySelectorAll('body *')].filter((node) => node.getBoundingClientRect().right > innerWidth + 1 && !node.closest('.scroll, .views, svg, .skip')).map((node) => node.tagName + '.' + node.className).slice(0, 5)")
            .await;
        assert_eq!(wide, json!([]), "{view}");
        assert_eq!(
            browser
                .js("return document.scrollingElement.scrollWidth <= innerWidth")
                .await,
            true,
            "{view}"
        );
        browser.picture(&format!("phone-{name}")).await;
    }
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dark_is_dark_and_everything_can_be_read() {
    let contrast = "const light = (text) => { const [r, g, b] = text.match(/[\\d.]+/g).map((c) => { const s = c / 255; return s <= 0.03928 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; }; \
        const style = getComputedStyle(document.documentElement); \
        const probe = document.createElement('span'); document.body.append(probe); \
        const of = (name) => { probe.style.color = style.getPropertyValue(name); return light(getComputedStyle(probe).color); }; \
        const panel = of('--panel'); \
        const result = Object.fromEntries(['--ink', '--soft', '--faint', '--value', '--fan', '--good', '--warn', '--bad', '--held'].map((name) => { const one = of(name); return [name, (Math.max(one, panel) + 0.05) / (Math.min(one, panel) + 0.05)]; })); \
        return [panel, result]";
    for eyes in [Eyes::Desk, Eyes::Dark] {
        let Some((browser, _site)) = open(fleet(30), eyes).await else {
            return;
        };
        browser.reads("web-1").await;
        let told = browser.js(contrast).await;
        let is_dark = told[0].as_f64().unwrap() < 0.2;
        assert_eq!(is_dark, matches!(eyes, Eyes::Dark));
        // WCAG 2.2, 1.4.3: 4.5 to 1 for text, 3 to 1 for lines.
        for (name, ratio) in told[1].as_object().unwrap() {
            let least = if ["--held"].contains(&&**name) { 3.0 } else { 4.5 };
            assert!(ratio.as_f64().unwrap() >= least, "{eyes:?} {name}: {ratio}");
        }
        if is_dark {
            for (view, name) in VIEWS {
                browser.follow(view).await;
                browser
                    .until(&format!("document.querySelector('main.of-{name} :is(.panel, .row a)')"))
                    .await;
                browser.picture(&format!("dark-{name}")).await;
            }
        }
        browser.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn text_of_hosts_stays_text() {
    let mut snapshot = fleet(3);
    HOSTILE.clone_into(&mut snapshot.hosts[0].name);
    HOSTILE.clone_into(&mut snapshot.hosts[0].inventory);
    HOSTILE.clone_into(&mut snapshot.incidents[0].cause);
    HOSTILE.clone_into(&mut snapshot.incidents[0].host);
    let Some((browser, _site)) = open(snapshot, Eyes::Desk).await else {
        return;
    };
    browser.reads(HOSTILE).await;
    browser.click(".rows a", HOSTILE).await;
    browser
        .until("document.querySelector('h1')?.innerText.startsWith('<img')")
        .await;
    browser.follow("#/incidents").await;
    browser.reads(HOSTILE).await;
    assert_eq!(
        browser.js("return document.querySelectorAll('main img').length").await,
        Value::from(0)
    );
    browser.close().await;
}
