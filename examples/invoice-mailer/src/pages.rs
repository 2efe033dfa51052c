//! The pages and the files that they load, compiled in.

macro_rules! files {
    ($($name:literal),+ $(,)?) => { &[$(($name, include_str!(concat!("../page/", $name)))),+] };
}

/// The paths of the pages and their HTML.
pub const PAGES: &[(&str, &str)] =
    &[("/", include_str!("../page/index.html")), ("/outbox", include_str!("../page/outbox.html"))];

/// The names of the files that the pages load, and their contents.
pub const FILES: &[(&str, &str)] = files![
    "page.css",
    "favicon.svg",
    "en.json",
    "fr.json",
    "page.js",
    "outbox.js",
    "details.js",
    "elements.js",
    "invoices.js",
    "pacing.js",
    "requests.js",
    "send-form.js",
    "words.js",
];
