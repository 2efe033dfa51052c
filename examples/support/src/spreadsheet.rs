//! CSV files that people open in a spreadsheet.

/// Keeps a spreadsheet from running a field as a formula (OWASP, "CSV Injection"): puts an
/// apostrophe before it, which makes it a text.
#[must_use]
pub fn defuse(field: String) -> String {
    let is_formula = field.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
    if is_formula { format!("'{field}") } else { field }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_field_that_would_be_a_formula_is_changed() {
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"] {
            assert_eq!(defuse(formula.to_owned()), format!("'{formula}"));
        }
        for text in ["", "550 no such mailbox", "a=b", "'=1", " =1", "12.50"] {
            assert_eq!(defuse(text.to_owned()), text);
        }
    }
}
