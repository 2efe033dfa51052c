//! The library's own migrations. sqlx's would share `_sqlx_migrations` with the application's, and do not lock as they
//! should on any of the three databases.

use crate::dialect::Dialect;

/// Runs the scripts that are missing and returns how many. The caller sees to it that nobody else does so meanwhile.
pub(crate) async fn run<D: Dialect>(connection: &mut D::Connection) -> Result<usize, sqlx::Error> {
    let statements = D::STATEMENTS;
    let found = if D::fetch(connection, statements.has_schema, Vec::new()).await?.is_empty() {
        0
    } else {
        let versions = D::fetch(connection, statements.schema_version, Vec::new()).await?;
        let version = versions.first().map(|row| D::integer(row, "version")).transpose()?;
        version.flatten().unwrap_or(0)
    };
    let missing = missing(found, statements.migrations)?;
    for script in missing {
        D::script(connection, script).await?;
    }
    Ok(missing.len())
}

fn missing<'a>(found: i64, scripts: &'a [&'static str]) -> Result<&'a [&'static str], sqlx::Error> {
    let known = scripts.len();
    usize::try_from(found).ok().and_then(|found| scripts.get(found..)).ok_or_else(|| {
        sqlx::Error::Protocol(format!(
            "the progress tables have version {found}, this program knows up to {known}; upgrade the program"
        ))
    })
}

pub(crate) fn report(steps: usize) {
    if steps > 0 {
        tracing::info!(steps, "progress tables migrated");
    }
}
