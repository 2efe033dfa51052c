//! The foreign types in the public API of each crate. A new major version of one of their crates is
//! a new major version of ours, so each is a decision: it is listed here.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::step::{command, root};

/// Crates whose types each of our crates may show, beside the standard library and our own crates.
const ALLOWED: [(&str, &[&str]); 7] = [
    ("progress-core", &["chrono", "futures_core", "serde_core", "serde_json", "uuid"]),
    ("progress-http", &["bytes", "futures_core"]),
    ("progress-axum", &["axum", "axum_core", "http"]),
    ("progress-actix", &["actix_http", "actix_web"]),
    ("progress-apalis", &["apalis_core", "tower_layer", "tower_service"]),
    ("progress-redis", &["redis"]),
    ("progress-sqlx", &["sqlx_mysql", "sqlx_postgres", "sqlx_sqlite"]),
];

/// Returns an error that names the types of crates that are not listed, and the listed crates of
/// which there is no type.
pub(crate) fn check() -> Result<(), String> {
    let mut problems = Vec::new();
    for (package, allowed) in ALLOWED {
        let found = foreign_types(package)?;
        let crates: BTreeSet<_> = found.iter().filter_map(|path| path.split("::").next()).collect();
        let unlisted = found
            .iter()
            .filter(|path| path.split("::").next().is_some_and(|name| !allowed.contains(&name)));
        problems.extend(unlisted.map(|path| format!("{package}: {path}")));
        let unused = allowed.iter().filter(|name| !crates.contains(*name));
        problems.extend(unused.map(|name| format!("{package}: {name} is listed in vain")));
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

/// Reads them from what rustdoc knows.
fn foreign_types(package: &str) -> Result<BTreeSet<String>, String> {
    let folder = root().join("target/public-api");
    let mut rustdoc = command("cargo", &["rustdoc", "--quiet", "--locked", "--lib", "--package"]);
    rustdoc.arg(package).arg("--target-dir").arg(&folder);
    rustdoc.args(["--features", features(package)]);
    rustdoc.args(["--", "-Z", "unstable-options", "--output-format", "json"]);
    // The format is unstable; a stable compiler writes it when it is told to be one of its
    // developers'.
    rustdoc.env("RUSTC_BOOTSTRAP", "1");
    let status = rustdoc.status().map_err(|error| error.to_string())?;
    if !status.success() {
        return Err(format!("rustdoc failed for {package}"));
    }
    let file = folder.join("doc").join(format!("{}.json", package.replace('-', "_")));
    let text = fs::read_to_string(file).map_err(|error| error.to_string())?;
    let docs: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let mut found = BTreeSet::new();
    for item in docs["index"].as_object().into_iter().flat_map(|index| index.values()) {
        let implementation = &item["inner"]["impl"];
        let is_everybodys =
            implementation["is_synthetic"] == true || implementation["blanket_impl"].is_object();
        if !is_everybodys {
            collect(&item["inner"], &docs, &mut found);
        }
    }
    Ok(found)
}

fn features(package: &str) -> &'static str {
    match package {
        "progress-sqlx" => "sqlite,postgres,mysql",
        "progress-redis" => "cluster,sentinel,sqlx",
        "progress-core" => "testing",
        "progress-apalis" => "",
        _ => "openapi",
    }
}

/// Adds the paths of types and traits that are neither ours nor the standard library's.
fn collect(value: &Value, docs: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            if object.contains_key("args")
                && let Some(id) = object.get("id")
                && let Some(path) = docs["paths"].get(id.to_string())
            {
                let origin = &docs["external_crates"][path["crate_id"].to_string()]["name"];
                let origin = origin.as_str().unwrap_or_default();
                let is_known = ["", "core", "alloc", "std"].contains(&origin)
                    || origin.starts_with("progress_");
                if !is_known {
                    let names = path["path"].as_array().into_iter().flatten();
                    let names: Vec<_> = names.filter_map(Value::as_str).collect();
                    found.insert(names.join("::"));
                }
            }
            object.values().for_each(|value| collect(value, docs, found));
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, docs, found)),
        _ => {}
    }
}
