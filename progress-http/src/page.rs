//! The ready page with the viewer's jobs: `list.html`.

use std::sync::LazyLock;

use bytes::Bytes;

use crate::{Reply, tag, widget};

/// Its address below the mount point.
pub(crate) const PATH: &str = "/list.html";

/// The page loads only its own scripts and data, and no script of it writes HTML. The application
/// may show it in a frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

struct Page {
    html: String,
    etag: String,
}

static PAGE: LazyLock<Page> = LazyLock::new(|| {
    // All addresses are relative, because a proxy may add a prefix.
    let html = format!(
        "<!doctype html>\n\
         <html lang=\"en\">\n\
         <meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>Jobs</title>\n\
         {}\
         <main><progress-list page allow-cancel allow-delete></progress-list></main>\n\
         <noscript>This page needs JavaScript.</noscript>\n\
         </html>\n",
        widget::list_tags("."),
    );
    let etag = tag::of_bytes(html.as_bytes());
    Page { html, etag }
});

pub(crate) fn serve(if_none_match: Option<&str>) -> Reply {
    let page = &*PAGE;
    let content = Bytes::from_static(page.html.as_bytes());
    let reply = Reply::file("text/html; charset=utf-8", content, &*page.etag, if_none_match);
    reply
        .with_header("content-security-policy", POLICY)
        .with_header("referrer-policy", "same-origin")
        // A cache may keep it, but must ask the application each time.
        .cached("no-cache")
}
