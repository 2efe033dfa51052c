//! The languages of the pages and of the jobs: which one is meant, and what a job says in each.

use axum::http::HeaderMap;
use axum::http::header::{ACCEPT_LANGUAGE, COOKIE};

/// What remembers a choice made on the page.
pub const COOKIE_NAME: &str = "language";

/// A language that is spoken here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Language {
    /// And the one for everybody whose own is not among them.
    #[default]
    English,
    /// Français.
    French,
}

impl Language {
    /// `en` or `fr`.
    pub fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::French => "fr",
        }
    }

    /// By its tag, with or without a region.
    pub fn from_tag(tag: &str) -> Option<Self> {
        match tag.trim().split('-').next()?.to_ascii_lowercase().as_str() {
            "en" => Some(Self::English),
            "fr" => Some(Self::French),
            _ => None,
        }
    }

    /// What the reader chose on the page, else what the browser asks for, else English.
    pub fn of(headers: &HeaderMap) -> Self {
        chosen(headers).or_else(|| preferred(headers)).unwrap_or_default()
    }
}

fn chosen(headers: &HeaderMap) -> Option<Language> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs =
        cookies.flat_map(|value| value.split(';')).filter_map(|cookie| cookie.split_once('='));
    pairs.find(|(name, _)| name.trim() == COOKIE_NAME).and_then(|(_, tag)| Language::from_tag(tag))
}

/// The first of those that are wanted most.
fn preferred(headers: &HeaderMap) -> Option<Language> {
    let mut best = None;
    for wish in headers.get(ACCEPT_LANGUAGE)?.to_str().ok()?.split(',') {
        let (tag, parameter) = wish.split_once(';').unwrap_or((wish, "q=1"));
        let weight =
            parameter.trim().strip_prefix("q=").and_then(|weight| weight.parse::<f32>().ok());
        let (Some(language), Some(weight)) = (Language::from_tag(tag), weight) else {
            continue;
        };
        if weight > best.map_or(0.0, |(_, most)| most) {
            best = Some((language, weight));
        }
    }
    best.map(|(language, _)| language)
}

/// What jobs and answers say. The mails themselves go to customers, and the words of a mail server are its own.
impl Language {
    pub(crate) fn sent(self, file: &str, email: &str) -> String {
        match self {
            Self::English => format!("{file} sent to {email}"),
            Self::French => format!("{file} envoyé à {email}"),
        }
    }

    pub(crate) fn not_sent(self, reference: &str, email: &str) -> String {
        match self {
            Self::English => format!("{reference} could not be sent to {email}"),
            Self::French => format!("{reference} n’a pas pu être envoyé à {email}"),
        }
    }

    pub(crate) fn server_away(self) -> &'static str {
        match self {
            Self::English => {
                "The mail server cannot be reached; the remaining invoices were not sent."
            }
            Self::French => {
                "Le serveur de messagerie est injoignable ; les factures restantes n’ont pas été envoyées."
            }
        }
    }

    pub(crate) fn stopped(self) -> &'static str {
        match self {
            Self::English => "The program was stopped; the remaining invoices were not sent.",
            Self::French => {
                "Le programme a été arrêté ; les factures restantes n’ont pas été envoyées."
            }
        }
    }

    pub(crate) fn not_noted(self) -> &'static str {
        match self {
            Self::English => {
                "What became of an invoice could not be recorded; the remaining invoices were not sent."
            }
            Self::French => {
                "Le sort d’une facture n’a pas pu être enregistré ; les factures restantes n’ont pas été envoyées."
            }
        }
    }

    pub(crate) fn another_site(self) -> &'static str {
        match self {
            Self::English => "This request was made by a page of another site.",
            Self::French => "Cette requête vient d’une page d’un autre site.",
        }
    }

    pub(crate) fn not_started(self) -> &'static str {
        match self {
            Self::English => "The job could not be started, please try again.",
            Self::French => "La tâche n’a pas pu être lancée, veuillez réessayer.",
        }
    }

    pub(crate) fn not_readable(self) -> &'static str {
        match self {
            Self::English => "The invoices cannot be read at the moment.",
            Self::French => "Les factures ne peuvent pas être lues pour le moment.",
        }
    }

    pub(crate) fn no_such_mail(self) -> &'static str {
        match self {
            Self::English => "There is no such mail, or no longer.",
            Self::French => "Ce courriel n’existe pas, ou plus.",
        }
    }

    pub(crate) fn not_queued(self) -> &'static str {
        match self {
            Self::English => "The job could not be queued.",
            Self::French => "La tâche n’a pas pu être mise en file d’attente.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(accepted: &str, cookie: &str) -> Language {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_LANGUAGE, accepted.parse().unwrap());
        headers.insert(COOKIE, cookie.parse().unwrap());
        Language::of(&headers)
    }

    #[test]
    fn a_choice_goes_before_a_wish_and_a_greater_wish_before_a_lesser() {
        use Language::{English, French};
        assert_eq!(Language::of(&HeaderMap::new()), English);
        for (accepted, language) in [
            ("fr", French),
            ("fr-CA,fr;q=0.9,en;q=0.8", French),
            ("en;q=0.8, FR;q=0.9", French),
            ("de,fr;q=0.5,en;q=0.5", French),
            ("de", English),
            ("fr;q=0", English),
            ("fr;q=x, *", English),
            ("", English),
        ] {
            assert_eq!(of(accepted, "a=b"), language, "{accepted}");
        }
        assert_eq!(of("fr", "a=b; language=en"), English);
        assert_eq!(of("en", "language=fr"), French);
        assert_eq!(of("fr", "language=<script>"), French);
    }

    #[test]
    fn a_tag_is_read_as_it_is_written() {
        for language in [Language::English, Language::French] {
            assert_eq!(Language::from_tag(language.tag()), Some(language));
        }
    }
}
