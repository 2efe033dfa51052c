//! The files of the browser widget, compiled in, and the two HTML tags that load them.
//!
//! Each file is served under two names: its own, which caches revalidate each time, and one with
//! its hash, which they keep for ever. Rendered pages use [`tags`]; pages written by hand name
//! `progress-polling.js`. Clients that accept gzip get a third of the bytes.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::LazyLock;

use serde::Deserialize;

use bytes::Bytes;

use crate::{Reply, RequestHeaders, gzip, negotiate};

/// One file of the widget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct File {
    /// The name under which the routes serve it.
    pub name: &'static str,
    /// The media type.
    pub content_type: &'static str,
    /// The content, uncompressed.
    pub content: &'static str,
}

/// The files: the widget as a classic script and as an ES module, its style sheet, the ES module
/// and the style sheet of the list, and the ES module that shows progress in the tab's title.
///
/// ```
/// use progress_http::widget;
///
/// let script = widget::FILES[0];
/// assert_eq!(script.name, "progress-polling.js");
/// assert!(script.integrity().starts_with("sha384-"));
/// assert!(script.hashed_name().ends_with(".js"));
/// ```
pub const FILES: [File; 6] = [
    File {
        name: "progress-polling.js",
        content_type: "text/javascript; charset=utf-8",
        content: include_str!("../assets/dist/progress-polling.js"),
    },
    File {
        name: "progress-polling.mjs",
        content_type: "text/javascript; charset=utf-8",
        content: include_str!("../assets/dist/progress-polling.mjs"),
    },
    File {
        name: "progress-polling.css",
        content_type: "text/css; charset=utf-8",
        content: include_str!("../assets/dist/progress-polling.css"),
    },
    File {
        name: "progress-list.js",
        content_type: "text/javascript; charset=utf-8",
        content: include_str!("../assets/dist/progress-list.js"),
    },
    File {
        name: "progress-list.css",
        content_type: "text/css; charset=utf-8",
        content: include_str!("../assets/dist/progress-list.css"),
    },
    File {
        name: "progress-news.js",
        content_type: "text/javascript; charset=utf-8",
        content: include_str!("../assets/dist/progress-news.js"),
    },
];

/// Returns the tags of the style sheet and the script for a page's head, by hashed name and with
/// their integrity (W3C, Subresource Integrity). `mount` is the path of the routes, such as
/// `/progress`.
///
/// The script is a classic one, so that later scripts of the page can use `ProgressPolling` at
/// once.
///
/// ```
/// let tags = progress_http::widget::tags("/progress");
/// assert!(tags.starts_with("<link rel=\"stylesheet\" href=\"/progress/progress-polling."));
/// assert!(tags.contains("<script src=\"/progress/progress-polling."));
/// assert_eq!(tags.matches(" integrity=\"sha384-").count(), 2);
/// ```
#[must_use]
pub fn tags(mount: &str) -> String {
    let mount = attribute(mount.trim_end_matches('/'));
    let [script, _, style_sheet, ..] = FILES;
    format!(
        "<link rel=\"stylesheet\" href=\"{mount}/{}\" integrity=\"{}\">\n\
         <script src=\"{mount}/{}\" integrity=\"{}\"></script>\n",
        style_sheet.hashed_name(),
        style_sheet.integrity(),
        script.hashed_name(),
        script.integrity(),
    )
}

/// Returns the tags of the list's script for a page's head, by hashed name and with its integrity.
/// `mount` is as for [`tags`]. The script is a module. It imports the widget and defines
/// `<progress-list>` and `<progress-poller>`, so a page with a list needs no other tags.
///
/// ```
/// let tags = progress_http::widget::list_tags("/progress");
/// assert!(tags.contains("<script type=\"module\" src=\"/progress/progress-list."));
/// assert_eq!(tags.matches(" integrity=\"sha384-").count(), 1);
/// ```
#[must_use]
pub fn list_tags(mount: &str) -> String {
    let mount = attribute(mount.trim_end_matches('/'));
    let [_, widget, _, list, style_sheet, _] = FILES;
    // The script loads two more files, under these names; the browser need not wait for it.
    format!(
        "<link rel=\"modulepreload\" href=\"{mount}/{}\">\n\
         <link rel=\"preload\" as=\"style\" href=\"{mount}/{}\">\n\
         <script type=\"module\" src=\"{mount}/{}\" integrity=\"{}\"></script>\n",
        widget.name,
        style_sheet.name,
        list.hashed_name(),
        list.integrity(),
    )
}

/// Returns the tag of the script that shows in the tab's title how far the jobs of the page's bars
/// are, and shows a notification when one ends in a hidden tab, if the reader has permitted it.
/// `mount` is as for [`tags`]. The script is for pages that have [`tags`] as well.
///
/// ```
/// let tag = progress_http::widget::news_tags("/progress");
/// assert!(tag.starts_with("<script type=\"module\" src=\"/progress/progress-news."));
/// assert_eq!(tag.matches(" integrity=\"sha384-").count(), 1);
/// ```
#[must_use]
pub fn news_tags(mount: &str) -> String {
    let mount = attribute(mount.trim_end_matches('/'));
    let [.., news] = FILES;
    format!(
        "<script type=\"module\" src=\"{mount}/{}\" integrity=\"{}\"></script>\n",
        news.hashed_name(),
        news.integrity(),
    )
}

/// Escapes text for an attribute in double quotes (WHATWG HTML, section 13.3).
fn attribute(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;")
}

impl File {
    /// Returns the value of the `integrity` attribute, which the browser compares with the content:
    /// `sha384-` and the hash in base 64.
    #[must_use]
    pub fn integrity(&self) -> String {
        format!("sha384-{}", self.sha384())
    }

    /// Returns the name that changes with the content: `progress-polling.`, sixteen digits of its
    /// hash, and the extension.
    #[must_use]
    pub fn hashed_name(&self) -> &'static str {
        HASHED_NAMES.get(self.name).map_or(self.name, String::as_str)
    }

    /// The tag of the uncompressed content; empty if its hash is unknown.
    fn etag(&self) -> String {
        let hash = self.sha384();
        if hash.is_empty() { String::new() } else { format!("\"{hash}\"") }
    }

    fn sha384(&self) -> &'static str {
        MANIFEST.files.get(self.name).map_or("", |entry| entry.sha384.as_str())
    }
}

/// The manifest that the build wrote. It holds the hashes, so that none is computed at run time.
#[derive(Debug, Deserialize)]
struct Manifest {
    files: HashMap<String, ManifestEntry>,
}

#[derive(Debug, Deserialize)]
struct ManifestEntry {
    sha384: String,
}

static MANIFEST: LazyLock<Manifest> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../assets/dist/manifest.json")).unwrap_or_else(|error| {
        // A test reads the manifest as well, so a published one is readable. Without hashes the
        // files are still served.
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "failed to read the widget's manifest"
        );
        Manifest { files: HashMap::new() }
    })
});

static HASHED_NAMES: LazyLock<HashMap<&'static str, String>> = LazyLock::new(|| {
    let hashed = FILES.iter().filter_map(|file| {
        let (stem, extension) = file.name.rsplit_once('.')?;
        // As digits, because base 64 contains slashes.
        let digits = file.sha384().bytes().take(8).fold(String::new(), |mut digits, byte| {
            // Writing to a string cannot fail.
            let _ = write!(digits, "{byte:02x}");
            digits
        });
        (!digits.is_empty()).then(|| (file.name, format!("{stem}.{digits}.{extension}")))
    });
    hashed.collect()
});

/// Returns the file with either name, and whether it is the hashed name. A name with the hash of
/// another version is a page's that was loaded before an update; it gets the present file.
pub(crate) fn find(name: &str) -> Option<(&'static File, bool)> {
    static ALL_FILES: [File; 6] = FILES;
    ALL_FILES.iter().find_map(|file| match name {
        _ if name == file.name => Some((file, false)),
        _ if name == file.hashed_name() => Some((file, true)),
        _ if is_earlier_name(name, file) => Some((file, false)),
        _ => None,
    })
}

fn is_earlier_name(name: &str, file: &File) -> bool {
    let hash = file.name.rsplit_once('.').and_then(|(stem, extension)| {
        name.strip_prefix(stem)?.strip_prefix('.')?.strip_suffix(extension)?.strip_suffix('.')
    });
    hash.is_some_and(|hash| hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

pub(crate) fn serve(file: &'static File, is_hashed: bool, headers: &RequestHeaders<'_>) -> Reply {
    let is_wanted = negotiate::prefers_gzip(headers.get("accept-encoding"));
    let gzipped = if is_wanted { gzip::compressed(file) } else { None };
    let (content, etag) = match gzipped {
        Some(gzipped) => (gzipped.bytes.as_slice(), Cow::Borrowed(gzipped.etag.as_str())),
        None => (file.content.as_bytes(), Cow::Owned(file.etag())),
    };
    let reply = Reply::file(
        file.content_type,
        Bytes::from_static(content),
        etag,
        headers.get("if-none-match"),
    );
    let reply = if gzipped.is_some() && reply.status == 200 {
        reply.with_header("content-encoding", "gzip")
    } else {
        reply
    };
    // With either coding, so that a cache does not give one coding to a client that asks for the
    // other.
    let reply = reply.with_header("vary", "accept-encoding");
    // A year is the conventional value for "for ever" (RFC 9111, section 5.3; RFC 8246).
    if is_hashed {
        reply.cached("public, max-age=31536000, immutable")
    } else {
        reply.cached("no-cache")
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use serde_json::{Value, json};
    use sha2::{Digest, Sha256};

    use super::*;

    /// The reply to a client that sends these headers.
    fn get(name: &str, if_none_match: Option<&str>, accept_encoding: Option<&str>) -> Reply {
        let (file, is_hashed) = find(name).unwrap();
        let lines = [("if-none-match", if_none_match), ("accept-encoding", accept_encoding)];
        let lines = lines.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let headers = RequestHeaders::collect(lines);
        serve(file, is_hashed, &headers)
    }

    fn names() -> impl Iterator<Item = (File, &'static str)> {
        FILES.into_iter().flat_map(|file| [(file, file.name), (file, file.hashed_name())])
    }

    #[test]
    fn a_current_copy_of_a_file_gets_304() {
        for (file, name) in names() {
            for coding in [None, Some("gzip")] {
                let first = get(name, None, coding);
                assert_eq!(first.status, 200);
                let is_hashed = name != file.name;
                assert_eq!(first.header("cache-control").unwrap().contains("immutable"), is_hashed);
                let again = get(name, first.header("etag"), coding);
                assert_eq!((again.status, again.body.len()), (304, 0));
                for header in ["etag", "vary", "cache-control"] {
                    assert_eq!(again.header(header), first.header(header));
                    assert!(again.header(header).is_some(), "{header}");
                }
                assert_eq!(again.header("content-encoding"), None, "there is no body");
            }
        }
        // A page that was loaded before an update gets the present file, and does not keep it.
        let earlier = get("progress-polling.0123456789abcdef.js", None, None);
        assert_eq!(earlier.header("cache-control"), Some("no-cache"));
        assert_eq!(earlier.body, FILES[0].content.as_bytes());
        for name in ["progress-polling.0123.js", "progress-polling.0123456789abcdeg.js"] {
            assert!(find(name).is_none(), "{name}");
        }
    }

    #[test]
    fn gzip_sends_the_same_file_in_fewer_bytes() {
        for (file, name) in names() {
            let plain = get(name, None, None);
            assert_eq!(
                (plain.header("content-encoding"), &*plain.body),
                (None, file.content.as_bytes())
            );
            let gzipped = get(name, None, Some("gzip, deflate, br, zstd"));
            assert_eq!(gzipped.header("content-encoding"), Some("gzip"));
            assert_eq!(gzipped.header("content-type"), Some(file.content_type));
            // The smallest file has least to repeat.
            assert!(gzipped.body.len() < plain.body.len() * 2 / 3, "{} bytes", gzipped.body.len());
            let mut decoded = String::new();
            flate2::read::GzDecoder::new(&*gzipped.body).read_to_string(&mut decoded).unwrap();
            assert_eq!(decoded, file.content);
        }
    }

    /// Each coding is a representation of its own (RFC 9110, section 8.8.3.3). If both had the same
    /// tag, a cache that got 304 would not know which of its copies is current.
    #[test]
    fn each_coding_has_its_own_tag() {
        for (_, name) in names() {
            let etag = |coding| get(name, None, coding).header("etag").unwrap().to_owned();
            let (plain, gzipped) = (etag(None), etag(Some("gzip")));
            assert_ne!(plain, gzipped);
            for tag in [&plain, &gzipped] {
                assert!(tag.starts_with('"') && tag.ends_with('"'), "strong: {tag}");
            }
            assert_eq!(get(name, Some(&plain), Some("gzip")).status, 200);
            assert_eq!(get(name, Some(&gzipped), None).status, 200);
            // A cache that has both sends both tags, and learns which one is meant.
            let both = format!("{plain}, {gzipped}");
            for (coding, chosen) in [(None, &plain), (Some("gzip"), &gzipped)] {
                for known in [both.as_str(), "*"] {
                    let reply = get(name, Some(known), coding);
                    assert_eq!((reply.status, reply.header("etag")), (304, Some(chosen.as_str())));
                }
            }
        }
    }

    #[test]
    fn tags_escape_the_mount_path() {
        let mount = "/a\"><script>&";
        for tags in [tags(mount), list_tags(mount), news_tags(mount)] {
            assert!(tags.contains("=\"/a&quot;>&lt;script>&amp;/progress-"), "{tags}");
            assert!(!tags.contains("/a\""), "{tags}");
        }
    }

    /// The widget translates the error texts that the library itself writes into a record.
    #[test]
    fn the_widget_translates_the_error_texts_of_the_core() {
        for words in [progress_core::WORKER_LOST, progress_core::WORKER_STOPPED] {
            assert!(
                FILES[0].content.contains(&format!("\"{words}\":")),
                "messages.js translates {words:?}"
            );
        }
    }

    /// The built files match the sources beside them, so that a forgotten build is noticed.
    #[test]
    fn the_widget_is_built_from_its_sources() {
        let assets = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("assets");
        let mut sources = Vec::new();
        let mut folders = vec![assets.join("src")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { folders.push(path) } else { sources.push(path) }
            }
        }
        let name = |path: &std::path::Path| {
            path.strip_prefix(assets.join("src")).unwrap().to_str().unwrap().replace('\\', "/")
        };
        sources.sort_by_key(|path| name(path));
        let mut hash = Sha256::new();
        for path in sources {
            hash.update(name(&path));
            hash.update([0]);
            hash.update(std::fs::read(&path).unwrap());
            hash.update([0]);
        }
        let expected: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        let manifest = std::fs::read(assets.join("dist/manifest.json")).unwrap();
        let manifest: Value = serde_json::from_slice(&manifest).unwrap();
        assert_eq!(
            manifest["source"],
            json!(expected),
            "run `npm run build` in progress-http/assets"
        );
        for file in FILES {
            assert_eq!(
                manifest["files"][file.name]["bytes"],
                json!(file.content.len()),
                "{}",
                file.name
            );
            assert!(manifest["files"][file.name]["sha384"].is_string(), "{}", file.name);
        }
    }
}
