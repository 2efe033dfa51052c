//! The languages of the pages and of the jobs: which one a request asks for, and the texts in each.

use axum::http::HeaderMap;
use axum::http::header::{ACCEPT_LANGUAGE, COOKIE};
use chrono::{Datelike, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use crate::invoice::grouped;

/// The name of the cookie that stores the language chosen on the page.
pub const COOKIE_NAME: &str = "language";

/// A language of the pages and of the jobs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Language {
    /// The default if the reader prefers no known language.
    #[default]
    #[serde(rename = "en")]
    English,
    /// Français.
    #[serde(rename = "fr")]
    French,
}

impl Language {
    /// All languages.
    pub const ALL: [Self; 2] = [Self::English, Self::French];

    /// Returns `en` or `fr`.
    #[must_use]
    pub fn tag(self) -> &'static str {
        self.pick("en", "fr")
    }

    /// Parses a language tag, with or without a region.
    #[must_use]
    pub fn from_tag(tag: &str) -> Option<Self> {
        let primary = tag.trim().split('-').next()?;
        Self::ALL.into_iter().find(|language| primary.eq_ignore_ascii_case(language.tag()))
    }

    /// Returns the language chosen on the page, else the browser's preferred one, else English.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        chosen(headers).or_else(|| preferred(headers)).unwrap_or_default()
    }

    /// Returns the text in this language.
    pub(crate) fn pick<T>(self, english: T, french: T) -> T {
        match self {
            Self::English => english,
            Self::French => french,
        }
    }
}

fn chosen(headers: &HeaderMap) -> Option<Language> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs =
        cookies.flat_map(|value| value.split(';')).filter_map(|cookie| cookie.split_once('='));
    pairs.find(|(name, _)| name.trim() == COOKIE_NAME).and_then(|(_, tag)| Language::from_tag(tag))
}

/// Returns the known language with the greatest weight; of equal ones, the first.
fn preferred(headers: &HeaderMap) -> Option<Language> {
    let mut best = None;
    for range in headers.get(ACCEPT_LANGUAGE)?.to_str().ok()?.split(',') {
        let (tag, parameter) = range.split_once(';').unwrap_or((range, "q=1"));
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

const MONTHS: [(&str, &str); 12] = [
    ("January", "janvier"),
    ("February", "février"),
    ("March", "mars"),
    ("April", "avril"),
    ("May", "mai"),
    ("June", "juin"),
    ("July", "juillet"),
    ("August", "août"),
    ("September", "septembre"),
    ("October", "octobre"),
    ("November", "novembre"),
    ("December", "décembre"),
];

/// The texts of jobs and responses. Mails are in English, and a mail server's replies are not
/// translated.
impl Language {
    /// The title of a job that is started today: how many invoices, whether again, when, and who
    /// has started it. What differs comes first, because a narrow list cuts the end.
    #[must_use]
    pub fn job_title(self, count: u32, is_again: bool) -> String {
        self.title_on(Utc::now().date_naive(), count, is_again)
    }

    fn title_on(self, day: NaiveDate, count: u32, is_again: bool) -> String {
        let (month, french_month) = MONTHS[day.month0() as usize];
        let (year, number) = (day.year(), u64::from(count));
        let s = if count == 1 { "" } else { "s" };
        let (again, french_again) = if is_again { (" again", " à nouveau") } else { ("", "") };
        let (english, french) = (grouped(number, ','), grouped(number, '\u{202f}'));
        self.pick(
            format!("{english} invoice{s}{again}: {month} {year}, by the billing office"),
            format!(
                "{french} facture{s}{french_again}\u{a0}: {french_month} {year}, par le service \
                 facturation"
            ),
        )
    }

    /// The message of a job after it has sent an invoice.
    #[must_use]
    pub fn sent(self, file: &str, email: &str) -> String {
        self.pick(format!("{file} sent to {email}"), format!("{file} envoyé à {email}"))
    }

    /// The message of a job after an invoice that it could not send.
    #[must_use]
    pub fn not_sent(self, reference: &str, email: &str) -> String {
        self.pick(
            format!("{reference} could not be sent to {email}"),
            format!("{reference} n’a pas pu être envoyé à {email}"),
        )
    }

    /// The error of a job that has given up because the mail server is unreachable.
    #[must_use]
    pub fn server_away(self) -> &'static str {
        self.pick(
            "The mail server cannot be reached; the remaining invoices were not sent.",
            "Le serveur de messagerie est injoignable ; les factures restantes n’ont pas été \
             envoyées.",
        )
    }

    /// The error of a job whose mail server refuses the login.
    #[must_use]
    pub fn login_refused(self) -> &'static str {
        self.pick(
            "The mail server refuses the login; the remaining invoices were not sent.",
            "Le serveur de messagerie refuse l’identifiant ; les factures restantes n’ont pas été \
             envoyées.",
        )
    }

    /// The error of a job whose program was asked to stop.
    #[must_use]
    pub fn stopped(self) -> &'static str {
        self.pick(
            "The program was stopped; the remaining invoices were not sent.",
            "Le programme a été arrêté ; les factures restantes n’ont pas été envoyées.",
        )
    }

    /// The error of a job that could not save the result of a mail.
    #[must_use]
    pub fn not_noted(self) -> &'static str {
        self.pick(
            "The result of a mail could not be saved; the remaining invoices were not sent.",
            "Le résultat d’un envoi n’a pas pu être enregistré ; les factures restantes n’ont pas \
             été envoyées.",
        )
    }

    /// The response if a job could not be created.
    #[must_use]
    pub fn not_started(self) -> &'static str {
        self.pick(
            "The job could not be started, please try again.",
            "La tâche n’a pas pu être lancée, veuillez réessayer.",
        )
    }

    /// The response if the job does not exist, or is not the viewer's.
    #[must_use]
    pub fn no_such_job(self) -> &'static str {
        self.pick("There is no such job.", "Cette tâche n’existe pas.")
    }

    /// The response if invoices are to be sent again while their job still sends them.
    #[must_use]
    pub fn not_ended(self) -> &'static str {
        self.pick(
            "The job has not ended yet. Its errors can be sent again afterwards.",
            "La tâche n’est pas terminée. Ses erreurs pourront être renvoyées ensuite.",
        )
    }

    /// The response if invoices are to be sent again, and all were sent.
    #[must_use]
    pub fn all_sent(self) -> &'static str {
        self.pick("The job has sent all of its invoices.", "La tâche a envoyé toutes ses factures.")
    }

    /// The head of the file of errors.
    #[must_use]
    pub fn error_columns(self) -> [&'static str; 5] {
        self.pick(
            ["Reference", "Customer", "E-mail", "Amount (EUR)", "Reason"],
            ["Référence", "Client", "Adresse e-mail", "Montant (EUR)", "Raison"],
        )
    }

    /// The response if the database does not return the invoices.
    #[must_use]
    pub fn not_readable(self) -> &'static str {
        self.pick(
            "The invoices cannot be read at the moment.",
            "Les factures ne peuvent pas être lues pour le moment.",
        )
    }

    pub(crate) fn no_such_mail(self) -> &'static str {
        self.pick(
            "There is no such mail, or it is no longer kept.",
            "Ce courriel n’existe pas, ou n’est plus conservé.",
        )
    }

    pub(crate) fn unknown_host(self, host: &str) -> String {
        self.pick(
            format!(
                "This server does not answer requests for the host “{host}”. To allow that name, \
                 start it with --host NAME."
            ),
            format!(
                "Ce serveur ne répond pas aux requêtes pour l’hôte « {host} ». Pour autoriser ce \
                 nom, lancez-le avec --host NOM."
            ),
        )
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
    fn the_cookie_comes_first_then_the_greatest_weight() {
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
    fn a_title_says_how_many_when_and_who() {
        let day = NaiveDate::from_ymd_opt(2026, 8, 30).unwrap();
        for (language, count, is_again, title) in [
            (Language::English, 1_200, false, "1,200 invoices: August 2026, by the billing office"),
            (Language::English, 1, true, "1 invoice again: August 2026, by the billing office"),
            (
                Language::French,
                1_200,
                false,
                "1\u{202f}200 factures\u{a0}: août 2026, par le service facturation",
            ),
            (
                Language::French,
                13,
                true,
                "13 factures à nouveau\u{a0}: août 2026, par le service facturation",
            ),
        ] {
            assert_eq!(language.title_on(day, count, is_again), title);
        }
    }

    #[test]
    fn a_tag_is_parsed_as_it_is_written() {
        for language in Language::ALL {
            assert_eq!(Language::from_tag(language.tag()), Some(language));
        }
    }
}
