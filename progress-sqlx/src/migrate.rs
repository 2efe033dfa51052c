//! The store's own migrations. sqlx's migrator would share `_sqlx_migrations` with the application,
//! and does not lock correctly on any of the three databases.
//!
//! Each script records two numbers: the new version of the tables, and the oldest program version
//! that they still serve. A released migration adds columns with defaults, so tables of version N
//! serve programs of version N - 1, and a deployment can be rolled back by one version.

use progress_core::ProgressError;

use crate::dialect::Dialect;
use crate::row;
use crate::store::Session;

/// Runs the missing scripts. The caller makes sure that no other session does so at the same time.
pub(crate) async fn run<D: Dialect>(session: &mut Session<'_, D>) -> Result<(), ProgressError> {
    let statements = D::STATEMENTS;
    let (mut version, mut serves) = (0, 0);
    if !session.fetch(statements.has_schema, Vec::new()).await?.is_empty() {
        let found = session.fetch(statements.schema_version, Vec::new()).await?;
        if let Some(found) = found.first() {
            [version, serves] = row::integers::<2, D>(found)?.map(Option::unwrap_or_default);
        }
    }
    let missing = missing(version, serves, statements.migrations)?;
    for script in missing {
        session.script(script).await?;
    }
    if !missing.is_empty() {
        tracing::info!(steps = missing.len(), "progress tables migrated");
    }
    Ok(())
}

fn missing<'a>(
    version: i64,
    serves: i64,
    scripts: &'a [&'static str],
) -> Result<&'a [&'static str], ProgressError> {
    let known = scripts.len();
    if i64::try_from(known).is_ok_and(|known| serves > known) {
        return Err(ProgressError::setup(format!(
            "the progress tables have version {version} and need a program of version {serves} or \
             later, but this program has version {known}: upgrade the program"
        )));
    }
    let done = usize::try_from(version).unwrap_or(0).min(known);
    Ok(&scripts[done..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_serve_the_programs_that_they_name() {
        let scripts = ["one", "two"];
        assert_eq!(missing(0, 0, &scripts).unwrap(), scripts);
        assert_eq!(missing(1, 1, &scripts).unwrap(), ["two"]);
        assert!(missing(2, 1, &scripts).unwrap().is_empty());
        assert!(missing(3, 2, &scripts).unwrap().is_empty(), "newer, but serves this program");
        let error = missing(4, 3, &scripts).unwrap_err();
        assert!(error.to_string().contains("upgrade the program"), "{error}");
    }
}
