//! The pictures of the documents: `FORESHADOW_WRITE_DOCS=1` and this test make them anew.

use std::{fs, path::Path};

use browser::{Difference, Eyes};

use super::site::open;
use crate::page::fixture::fleet::fleet;

/// What a reader has to load for one, in bytes.
const MOST: usize = 250_000;

/// Who looks at what, until what is there, in a window of which height.
const PICTURES: [(&str, Eyes, &str, &str, u32); 3] = [
    (
        "page-fleet",
        Eyes::Desk,
        "#/",
        "document.querySelectorAll('.rows .row a').length > 12",
        700,
    ),
    ("page-host", Eyes::Desk, "#/hosts/web-1", HOST, 1_000),
    (
        "page-plans",
        Eyes::Desk,
        "#/plans",
        "document.body.innerText.includes('taken back')",
        575,
    ),
];
const HOST: &str =
    "document.querySelectorAll('path.measured').length === 5 && document.querySelectorAll('path.band').length > 0";

#[tokio::test(flavor = "multi_thread")]
async fn the_pictures_of_the_documents_are_small_and_of_this_page() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/images");
    let mut seen: Vec<(&str, Vec<u8>)> = Vec::new();
    for (name, eyes, view, there, height) in PICTURES {
        let Some((browser, _site)) = open(fleet(30), eyes).await else {
            return;
        };
        if matches!(eyes, Eyes::Desk) {
            browser.resize(1_300, height).await;
        }
        browser.go(view).await;
        browser.until(there).await;
        let picture = browser.png().await;
        assert!(picture.len() < MOST, "{name} has {} bytes", picture.len());
        let file = folder.join(format!("{name}.png"));
        if std::env::var_os("FORESHADOW_WRITE_DOCS").is_some() {
            fs::write(&file, &picture).unwrap();
        }
        // Fonts differ from machine to machine, so that what is compared is the size, and what is seen from afar.
        let kept = fs::read(&file).unwrap_or_else(|error| panic!("docs/images/{name}.png: {error}"));
        assert!(kept.len() < MOST, "docs/images/{name}.png has {} bytes", kept.len());
        assert_eq!(size(&kept), size(&picture), "docs/images/{name}.png is of another page");
        let difference = browser.difference(&kept, &picture).await;
        eprintln!("docs/images/{name}.png: {difference:?}");
        assert!(
            is_same(difference),
            "docs/images/{name}.png is of another page: {difference:?}"
        );
        // Another view of the same size is not taken for it.
        for (other, seen) in seen.iter().filter(|(_, seen)| size(seen) == size(&picture)) {
            let between = browser.difference(seen, &picture).await;
            assert!(!is_same(between), "{name} cannot be told from {other}: {between:?}");
        }
        seen.push((name, picture));
        browser.close().await;
    }
}

/// Five other fonts of letters of their own width moved the means by .006 at most and no more than .0016 of the squares far; another view
/// is .040 and .11 away.
const fn is_same(difference: Difference) -> bool {
    difference.mean < 0.02 && difference.far < 0.02
}

/// Width and height of a PNG, by its first chunk.
fn size(png: &[u8]) -> (u32, u32) {
    assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
    let number = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
    (number(16), number(20))
}
