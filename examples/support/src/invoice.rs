//! Sample invoices, derived from their number alone.
//!
//! The same number gives the same invoice on every machine. So nothing has to be stored, and a test
//! knows in advance which mails will be refused. All addresses use domains reserved for examples
//! (RFC 2606), so that a mail sent through a real server reaches no person.

use chrono::{Days, NaiveDate};
use serde::Serialize;

/// An invoice with all data for its mail and its PDF.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Invoice {
    /// The position in the ledger; the samples start at 1.
    pub number: u32,
    /// The printed number, such as `CCT0042`.
    pub reference: String,
    /// The name of a company or a person, in any script.
    pub customer: String,
    /// The recipient of the mail. Unchecked, because a malformed address must fail only its own
    /// mail.
    pub email: String,
    /// The amount due in euro cents, including tax.
    pub amount_cents: u64,
    /// The day printed on the invoice.
    pub issued: NaiveDate,
}

impl Invoice {
    /// Returns the invoice with this number, unique for any number and meant for 1 to 100,000.
    ///
    /// One address in 25 begins with `gone`, which the mail catcher refuses permanently, and one in
    /// 40 with `later`, which it refuses temporarily.
    #[must_use]
    pub fn sample(number: u32) -> Invoice {
        let spread = scatter(number);
        let (customer, mailbox, domain) = CUSTOMERS[pick(spread, CUSTOMERS.len())];
        // 7 and 13 differ modulo 5, the common divisor of 25 and 40, so no number matches both.
        let mailbox = match (number % 25, number % 40) {
            (7, _) => "gone",
            (_, 13) => "later",
            _ => mailbox,
        };
        Invoice {
            number,
            reference: format!("CCT{number:04}"),
            customer: customer.to_owned(),
            email: format!("{mailbox}+{number:04}@{domain}"),
            amount_cents: 4_500 + (spread >> 16) % 1_250_000,
            issued: FIRST_DAY + Days::new((spread >> 40) % 300),
        }
    }

    /// Returns the name of the attached PDF.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{} - FACTURE.pdf", self.reference)
    }

    /// Returns the amount as text, such as `€1,234.50`.
    #[must_use]
    pub fn amount(&self) -> String {
        format!("€{}", euros(self.amount_cents))
    }
}

/// Formats cents as euros with separated thousands, such as `1,234.50`.
pub(crate) fn euros(cents: u64) -> String {
    format!("{}.{:02}", grouped(cents / 100, ','), cents % 100)
}

/// Formats a number with separated thousands, such as `1,234`.
pub(crate) fn grouped(number: u64, separator: char) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(separator);
        }
        grouped.push(digit);
    }
    grouped
}

/// Hashes a number, so that neighbouring numbers give different customers and amounts. Unlike those
/// of a random generator, the results do not depend on the version of a library.
pub(crate) fn scatter(number: u32) -> u64 {
    let mut bits = u64::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    bits ^ (bits >> 32)
}

/// Returns an index below `length`, which must not be zero.
pub(crate) fn pick(spread: u64, length: usize) -> usize {
    // The remainder is below `length` and therefore fits.
    usize::try_from(spread % length as u64).unwrap_or(0)
}

const FIRST_DAY: NaiveDate = match NaiveDate::from_ymd_opt(2026, 1, 5) {
    Some(day) => day,
    None => panic!("5 January 2026 exists"),
};

/// The name, mailbox and domain of each customer. The names use several scripts, to try them in
/// headers, bodies and PDFs.
const CUSTOMERS: [(&str, &str, &str); 40] = [
    ("Ashdown Bakery", "accounts", "ashdown-bakery.example"),
    ("Brightwater Plumbing Ltd", "accounts", "brightwater.example"),
    ("Café des Écluses", "comptabilite", "cafe-des-ecluses.example"),
    ("Delacroix & Fils", "factures", "delacroix-fils.example"),
    ("Eisenhütte Grünwald GmbH", "buchhaltung", "gruenwald.example"),
    ("Fjordkraft Sør AS", "faktura", "fjordkraft-sor.example"),
    ("Garagem São João", "financeiro", "garagem-sao-joao.example"),
    ("Harbour Lane Dental", "accounts", "harbour-lane.example"),
    ("Imprenta Muñoz", "facturas", "imprenta-munoz.example"),
    ("Jürgen Weiß", "juergen.weiss", "example.com"),
    ("Kovács és Társa Kft.", "szamla", "kovacs-tarsa.example"),
    ("Łódzka Drukarnia Świt", "faktury", "drukarnia-swit.example"),
    ("Maison Lefèvre", "compta", "maison-lefevre.example"),
    ("Naïma Benkacem", "naima.benkacem", "example.net"),
    ("O'Hara & Daughters", "accounts", "ohara-daughters.example"),
    ("Pêcherie Saint-Malo", "factures", "pecherie.example"),
    ("Quartier Vert SARL", "comptabilite", "quartier-vert.example"),
    ("Rīgas Grāmatnīca", "rekini", "rigas-gramatnica.example"),
    ("Škoda a synové, s.r.o.", "ucetni", "skoda-synove.example"),
    ("Tómasdóttir Hönnun ehf.", "bokhald", "tomasdottir.example"),
    ("Ümit Yıldız Mobilya", "muhasebe", "yildiz-mobilya.example"),
    ("Vega Instruments Ltd", "accounts-payable", "vega-instruments.example"),
    ("Wójcik Transport", "ksiegowosc", "wojcik.example"),
    ("Xanthi Olive Oil Co.", "accounts", "xanthi-oil.example"),
    ("Yorkshire Slate Works", "ledger", "yorkshire-slate.example"),
    ("Zoë van den Berg", "zoe.vandenberg", "example.com"),
    ("Ελαιώνες Κρήτης", "logistirio", "elaiones.example"),
    ("Γιαννάκης & Υιοί", "accounts", "giannakis.example"),
    ("ООО «Северный ветер»", "buh", "severny-veter.example"),
    ("Книжарница Бистрица", "smetki", "bistrica.example"),
    ("Юлія Шевченко", "yulia.shevchenko", "example.net"),
    ("Midori Shōten 緑商店", "keiri", "midori-shoten.example"),
    ("Hanok Coffee 한옥커피", "billing", "hanok-coffee.example"),
    ("Lotus Garden 蓮花園", "accounts", "lotus-garden.example"),
    ("Atlas Orchards أطلس", "accounts", "atlas-orchards.example"),
    ("Mary Okonkwo-Reilly", "mary.okonkwo", "example.com"),
    ("Priya Raghunathan", "priya.raghunathan", "example.net"),
    ("Søren Kjær Nielsen", "soren.nielsen", "example.com"),
    ("Thắng Lợi Textiles", "ketoan", "thangloi.example"),
    ("Îles du Ponant (Cabinet)", "secretariat", "iles-du-ponant.example"),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_number_always_gives_the_same_invoice() {
        let invoice = Invoice::sample(42);
        assert_eq!(invoice, Invoice::sample(42));
        assert_eq!(invoice.reference, "CCT0042");
        assert_eq!(invoice.file_name(), "CCT0042 - FACTURE.pdf");
        assert!(invoice.email.contains("+0042@"), "{}", invoice.email);
    }

    #[test]
    fn addresses_are_unique_reserved_and_plain() {
        let mut seen = HashSet::new();
        for number in 1..=100_000 {
            let email = Invoice::sample(number).email;
            assert!(email.is_ascii(), "{email}");
            let domain = email.rsplit('@').next().unwrap().to_owned();
            assert!(
                ["example.com", "example.net"].contains(&&*domain) || domain.ends_with(".example"),
                "{email}"
            );
            assert!(seen.insert(email));
        }
    }

    #[test]
    fn a_known_share_of_addresses_is_refused() {
        let starting = |word: &str| {
            (1..=10_000).filter(|n| Invoice::sample(*n).email.starts_with(word)).count()
        };
        assert_eq!((starting("gone"), starting("later")), (400, 250));
    }

    #[test]
    fn every_customer_gets_an_invoice() {
        let customers: HashSet<_> =
            (1..=1_000).map(|number| Invoice::sample(number).customer).collect();
        assert_eq!(customers.len(), CUSTOMERS.len());
    }

    #[test]
    fn amounts_are_grouped_by_thousands() {
        for (cents, text) in
            [(5, "0.05"), (99_999, "999.99"), (100_000, "1,000.00"), (123_456_789, "1,234,567.89")]
        {
            assert_eq!(euros(cents), text);
        }
        assert_eq!(Invoice { amount_cents: 123_450, ..Invoice::sample(1) }.amount(), "€1,234.50");
    }
}
