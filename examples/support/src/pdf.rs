//! Draws an invoice as one A4 page of PDF.
//!
//! It uses only fonts that every PDF reader has, so that nothing is embedded and a page takes about
//! three kilobytes. These fonts have western letters only; `winansi` replaces others. The same
//! invoice always gives the same bytes, so that tests can compare an attachment with it.

use pdf_writer::{Content, Finish, Name, Pdf, Rect, Ref, Str, TextStr};

use crate::invoice::{Invoice, euros, pick, scatter};

mod winansi;

/// Returns the PDF file of an invoice.
///
/// Letters that the font lacks are written in Latin letters if that is customary, else as `?`.
#[must_use]
pub fn render(invoice: &Invoice) -> Vec<u8> {
    let [catalog, pages, page_id, content_id, information, regular, bold] =
        [1, 2, 3, 4, 5, 6, 7].map(Ref::new);
    let mut pdf = Pdf::new();
    pdf.catalog(catalog).pages(pages);
    pdf.pages(pages).kids([page_id]).count(1);
    let mut page = pdf.page(page_id);
    page.parent(pages).contents(content_id).media_box(Rect::new(0.0, 0.0, WIDTH, HEIGHT));
    page.resources().fonts().pair(REGULAR, regular).pair(BOLD, bold);
    page.finish();
    for (id, base) in [(regular, "Helvetica"), (bold, "Helvetica-Bold")] {
        pdf.type1_font(id)
            .base_font(Name(base.as_bytes()))
            .encoding_predefined(Name(b"WinAnsiEncoding"));
    }
    pdf.document_info(information)
        .title(TextStr(&format!("Invoice {}", invoice.reference)))
        .author(TextStr(SENDER[0]));
    let mut sheet = Sheet { content: Content::new() };
    draw_head(&mut sheet, invoice);
    draw_table(&mut sheet, invoice);
    draw_foot(&mut sheet, invoice);
    pdf.stream(content_id, &sheet.content.finish());
    pdf.finish()
}

fn draw_head(sheet: &mut Sheet, invoice: &Invoice) {
    sheet.fill(NAVY, 0.0, 722.0, WIDTH, HEIGHT - 722.0);
    sheet.text(BOLD, 20.0, WHITE, LEFT, 784.0, SENDER[0]);
    for (line, y) in SENDER[1..].iter().zip([764.0, 751.0, 738.0]) {
        sheet.text(REGULAR, 9.0, PALE, LEFT, y, line);
    }
    sheet.text(BOLD, 26.0, WHITE, 432.0, 781.0, "INVOICE");
    sheet.text(REGULAR, 9.0, PALE, 433.0, 764.0, "Facture");

    sheet.text(BOLD, 8.0, GREY, LEFT, 684.0, "BILLED TO");
    sheet.text(BOLD, 13.0, INK, LEFT, 665.0, &clipped(&invoice.customer, 34));
    sheet.text(REGULAR, 10.0, INK, LEFT, 649.0, &clipped(&invoice.email, 56));
    let issued = invoice.issued.format("%-d %B %Y").to_string();
    let facts = [
        ("REFERENCE", invoice.reference.as_str()),
        ("DATE", &issued),
        ("PAYMENT", "within 30 days"),
    ];
    for ((label, value), y) in facts.into_iter().zip([684.0, 665.0, 646.0]) {
        sheet.text(BOLD, 8.0, GREY, 364.0, y, label);
        sheet.text(REGULAR, 10.0, INK, 440.0, y, value);
    }
}

/// Cuts text so that it stays inside its column, assuming an average width of its letters.
fn clipped(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn draw_table(sheet: &mut Sheet, invoice: &Invoice) {
    let mut y = 590.0;
    sheet.fill(MIST, LEFT, y - 8.0, RIGHT - LEFT, 24.0);
    sheet.text(BOLD, 9.0, INK, LEFT + 8.0, y, "Description");
    sheet.text(BOLD, 9.0, INK, QUANTITY - 15.0, y, "Qty");
    sheet.text(BOLD, 9.0, INK, UNIT - 42.0, y, "Unit price");
    sheet.text(BOLD, 9.0, INK, RIGHT - 42.0, y, "Amount");
    let lines = lines(invoice);
    for line in &lines {
        y -= 26.0;
        sheet.text(REGULAR, 10.0, INK, LEFT + 8.0, y, line.description);
        sheet.figure(REGULAR, 10.0, QUANTITY, y, &line.quantity.to_string());
        sheet.figure(REGULAR, 10.0, UNIT, y, &euros(line.unit_cents));
        sheet.figure(REGULAR, 10.0, RIGHT - 8.0, y, &euros(line.cents()));
        sheet.fill(MIST, LEFT, y - 10.0, RIGHT - LEFT, 0.8);
    }
    let net: u64 = lines.iter().map(Line::cents).sum();
    y -= 40.0;
    for (label, cents) in [("Net", net), ("VAT 20%", invoice.amount_cents - net)] {
        sheet.text(REGULAR, 10.0, GREY, TOTALS, y, label);
        sheet.figure(REGULAR, 10.0, RIGHT - 8.0, y, &euros(cents));
        y -= 18.0;
    }
    y -= 12.0;
    sheet.fill(NAVY, TOTALS - 12.0, y - 11.0, RIGHT - TOTALS + 12.0, 32.0);
    sheet.text(BOLD, 11.0, WHITE, TOTALS, y, "Total due");
    sheet.colour(WHITE);
    sheet.figure_in_current_colour(BOLD, 13.0, RIGHT - 8.0, y, &invoice.amount());
}

fn draw_foot(sheet: &mut Sheet, invoice: &Invoice) {
    sheet.fill(MIST, LEFT, 92.0, RIGHT - LEFT, 0.8);
    let thanks = format!("Thank you. Please quote {} with your payment.", invoice.reference);
    sheet.text(REGULAR, 9.0, INK, LEFT, 74.0, &thanks);
    sheet.text(
        REGULAR,
        8.0,
        GREY,
        LEFT,
        60.0,
        "A sample document: nothing was delivered and nothing is owed.",
    );
}

/// A row of the table.
struct Line {
    description: &'static str,
    quantity: u64,
    unit_cents: u64,
}

impl Line {
    fn cents(&self) -> u64 {
        self.quantity * self.unit_cents
    }
}

/// Returns rows that add up to the net amount; the last row contains the difference from rounding.
fn lines(invoice: &Invoice) -> Vec<Line> {
    // A tax of a fifth of the net amount is a sixth of the total.
    let mut left = invoice.amount_cents - invoice.amount_cents / 6;
    let spread = scatter(invoice.number);
    let first = pick(spread >> 8, SERVICES.len());
    let mut rows = Vec::new();
    for (step, quantity) in [(0, 1 + (spread >> 12) % 9), (1, 1 + (spread >> 20) % 4)] {
        let unit_cents = left / 5 * 2 / quantity;
        if unit_cents > 0 {
            left -= unit_cents * quantity;
            rows.push(Line {
                description: SERVICES[(first + step) % SERVICES.len()],
                quantity,
                unit_cents,
            });
        }
    }
    rows.push(Line {
        description: SERVICES[(first + 2) % SERVICES.len()],
        quantity: 1,
        unit_cents: left,
    });
    rows
}

/// The page being drawn. Coordinates are points from the lower left corner.
struct Sheet {
    content: Content,
}

impl Sheet {
    fn fill(&mut self, colour: Colour, x: f32, y: f32, width: f32, height: f32) {
        self.colour(colour);
        self.content.rect(x, y, width, height).fill_nonzero();
    }

    fn colour(&mut self, [red, green, blue]: Colour) {
        self.content.set_fill_rgb(red, green, blue);
    }

    fn text(&mut self, font: Name<'_>, size: f32, colour: Colour, x: f32, y: f32, text: &str) {
        self.colour(colour);
        self.show(font, size, x, y, text);
    }

    /// Draws digits and their separators so that they end at `right`.
    fn figure(&mut self, font: Name<'_>, size: f32, right: f32, y: f32, text: &str) {
        self.colour(INK);
        self.figure_in_current_colour(font, size, right, y, text);
    }

    fn figure_in_current_colour(
        &mut self,
        font: Name<'_>,
        size: f32,
        right: f32,
        y: f32,
        text: &str,
    ) {
        // In both fonts digits and the euro sign are 0.556 em wide, comma and point half of that.
        let width: f32 = text.chars().map(|c| if ",.".contains(c) { 0.278 } else { 0.556 }).sum();
        self.show(font, size, right - width * size, y, text);
    }

    fn show(&mut self, font: Name<'_>, size: f32, x: f32, y: f32, text: &str) {
        let bytes = winansi::encode(text);
        self.content.begin_text().set_font(font, size).next_line(x, y).show(Str(&bytes)).end_text();
    }
}

type Colour = [f32; 3];

const NAVY: Colour = [0.11, 0.20, 0.35];
const INK: Colour = [0.13, 0.15, 0.19];
const GREY: Colour = [0.45, 0.49, 0.55];
const PALE: Colour = [0.76, 0.82, 0.91];
const MIST: Colour = [0.92, 0.94, 0.97];
const WHITE: Colour = [1.0, 1.0, 1.0];

const REGULAR: Name<'_> = Name(b"R");
const BOLD: Name<'_> = Name(b"B");

/// A4 in points.
const WIDTH: f32 = 595.0;
const HEIGHT: f32 = 842.0;
const LEFT: f32 = 56.0;
const RIGHT: f32 = WIDTH - LEFT;
/// The right edges of two columns and the left edge of the sums.
const QUANTITY: f32 = 350.0;
const UNIT: f32 = 440.0;
const TOTALS: f32 = 360.0;
const SENDER: [&str; 4] = [
    "Invoices Example Ltd",
    "1 Sample Street, Exampleton EX1 1EX",
    "billing@invoices.example",
    "VAT no. EX 000 000 000",
];

const SERVICES: [&str; 8] = [
    "Monthly service plan",
    "Consulting, by the hour",
    "On-site installation",
    "Training for your team",
    "Spare parts and materials",
    "Support, priority line",
    "Yearly inspection",
    "Delivery and handling",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> String {
        bytes.iter().copied().map(char::from).collect()
    }

    #[test]
    fn lines_and_tax_add_up_to_the_amount() {
        for number in 1..=2_000 {
            let invoice = Invoice::sample(number);
            let net: u64 = lines(&invoice).iter().map(Line::cents).sum();
            assert_eq!(net + invoice.amount_cents / 6, invoice.amount_cents);
        }
    }

    #[test]
    fn extreme_amounts_still_make_a_page() {
        for amount_cents in [0, 1, 7, u64::MAX] {
            let invoice = Invoice { amount_cents, ..Invoice::sample(1) };
            let net: u64 = lines(&invoice).iter().map(Line::cents).sum();
            assert_eq!(net, amount_cents - amount_cents / 6);
            assert!(render(&invoice).starts_with(b"%PDF-1.7"));
        }
    }

    #[test]
    fn the_table_of_objects_points_at_the_objects() {
        let bytes = render(&Invoice::sample(27));
        let file = text(&bytes);
        assert!(file.starts_with("%PDF-1.7\n") && file.trim_end().ends_with("%%EOF"));
        let mut end = file.rsplit("startxref").next().unwrap().split_whitespace();
        let table: usize = end.next().unwrap().parse().unwrap();
        let mut entries = file[char_offset(&file, table)..].lines();
        assert_eq!(entries.next(), Some("xref"));
        let (_, count) = entries.next().unwrap().split_once(' ').unwrap();
        assert_eq!(count, "8");
        assert!(entries.next().unwrap().ends_with("65535 f"));
        for (number, entry) in (1..8).zip(entries) {
            let offset: usize = entry[..10].parse().unwrap();
            assert!(
                file[char_offset(&file, offset)..].starts_with(&format!("{number} 0 obj")),
                "{entry}"
            );
        }
        assert!(
            file.contains("/Root 1 0 R")
                && file.contains("/Info 5 0 R")
                && file.contains("/Size 8")
        );
        let (_, body) = file.split_once("\nstream\n").unwrap();
        let length = file.split("/Length ").nth(1).unwrap().split_whitespace().next().unwrap();
        let stream = body.split("\nendstream").next().unwrap();
        assert_eq!(stream.chars().count(), length.parse::<usize>().unwrap());
    }

    /// Returns the offset in `file` of a byte of the PDF. Each byte became one character, of one or
    /// two bytes.
    fn char_offset(file: &str, byte: usize) -> usize {
        file.char_indices().nth(byte).unwrap().0
    }

    #[test]
    fn the_page_names_the_customer_and_the_total() {
        let invoice = Invoice { customer: "Łódzka (Świt) \\".to_owned(), ..Invoice::sample(27) };
        let file = text(&render(&invoice));
        assert!(file.contains("(CCT0027)"));
        assert!(file.contains(r"(L\363dzka") || file.contains("<4CF3647A6B61"), "{file}");
        assert!(!file.contains("Å"), "UTF-8 must not reach the page");
    }

    #[test]
    fn the_same_invoice_gives_the_same_bytes() {
        assert_eq!(render(&Invoice::sample(3)), render(&Invoice::sample(3)));
        assert_ne!(render(&Invoice::sample(3)), render(&Invoice::sample(4)));
    }
}
