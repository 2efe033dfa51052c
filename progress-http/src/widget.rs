//! The files of the browser widget, compiled in.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::Reply;

/// One file of the widget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct WidgetFile {
    /// Its name, under which the routes serve it.
    pub name: &'static str,
    /// Its media type.
    pub content_type: &'static str,
    /// Its content.
    pub content: &'static str,
}

/// The files: a classic script, the same as an ES module, and the style sheet.
///
/// ```
/// assert!(progress_http::WIDGET.iter().any(|file| file.name == "progress-polling.js"));
/// ```
pub const WIDGET: [WidgetFile; 3] = [
    WidgetFile {
        name: "progress-polling.js",
        content_type: "text/javascript; charset=utf-8",
        content: include_str!("../assets/dist/progress-polling.js"),
    },
    WidgetFile {
        name: "progress-polling.mjs",
        content_type: "text/javascript; charset=utf-8",
        content: include_str!("../assets/dist/progress-polling.mjs"),
    },
    WidgetFile {
        name: "progress-polling.css",
        content_type: "text/css; charset=utf-8",
        content: include_str!("../assets/dist/progress-polling.css"),
    },
];

/// What the build wrote about the files, their hashes above all: nothing is hashed at run time.
#[derive(Debug, Deserialize)]
struct Manifest {
    files: HashMap<String, Built>,
}

#[derive(Debug, Deserialize)]
struct Built {
    sha384: String,
}

static TAGS: LazyLock<HashMap<String, String>> = LazyLock::new(|| {
    let manifest: Manifest = serde_json::from_str(include_str!("../assets/dist/manifest.json"))
        .unwrap_or_else(|error| {
            // A test reads the manifest as well, so what is published is readable; without tags the files are still served.
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the widget's manifest is not readable"
            );
            Manifest { files: HashMap::new() }
        });
    manifest.files.into_iter().map(|(name, built)| (name, format!("\"{}\"", built.sha384))).collect()
});

pub(crate) fn find(name: &str) -> Option<&'static WidgetFile> {
    WIDGET.iter().find(|file| file.name == name)
}

pub(crate) fn serve(file: &'static WidgetFile, if_none_match: Option<&str>) -> Reply {
    let etag = TAGS.get(file.name).map_or("", String::as_str);
    Reply::file(file.content_type, Cow::Borrowed(file.content.as_bytes()), etag, if_none_match)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn a_known_file_is_not_sent_again() {
        for file in &WIDGET {
            let first = serve(file, None);
            assert_eq!((first.status, first.body.len()), (200, file.content.len()));
            let again = serve(file, first.header("etag"));
            assert_eq!((again.status, again.body.len()), (304, 0));
            assert_eq!(again.header("etag"), first.header("etag"));
        }
    }
    /// The built files belong to the sources beside them: a forgotten build does not pass.
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
        assert_eq!(manifest["source"], json!(expected), "run `npm run build` in progress-http/assets");
        for file in WIDGET {
            assert_eq!(manifest["files"][file.name]["bytes"], json!(file.content.len()), "{}", file.name);
            assert!(manifest["files"][file.name]["sha384"].is_string(), "{}", file.name);
        }
    }
}
