//! The pages, their scripts and their texts belong together, and work under any path.
#![allow(clippy::unwrap_used, reason = "a test reports a failure by panicking")]

use std::collections::{BTreeSet, HashMap};

use example_support::language::Language;
use invoice_mailer::pages::{FILES, PAGES};

fn file(name: &str) -> &'static str {
    FILES.iter().find(|(known, _)| *known == name).unwrap().1
}

fn scripts() -> impl Iterator<Item = &'static str> {
    FILES.iter().filter(|(name, _)| name.ends_with(".js")).map(|(_, content)| *content)
}

fn texts(language: Language) -> HashMap<String, String> {
    serde_json::from_str(file(&format!("{}.json", language.tag()))).unwrap()
}

fn names(texts: &HashMap<String, String>) -> BTreeSet<&String> {
    texts.keys().collect()
}

/// The values that a text contains.
fn values(text: &str) -> BTreeSet<&str> {
    text.split('{').skip(1).map(|part| part.split('}').next().unwrap()).collect()
}

/// An absolute path would lead past the path of a proxy.
#[test]
fn links_and_requests_are_relative() {
    for (path, html) in PAGES {
        for attribute in ["href=\"/", "src=\"/", "action=\"/"] {
            assert!(!html.contains(attribute), "{path}: {attribute}");
        }
    }
    for script in scripts() {
        for path in ["'/", "\"/", "`/"] {
            assert!(!script.contains(path), "{path} in {script}");
        }
    }
}

#[test]
fn both_languages_have_the_same_texts_with_the_same_values() {
    let (english, french) = (texts(Language::English), texts(Language::French));
    assert_eq!(names(&english), names(&french));
    for (name, text) in &english {
        assert_eq!(values(text), values(&french[name]), "{name}");
        assert!(!text.trim().is_empty() && !french[name].trim().is_empty(), "{name}");
    }
    for (texts, language) in [(&english, Language::English), (&french, Language::French)] {
        assert_eq!(texts["tag"], language.tag());
        assert_ne!(texts["other_tag"], language.tag());
    }
}

#[test]
fn every_text_is_used_and_none_is_missing() {
    let texts = texts(Language::English);
    let known = names(&texts);
    for (path, html) in PAGES {
        for part in html.split("{{").skip(1) {
            let name = part.split_once("}}").unwrap().0;
            assert!(texts.contains_key(name), "{path}: {name}");
        }
    }
    for script in scripts() {
        for part in script.split("text('").skip(1) {
            let name = part.split_once('\'').unwrap().0;
            assert!(texts.contains_key(name), "{name}");
        }
    }
    let all: String = PAGES.iter().map(|(_, html)| *html).chain(scripts()).collect();
    for name in known {
        // Some names are composed: `invoice_` and a state, or a name and the form of its plural.
        let parts: Vec<_> = name.split('_').collect();
        let is_composed = parts[0] == "invoice" || ["one", "other"].contains(parts.last().unwrap());
        let is_used = [format!("{{{{{name}}}}}"), format!("'{name}'"), format!("text({name})")]
            .iter()
            .any(|mention| all.contains(mention));
        assert!(is_used || is_composed, "{name} is not used");
    }
}
