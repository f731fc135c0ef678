//! A thousand hosts as a person sees them: the shipped recording through agents, broker and brain, and the page in a browser.

use std::net::SocketAddr;

use browser::{Browser, Eyes, done};
use serde_json::Value;

use crate::harness::Process;

/// Rows of hosts that exist in the document, and whether they are filled.
const ROWS: &str = "document.querySelectorAll('.rows .row')";
const FILLED: &str = "[...document.querySelectorAll('.rows .row:not(.blank)')]";
/// The most rows that a window of this height and what lies around it have room for.
const MOST_ROWS: u64 = 60;
/// Everything that changes with time in the rows that are seen.
const VALUES: &str = "[...document.querySelectorAll('.rows .row .now')].map((node) => node.innerText).join()";
/// Enter, for what has the focus.
const ENTER: &str = "\u{e007}";

/// A lab of a thousand hosts, slow enough to be looked at while it goes on and no faster than this machine.
fn lab() -> (Process, SocketAddr) {
    let arguments = [
        "lab",
        "--hosts",
        "1000",
        "--page",
        "127.0.0.1:0",
        "--speed",
        "120",
        "--stay",
    ];
    // The usual soft limit of open files, which is too low for both ends of a thousand connections.
    let mut lab = Process::foreshadow_within("-S -n 1024", &arguments);
    lab.expect_text("lab     1000 hosts");
    let printed = lab.printed();
    let page = printed.lines().find_map(|line| line.strip_prefix("page    http://"));
    (lab, page.unwrap().parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_hosts_are_seen_while_they_live_and_after_their_brain() {
    let (mut lab, page) = lab();
    let Some(browser) = Browser::open(page, Eyes::Desk).await else {
        return;
    };
    the_overview_counts_them(&browser).await;
    values_change_by_themselves(&browser, VALUES).await;
    the_fullest_come_first(&browser).await;
    one_is_found_by_its_name(&browser).await;
    its_resources_are_forecast(&browser).await;
    every_other_view_has_something_to_tell(&browser).await;
    // While the brain lives nothing fails: no script, and no question to it.
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    assert!(lab.runs(), "{}", lab.printed());

    browser.follow("#/").await;
    browser.until(&format!("{FILLED}.length > 12")).await;
    lab.kill();
    browser.reads("No answer from the brain").await;
    browser.until("document.body.classList.contains('dead')").await;
    browser.reads("1,000 of 1,000").await;
    let known = browser.js(&format!("return {FILLED}.length")).await;
    assert!(known.as_u64().unwrap() > 12, "{known} rows are left");
    browser.picture("lab-dead").await;
    browser.close().await;
}

async fn the_overview_counts_them(browser: &Browser) {
    browser.reads("1,000 of 1,000").await;
    // Now that all are there, as somebody sees it who comes anew.
    browser.go("#/").await;
    browser.until(&format!("{FILLED}.length > 12")).await;
    let drawn = browser
        .js("return performance.getEntriesByName('drawn')[0].startTime")
        .await;
    eprintln!("the first of 1,000 hosts are there after {drawn} ms");
    browser.reads("1,000 of 1,000").await;
    assert!(count(browser, ROWS).await < MOST_ROWS);
    browser.picture("lab-fleet").await;
    browser.js("document.querySelector('.rows').scrollTop = 1e9").await;
    browser.reads("build-1-999").await;
    assert!(count(browser, ROWS).await < MOST_ROWS);
    browser.js("document.querySelector('.rows').scrollTop = 0").await;
    browser
        .until(&format!("{FILLED}[0]?.querySelector('a').innerText === 'build-1'"))
        .await;
}

/// Told by server-sent events alone: the page has no clock by which it asks.
async fn values_change_by_themselves(browser: &Browser, values: &str) {
    let tick = "return new Promise((told) => { const source = new EventSource('/api/v1/stream'); \
        source.addEventListener('tick', (event) => { source.close(); told(JSON.parse(event.data).time_ms); }); })";
    let (first, before) = (browser.js(tick).await, browser.js(&format!("return {values}")).await);
    browser.until(&format!("{values} !== {before}")).await;
    // A stream begins with what is known, which may be what it told last.
    for _ in 0..100 {
        if browser.js(tick).await.as_i64().unwrap() > first.as_i64().unwrap() {
            return;
        }
    }
    panic!("{first} again and again");
}

async fn the_fullest_come_first(browser: &Browser) {
    browser.click(".headings button", "Memory").await;
    browser.until("location.hash.includes('sort=memory')").await;
    let shown = format!("{FILLED}.map((row) => parseFloat(row.querySelectorAll('.now')[1].innerText))");
    browser
        .until(&format!(
            "{FILLED}.length > 12 && {shown}.every((share, at, all) => at === 0 || share <= all[at - 1])"
        ))
        .await;
    browser.picture("lab-sorted").await;
    // The first one is among those that have most of all thousand, by their names: a moment lies between both answers, and
    // fewer than one in a hundred are as near to the most.
    let most = format!(
        "return (async () => {{ \
            const ask = async (offset) => (await (await fetch(`/api/v1/hosts?limit=500&offset=${{offset}}`)).json()).rows; \
            const all = [...await ask(0), ...await ask(500)].map((row) => [row.name, row.resources[1].value]); \
            const name = {FILLED}[0].querySelector('a').innerText; \
            return [all.length, Object.fromEntries(all)[name] / Math.max(...all.map(([, share]) => share))]; \
        }})()"
    );
    let told = browser.js(&most).await;
    assert_eq!(told[0], 1_000);
    assert!(told[1].as_f64().unwrap() > 0.9, "{told}");
}

async fn one_is_found_by_its_name(browser: &Browser) {
    let search = browser.find("input[type=search]").await;
    done(search.send_keys("build-1-777").await);
    browser.reads("1 of 1,000 hosts").await;
    assert_eq!(count(browser, FILLED).await, 1);
    done(search.send_keys(ENTER).await);
    browser
        .until("document.activeElement.innerText === 'build-1-777'")
        .await;
    let link = browser.find(".rows .row a").await;
    done(link.send_keys(ENTER).await);
    browser
        .until("document.querySelector('h1')?.innerText === 'build-1-777'")
        .await;
}

/// Of the five the recording lacks one, which is told; the other four have a past, a future, and who foretold it.
async fn its_resources_are_forecast(browser: &Browser) {
    browser
        .until("document.querySelectorAll('.charts .chart:not(.happened)').length === 5")
        .await;
    browser
        .until("document.querySelector('.chart.absent')?.innerText.includes('not measured')")
        .await;
    browser
        .until("document.querySelectorAll('.chart .ahead strong').length === 4")
        .await;
    for path in ["path.measured", "path.p50", "path.p95"] {
        let drawn = format!(
            "[...document.querySelectorAll('{path}')].filter((path) => path.getAttribute('d').length > 20).length === 4"
        );
        browser.until(&drawn).await;
    }
    let rungs = "[...document.querySelectorAll('.chart .ahead .chip')].every((node) => ['last value', 'EWMA', 'LSTM'].includes(node.innerText))";
    browser.until(rungs).await;
    browser.reads("in 15 min").await;
    values_change_by_themselves(browser, "document.querySelector('path.measured').getAttribute('d')").await;
    browser.picture("lab-host").await;
}

async fn every_other_view_has_something_to_tell(browser: &Browser) {
    for (view, text) in [
        ("incidents", "Incidents"),
        ("plans", "Commands are recommendations"),
        ("pool", "All hosts together"),
        ("models", "Who forecasts how well"),
    ] {
        browser.follow(&format!("#/{view}")).await;
        browser
            .until(&format!("document.querySelector('main.of-{view} .panel')"))
            .await;
        browser.reads(text).await;
        browser.picture(&format!("lab-{view}")).await;
    }
}

async fn count(browser: &Browser, of: &str) -> u64 {
    let told: Value = browser.js(&format!("return {of}.length")).await;
    told.as_u64().unwrap()
}
