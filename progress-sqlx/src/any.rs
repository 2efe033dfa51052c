use std::sync::Arc;

use progress_core::{ProgressError, ProgressStore};

/// Opens the database at an address and migrates it. The scheme of the address selects the store,
/// so an application's configuration can choose the database.
///
/// ```
/// # #[cfg(feature = "_sqlite")]
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let store = progress_sqlx::connect_any("sqlite::memory:").await?;
/// assert!(progress_sqlx::connect_any("oracle://host/db").await.is_err());
/// # Ok::<(), progress_core::ProgressError>(())
/// # }).unwrap();
/// ```
///
/// | scheme | store | feature |
/// |---|---|---|
/// | `sqlite:` | `SqliteStore` | `sqlite` or `sqlite-unbundled` |
/// | `postgres:`, `postgresql:` | `PostgresStore` | `postgres` |
/// | `mysql:`, `mariadb:` | `MySqlStore` | `mysql` |
///
/// # Errors
///
/// [`Setup`](ProgressError::Setup) when the scheme is none of these, or its feature is not enabled.
/// The text names the feature, and never repeats the address. Other errors are those of the store's
/// `connect`.
pub async fn connect_any(url: &str) -> Result<Arc<dyn ProgressStore>, ProgressError> {
    // Boxed, so that the future is not much deeper than the application's own: the compiler limits
    // the depth.
    match url.split_once(':').map(|(scheme, _)| scheme) {
        #[cfg(feature = "_sqlite")]
        Some("sqlite") => Ok(Arc::new(Box::pin(crate::SqliteStore::connect(url)).await?)),
        #[cfg(not(feature = "_sqlite"))]
        Some("sqlite") => missing("sqlite"),
        #[cfg(feature = "postgres")]
        Some("postgres" | "postgresql") => {
            Ok(Arc::new(Box::pin(crate::PostgresStore::connect(url)).await?))
        }
        #[cfg(not(feature = "postgres"))]
        Some("postgres" | "postgresql") => missing("postgres"),
        #[cfg(feature = "mysql")]
        Some("mysql" | "mariadb") => Ok(Arc::new(Box::pin(crate::MySqlStore::connect(url)).await?)),
        #[cfg(not(feature = "mysql"))]
        Some("mysql" | "mariadb") => missing("mysql"),
        _ => Err(ProgressError::setup(
            "a database address begins with sqlite:, postgres:, postgresql:, mysql: or mariadb:",
        )),
    }
}

#[cfg(not(all(feature = "_sqlite", feature = "postgres", feature = "mysql")))]
fn missing<T>(feature: &str) -> Result<T, ProgressError> {
    Err(ProgressError::setup(format!(
        "this program was built without support for that database: enable the feature {feature} \
         of progress-sqlx"
    )))
}
