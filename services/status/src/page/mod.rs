//! The status page at `/`: small files in the binary, which show the JSON interface and poll it.

use std::sync::Arc;

use axum::{
    Router,
    http::{HeaderName, header},
    response::IntoResponse,
    routing::get,
};

use crate::{Console, api};

/// Everything from this server, nothing inline, nowhere framed.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// Path, content type and text of every file. The page names them relative to itself, so that it works behind a prefix.
const FILES: [(&str, &str, &str); 8] = [
    ("/", HTML, include_str!("assets/index.html")),
    ("/assets/page.css", CSS, include_str!("assets/page.css")),
    ("/assets/page.mjs", JAVASCRIPT, include_str!("assets/page.mjs")),
    ("/assets/dom.mjs", JAVASCRIPT, include_str!("assets/dom.mjs")),
    ("/assets/format.mjs", JAVASCRIPT, include_str!("assets/format.mjs")),
    ("/assets/plot.mjs", JAVASCRIPT, include_str!("assets/plot.mjs")),
    ("/assets/sections.mjs", JAVASCRIPT, include_str!("assets/sections.mjs")),
    ("/assets/icon.svg", SVG, include_str!("assets/icon.svg")),
];

/// Routes of every server: the status page at `/`, status and lists under `/api/v1/`, and `/sd` where there is a view.
pub fn console(console: Arc<Console>) -> Router {
    let page = FILES
        .iter()
        .fold(Router::new(), |router, (path, kind, text)| router.route(path, get(async || file(kind, text))));
    page.merge(api::routes(console))
}

fn file(kind: &'static str, text: &'static str) -> impl IntoResponse {
    let headers: [(HeaderName, &str); 5] = [
        (header::CONTENT_TYPE, kind),
        // Another version may stand here tomorrow, and the files are small.
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, text)
}
