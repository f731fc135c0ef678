//! plotly.js, out of the crate `plotly`: its version and licence are pinned by Cargo.lock.

use plotly::Plot;

/// The script of plotly.js. The crate hands it out in HTML script tags, followed by a second library that no
/// chart here needs.
pub(super) fn script() -> String {
    between(&Plot::offline_js_sources()).to_owned()
}

/// What is inside the first script element; neither library contains an end tag.
fn between(html: &str) -> &str {
    let start = html.find("<script").and_then(|tag| html.get(tag..));
    let body = start.and_then(|rest| rest.split_once('>')).map_or("", |(_, body)| body);
    body.split_once("</script>").map_or("", |(script, _)| script)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_script_is_plotly_whole() {
        let script = script();
        assert!(script.trim_start().starts_with("/**\n* plotly.js v3."), "{script:.80}");
        assert!(script.len() > 1_000_000, "{} bytes", script.len());
        assert!(script.contains("window.Plotly"), "the page reads this global");
        assert!(!script.contains("MathJax.js v"), "the second library came along");
    }

    #[test]
    fn anything_else_is_nothing() {
        assert_eq!(between(""), "");
        assert_eq!(between("<script"), "");
        assert_eq!(between("<script>x"), "");
        assert_eq!(between("<script a>x</script><script>y</script>"), "x");
    }
}
