//! What people do on the page, and may, in chromium: log in, acknowledge, decide, freeze.

use browser::{Browser, Eyes, done};

use super::site::{open, open_at};
use crate::page::fixture::{self, fleet::fleet};

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
