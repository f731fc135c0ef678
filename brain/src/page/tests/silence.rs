//! The page where little or nothing comes: a dead brain, a hung one, a slow link, more windows than connections; in chromium.

use browser::Eyes;

use super::site::open;
use crate::page::fixture::fleet::fleet;

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_brain_is_told_and_what_was_known_stays() {
    let Some((browser, mut site)) = open(fleet(5), Eyes::Desk).await else {
        return;
    };
    browser.reads("web-4").await;
    browser.until("document.querySelector('#banner').hidden").await;
    site.die().await;
    browser.reads("No answer from the brain").await;
    browser.reads("web-4").await;
    browser.until("document.body.classList.contains('dead')").await;
    browser.picture("dead").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_brain_that_takes_nothing_in_is_told_whatever_somebody_clicks() {
    let Some((browser, site)) = open(fleet(10), Eyes::Desk).await else {
        return;
    };
    browser.reads("web-4").await;
    // Its server answers all the while.
    let banner = "!document.querySelector('#banner').hidden";
    browser.until(banner).await;
    browser.reads("Nothing new").await;
    for (view, text) in [
        ("#/plans", "Newest plan"),
        ("#/models", "Who forecasts how well"),
        ("#/hosts/web-1", "peak in 15 min"),
        ("#/", "web-4"),
    ] {
        browser.follow(view).await;
        browser.reads(text).await;
        assert_eq!(browser.js(&format!("return {banner}")).await, true, "{view}");
    }
    let mut snapshot = fleet(10);
    snapshot.time_ms += 1_000;
    site.engine.send_replace(std::sync::Arc::new(snapshot));
    browser.until(&format!("!({banner})")).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_windows_than_a_browser_has_connections_are_alive_together() {
    let Some((browser, site)) = open(fleet(10), Eyes::Desk).await else {
        return;
    };
    browser.reads("web-4").await;
    let first = browser.current_window().await;
    let mut windows = Vec::new();
    for view in ["#/", "#/hosts/web-1", "#/plans", "#/", "#/", "#/", "#/"] {
        windows.push(browser.open_window(view).await);
        browser.reads("web-1").await;
    }
    let alive = async |snapshot: crate::snapshot::Snapshot| {
        let at = snapshot.time_ms;
        site.engine.send_replace(std::sync::Arc::new(snapshot));
        let clock =
            format!("document.querySelector('#clock').innerText === new Date({at}).toLocaleTimeString('en-GB')");
        for window in &windows {
            browser.look_at(window).await;
            browser.until(&clock).await;
        }
    };
    let mut snapshot = fleet(10);
    snapshot.time_ms += 60_000;
    alive(snapshot.clone()).await;
    // Another takes the place of the one that listens.
    browser.look_at(&first).await;
    browser.close_window().await;
    snapshot.time_ms += 60_000;
    alive(snapshot).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_link_is_enough() {
    let Some((browser, _site)) = open(fleet(1_000), Eyes::Desk).await else {
        return;
    };
    // 400 kbit/s with 300 ms there and back: an edge site behind a bad mobile link.
    browser.slow_down(50_000, 300).await;
    browser.go("#/").await;
    browser.reads("940 of 1,000").await;
    let told = browser
        .js("return [performance.getEntriesByName('drawn')[0].startTime, performance.getEntriesByType('resource').reduce((sum, entry) => sum + entry.transferSize, 0)]")
        .await;
    println!("drawn after {} ms, {} bytes", told[0], told[1]);
    assert!(told[0].as_f64().unwrap() < 10_000.0, "{told}");
    assert!(told[1].as_f64().unwrap() < 250_000.0, "{told}");
    browser.close().await;
}
