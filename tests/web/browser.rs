//! The page in a real browser: that it is live, can be used with the keyboard alone, fits a phone, and has nothing to complain.

use nodepool::model::NodeState;
use nodepool::plan::Plan;
use serde_json::json;

use super::chromium::Chromium;
use super::{EVIL, Served, note, now};

const LIVE: &str = "document.getElementById('live').textContent === 'live'";
const COUNT: &str = "document.querySelector('#node-list .count').textContent";

#[tokio::test]
async fn a_browser_shows_what_changes_and_takes_the_keyboard() {
    let mut served = Served::new().await;
    served.node("a1", NodeState::Ready, None).await;
    served.node("a2", NodeState::Hold, Some(EVIL)).await;
    served.ticked(now(), Plan::default(), None);
    let ticks = served.keeps_ticking();
    let mut browser = Chromium::start().await;
    browser.open(&format!("{}/", served.url)).await;
    browser.until(LIVE).await;

    // News comes without a reload, and takes the focus from nobody.
    browser
        .value("window.same = 'page'; document.querySelector('#node-list a[href=\"/node/2\"]').focus()")
        .await;
    served.node("a3", NodeState::Used, None).await;
    served.ticked(now(), Plan::default(), None);
    browser.until("document.querySelector('#node-list a[href=\"/node/3\"]')").await;
    assert_eq!(browser.value("document.activeElement.getAttribute('href')").await, "/node/2");
    assert_eq!(browser.value("window.same").await, "page");

    new_names_can_be_chosen(&mut browser, &served).await;
    keyboard(&mut browser, &served).await;
    looks(&mut browser).await;
    assert_eq!(browser.complaints, Vec::<String>::new());
    drop(ticks);
    comes_back(&mut browser, &mut served).await;
}

/// A label that comes while the page is open can be chosen without a reload, and what is chosen stays so.
async fn new_names_can_be_chosen(browser: &mut Chromium, served: &Served) {
    const FIELD: &str = "document.querySelector('#filter select[name=\"label\"]')";
    browser.value(&format!("{FIELD}.value = 'ci-jessie'")).await;
    let added = served.new_node_of("ci-new", "n1").await;
    served.ticked(now(), Plan::default(), None);
    browser.until(&format!("[...{FIELD}.options].some(option => option.value === 'ci-new')")).await;
    assert_eq!(browser.value(&format!("{FIELD}.value")).await, "ci-jessie");
    browser.value(&format!("{FIELD}.value = ''")).await;
    served.store.remove_node(&added, &note("not wanted")).await.unwrap();
}

/// Searching, going back, and reaching a node's own page, by keys alone.
async fn keyboard(browser: &mut Chromium, served: &Served) {
    browser.value("document.activeElement.blur()").await;
    browser.press("/", 191).await;
    assert_eq!(browser.value("document.activeElement.name").await, "q");
    browser.write("hold").await;
    // A part of the word may be searched for before the rest of it is written.
    browser.until(&format!("location.search === '?q=hold' && {COUNT} === '1 of 3 nodes'")).await;
    served.node("a4", NodeState::Hold, None).await;
    served.ticked(now(), Plan::default(), None);
    browser.until(&format!("{COUNT} === '2 of 4 nodes'")).await;
    assert_eq!(
        browser.value("document.activeElement.value").await,
        "hold",
        "news does not disturb who writes"
    );
    browser.press("Escape", 27).await;
    browser.until(&format!("{COUNT} === '4 of 4 nodes'")).await;
    assert_eq!(browser.value("window.same").await, "page", "still without a reload");

    browser.value("document.activeElement.blur(); window.scrollTo(0, 0); document.body.tabIndex = -1; document.body.focus(); document.body.removeAttribute('tabindex')").await;
    browser.press("Tab", 9).await;
    assert_eq!(
        browser.value("document.activeElement.className").await,
        "skip",
        "the first stop leads past the rest"
    );
    browser.press("Enter", 13).await;
    assert_eq!(browser.value("location.hash").await, "#main");
    browser.value("document.querySelector('#node-list a[href=\"/node/2\"]').focus()").await;
    browser.press("Enter", 13).await;
    browser.until("location.pathname === '/node/2' && document.querySelector('.timeline li')").await;
    browser.until(LIVE).await;
    assert_eq!(
        browser.value("document.querySelectorAll('main script').length").await,
        0,
        "a comment is text"
    );
    browser.open(&format!("{}/", served.url)).await;
    browser.until(LIVE).await;
}

/// Light and dark, a phone, and names for those who do not see.
async fn looks(browser: &mut Chromium) {
    let mut backgrounds = Vec::new();
    for scheme in ["light", "dark"] {
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        browser.call("Emulation.setEmulatedMedia", media).await;
        backgrounds.push(browser.value("getComputedStyle(document.body).backgroundColor").await);
    }
    assert_ne!(backgrounds[0], backgrounds[1]);
    for width in [1200, 400] {
        let size = json!({"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500});
        browser.call("Emulation.setDeviceMetricsOverride", size).await;
        browser.until(&format!("innerWidth === {width}")).await;
        let fits =
            browser.value("document.documentElement.scrollWidth <= document.documentElement.clientWidth");
        assert_eq!(fits.await, true, "nothing sticks out at a width of {width}");
    }
    let nameless = "[...document.querySelectorAll('input, select, a, button, svg[role=img], summary')].filter((one) =>
        !(one.textContent.trim() || one.getAttribute('aria-label') || (one.labels && one.labels.length))).map((one) => one.outerHTML)";
    assert_eq!(browser.value(nameless).await, json!([]), "each has a name");
    assert_eq!(browser.value("document.documentElement.lang").await, "en");
}

/// A daemon that went and came back.
async fn comes_back(browser: &mut Chromium, served: &mut Served) {
    browser.value("window.same = 'page'").await;
    served.stop.cancel();
    (&mut served.server).await.unwrap().unwrap();
    browser.until("document.getElementById('live').textContent.startsWith('not live')").await;
    served.node("a5", NodeState::Ready, None).await;
    served.serve_again().await;
    browser.until(LIVE).await;
    browser.until("document.querySelector('#node-list a[href=\"/node/5\"]')").await;
    assert_eq!(browser.value("window.same").await, "page");
}

#[tokio::test]
async fn ten_thousand_nodes_are_a_page_like_any_other() {
    let served = Served::new().await;
    for number in 1..=10_000 {
        served.new_node(&format!("a{number}")).await;
    }
    served.ticked(now(), Plan::default(), None);
    let mut browser = Chromium::start().await;
    browser.open(&format!("{}/", served.url)).await;
    browser.until(LIVE).await;
    assert_eq!(browser.value(COUNT).await, "10000 of 10000 nodes, page 1 of 100");
    let elements = browser.value("document.querySelectorAll('*').length").await.as_u64().unwrap();
    assert!(elements < 4000, "{elements} elements");
    browser.value("document.getElementById('page-Next').click()").await;
    browser.until(&format!("{COUNT} === '10000 of 10000 nodes, page 2 of 100'")).await;
    browser.press("/", 191).await;
    browser.write("jessie-9876").await;
    browser.until(&format!("{COUNT} === '1 of 10000 nodes'")).await;
    assert_eq!(browser.complaints, Vec::<String>::new());
}
