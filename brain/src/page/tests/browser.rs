//! The page as people see it, in chromium.

use browser::{Browser, Eyes, done};
use serde_json::{Value, json};

use super::site::{open, open_at};
use crate::page::fixture::{self, HOSTILE, fleet::fleet};

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
async fn incidents_are_acknowledged_and_the_cell_is_frozen_by_name() {
    let Some((browser, site)) = open(fleet(10), Eyes::Desk).await else {
        return;
    };
    browser.follow("#/incidents").await;
    browser.reads("web-1").await;
    browser.click("summary .more", "").await;
    browser.click("button", "acknowledge").await;
    let name = browser.find("dialog input[name=by]").await;
    done(name.clear().await);
    done(name.send_keys("bob").await);
    browser.picture("acknowledge").await;
    browser.click("dialog button", "Acknowledge").await;
    browser.reads("is remembered").await;
    done(name.clear().await);
    done(name.send_keys("ann").await);
    browser.click("dialog button", "Acknowledge").await;
    browser.until("!document.querySelector('dialog')").await;

    browser.follow("#/plans").await;
    browser.click("button", "freeze").await;
    let reason = browser.find("dialog input[name=reason]").await;
    done(reason.send_keys("a test").await);
    browser.click("dialog button", "Freeze").await;
    browser.until("!document.querySelector('dialog')").await;
    let mut frozen = fleet(10);
    frozen.mode = "frozen".to_owned();
    frozen.freeze = Some(fixture::frozen_by("ann", "a test"));
    site.engine.send_replace(std::sync::Arc::new(frozen));
    browser.reads("Frozen by ann: a test").await;
    browser.click("button", "thaw").await;
    browser.find("dialog input[name=by]").await;
    browser.close().await;
}

/// Fills the form in.
async fn log_in(browser: &Browser, name: &str, password: &str) {
    for (field, text) in [("name", name), ("password", password)] {
        let input = browser.find(&format!("input[name={field}]")).await;
        done(input.clear().await);
        done(input.send_keys(text).await);
    }
    browser.click("form button", "Log in").await;
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
async fn the_form_of_a_proxy_is_led_to_when_its_session_has_ended() {
    let Some((browser, site)) = open(fleet(10), Eyes::Desk).await else {
        return;
    };
    // A refusal of the brain's own leads nowhere; a form in place of an answer does, here back to the page as it is loaded anew.
    for (kind, leads) in [("application/problem+json", false), ("text/html", true)] {
        browser.reads("web-4").await;
        let refuse = format!(
            "window.before = true; window.refused = false; window.fetch = async () => {{ window.refused = true; return new Response('{{}}', {{status: 403, headers: {{'content-type': '{kind}'}}}}); }}"
        );
        browser.js(&refuse).await;
        let mut snapshot = fleet(10);
        snapshot.time_ms += if leads { 2_000 } else { 1_000 };
        site.engine.send_replace(std::sync::Arc::new(snapshot));
        browser
            .until(if leads { "!window.before" } else { "window.refused" })
            .await;
        assert_eq!(browser.js("return Boolean(window.before)").await, !leads, "{kind}");
    }
    browser.reads("web-4").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_login_there_is_nothing_to_press_but_what_would_help() {
    let door = crate::page::Door::open(&crate::config::Page::default(), runtime::Clock::system()).unwrap();
    let Some((browser, _site)) = open_at(fleet(10), Eyes::Desk, Some(door)).await else {
        return;
    };
    browser.follow("#/plans").await;
    browser.reads("page.local_role").await;
    browser.picture("looking").await;
    let buttons = "[...document.querySelectorAll('main button')].map((node) => node.innerText).filter((text) => /^(freeze|approve|decline|acknowledge)/.test(text)).length";
    assert_eq!(browser.js(&format!("return {buttons}")).await, 0);
    assert_eq!(browser.js("return document.querySelector('#leave').hidden").await, true);
    browser.follow("#/incidents").await;
    browser.reads("web-1").await;
    assert_eq!(browser.js(&format!("return {buttons}")).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn people_log_in_see_what_they_may_and_log_out() {
    let folder = tempfile::tempdir().unwrap();
    let config = crate::config::Page {
        users: Some(fixture::list_of_people(folder.path())),
        ..crate::config::Page::default()
    };
    let door = crate::page::Door::open(&config, runtime::Clock::system()).unwrap();
    let Some((browser, _site)) = open_at(fleet(10), Eyes::Desk, Some(door)).await else {
        return;
    };
    browser.until("location.pathname === '/login'").await;
    browser.picture("login").await;
    log_in(&browser, "bob", "a guess").await;
    browser.reads("Wrong name or password.").await;
    browser.picture("login-wrong").await;
    log_in(&browser, "bob", "bob's: password").await;
    browser.reads("web-4").await;
    browser
        .until("document.querySelector('#who').innerText === 'bob'")
        .await;
    assert_eq!(
        browser.js("return document.cookie").await,
        "",
        "no script sees the session"
    );

    // A viewer finds nothing to press, and is refused where they ask all the same.
    browser.follow("#/plans").await;
    browser.reads("16 cores lack").await;
    let buttons = "[...document.querySelectorAll('main button')].filter((node) => ['freeze', 'acknowledge'].includes(node.innerText)).length";
    assert_eq!(browser.js(&format!("return {buttons}")).await, 0);
    let freeze = "return fetch('/api/v1/freeze', {method: 'POST', headers: {'content-type': 'application/json'}, body: '{}'}).then((answer) => answer.status)";
    assert_eq!(browser.js(freeze).await, 403);
    browser.picture("viewer").await;
    browser.click("#leave", "Log out").await;
    browser.until("location.pathname === '/login'").await;
    browser.go("#/plans").await;
    browser.until("location.pathname === '/login'").await;

    // The form leads back to the view that was asked for; an operator acts in their own name.
    log_in(&browser, "ann", "ann's password").await;
    browser
        .until("location.pathname === '/' && location.hash === '#/plans'")
        .await;
    browser.click("button", "freeze").await;
    let name = "document.querySelector('dialog input[name=by]')";
    browser
        .until(&format!("{name}?.readOnly && {name}.value === 'ann'"))
        .await;
    browser.click("dialog button", "Freeze").await;
    browser.until("!document.querySelector('dialog')").await;
    assert_eq!(browser.js(freeze).await, 200);
    browser.picture("operator").await;

    // A session that ends elsewhere leads to the form as well.
    fixture::forget(folder.path(), "ann");
    browser
        .until("location.pathname === '/login' && location.hash === '#/plans'")
        .await;
    browser.close().await;
}

// As the lab stack is looked at: no TLS, and cookies that want it.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_thinks_itself_behind_a_proxy_is_logged_in_to_over_loopback_in_the_clear() {
    let folder = tempfile::tempdir().unwrap();
    let config = crate::config::Page {
        users: Some(fixture::list_of_people(folder.path())),
        behind_proxy: true,
        ..crate::config::Page::default()
    };
    let door = crate::page::Door::open(&config, runtime::Clock::system()).unwrap();
    let Some((browser, _site)) = open_at(fleet(10), Eyes::Desk, Some(door)).await else {
        return;
    };
    browser.until("location.pathname === '/login'").await;
    log_in(&browser, "ann", "ann's password").await;
    browser.reads("web-4").await;
    browser.go("#/incidents").await;
    browser.click("summary .more", "").await;
    browser.click("button", "acknowledge").await;
    browser.click("dialog button", "Acknowledge").await;
    browser.until("!document.querySelector('dialog')").await;
    let freeze = "return fetch('/api/v1/freeze', {method: 'POST', headers: {'content-type': 'application/json'}, body: '{}'}).then((answer) => answer.status)";
    assert_eq!(browser.js(freeze).await, 200);
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn proposals_are_approved_and_declined_with_keys_on_a_phone_too() {
    for eyes in [Eyes::Desk, Eyes::Phone] {
        let Some((browser, _site)) = open(fleet(10), eyes).await else {
            return;
        };
        browser
            .until("document.querySelector('#proposed').innerText === '2'")
            .await;
        browser.follow("#/plans").await;
        browser.reads("with 5 % on top").await;
        browser.reads("Decided and lapsed").await;
        browser.picture(&format!("proposals-{eyes:?}").to_lowercase()).await;

        // From the keyboard: the button has the focus, Enter presses it and sends the form.
        let approve = "document.querySelector('[aria-label=\"approve shop-1.service CPU on web-1\"]')";
        browser.until(&format!("!!{approve}")).await;
        browser.js(&format!("{approve}.focus()")).await;
        browser.until(&format!("document.activeElement === {approve}")).await;
        let button = browser.find("[aria-label='approve shop-1.service CPU on web-1']").await;
        done(button.send_keys("\u{e007}").await);
        let name = browser.find("dialog input[name=by]").await;
        done(name.clear().await);
        done(name.send_keys("carol").await);
        done(name.send_keys("\u{e007}").await);
        browser.reads("it cannot be made now: the cell is frozen by ann").await;
        done(name.clear().await);
        done(name.send_keys("ann").await);
        done(name.send_keys("\u{e007}").await);
        browser.until("!document.querySelector('dialog')").await;
        browser
            .until("document.querySelector('#proposed').innerText === '1'")
            .await;

        browser
            .js("document.querySelector('[aria-label=\"decline shop-9.service CPU on web-9\"]').focus()")
            .await;
        let button = browser.find("[aria-label='decline shop-9.service CPU on web-9']").await;
        done(button.send_keys("\u{e007}").await);
        let reason = browser.find("dialog input[name=reason]").await;
        done(reason.send_keys("not before the release").await);
        browser.click("dialog button", "Decline").await;
        browser.until("!document.querySelector('dialog')").await;
        browser.until("document.querySelector('#proposed').hidden").await;
        browser.reads("None waits.").await;
        browser
            .js("document.querySelector('details.past > summary').click()")
            .await;
        for text in [
            "approved by ann",
            "no answer yet",
            "declined by ann",
            "not before the release",
            "approved by bob",
            "lapsed",
        ] {
            browser.reads(text).await;
        }
        browser.picture(&format!("decided-{eyes:?}").to_lowercase()).await;
        browser.close().await;
    }
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
