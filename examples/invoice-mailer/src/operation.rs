//! What an operator asks for: whether the program works, and its metrics. An application that is
//! open to others keeps these routes for the operator.

use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use progress_axum::Jobs;

/// The upper limits of the ranges into which times are counted, in seconds.
const BUCKETS: [f64; 7] = [0.01, 0.1, 1.0, 10.0, 60.0, 600.0, 3_600.0];
/// How often old values are removed from the metrics.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Collects metrics. Call it before `Jobs::new`, whose metrics would be lost otherwise.
///
/// # Errors
///
/// If the process already collects metrics.
pub fn collect_metrics() -> Result<PrometheusHandle, BuildError> {
    let seconds = Matcher::Suffix("_seconds".to_owned());
    let recorder = PrometheusBuilder::new().set_buckets_for_metric(seconds, &BUCKETS)?;
    let metrics = recorder.install_recorder()?;
    let kept = metrics.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP_INTERVAL).await;
            kept.run_upkeep();
        }
    });
    Ok(metrics)
}

/// Returns `GET /health` (200, or 503 while the records cannot be read) and `GET /metrics`, which
/// Prometheus reads.
pub fn router(jobs: Jobs, metrics: PrometheusHandle) -> Router {
    let health = async move || match jobs.ping().await {
        Ok(()) => StatusCode::OK,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    Router::new()
        .route("/health", get(health))
        .route("/metrics", get(async move || metrics.render()))
}
