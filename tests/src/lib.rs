//! Tests across crates: the contract of both frameworks (`tests/contract`), the widget in a browser
//! (`tests/journeys`), and the programs of the guide, which are documentation tests.

mod guide;

#[cfg(test)]
mod tests {
    /// A program that is only printed in a README would break unnoticed.
    #[test]
    fn the_programs_of_the_readmes_are_compiled() {
        let axum = include_str!("../../examples/quickstart-axum/src/main.rs");
        let actix = include_str!("../../examples/quickstart-actix/src/main.rs");
        for (readme, program) in [
            (include_str!("../../README.md"), axum),
            (include_str!("../../progress-axum/README.md"), axum),
            (include_str!("../../progress-actix/README.md"), actix),
        ] {
            assert!(
                readme.contains(&format!("```rust\n{program}```\n")),
                "copy src/main.rs into the README"
            );
            assert!(program.lines().count() < 60, "the program must fit on a page");
        }
    }
}
