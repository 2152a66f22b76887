//! The paths that every service answers for those who run it: `/livez`, `/readyz`, `/metrics`, `/docs`.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;
use utoipa::OpenApi as _;
use utoipa_swagger_ui::SwaggerUi;

use crate::context::Context;

/// Where the machine-readable description is.
const OPENAPI: &str = "/openapi.json";

#[derive(utoipa::OpenApi)]
#[openapi(paths(livez, readyz, metrics))]
struct Description;

/// Probes and metrics: what the admin socket serves, and every other listener as well.
pub(crate) fn probes(context: &Context) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(context.clone())
}

/// The documentation page, with its assets out of the binary, and the description it is drawn from.
pub(crate) fn docs(name: &str, version: &str, mut own: utoipa::openapi::OpenApi) -> Router {
    name.clone_into(&mut own.info.title);
    version.clone_into(&mut own.info.version);
    own.merge(Description::openapi());
    SwaggerUi::new("/docs").url(OPENAPI, own).into()
}

/// Whether requests to this path come from machines that watch the service, too often to be logged each time.
pub(crate) fn is_probe(path: &str) -> bool {
    matches!(path, "/livez" | "/readyz" | "/metrics" | "/health")
}

/// Is the process in order? If not, restart it.
#[utoipa::path(get, path = "/livez", tag = "operations", responses(
    (status = 200, description = "alive"), (status = 500, description = "a part of the process has died or is stuck")))]
async fn livez(State(context): State<Context>) -> Response {
    match context.health.not_alive_because() {
        None => Json(json!({"status": "alive"})).into_response(),
        Some(reason) => {
            let body = json!({"status": "unhealthy", "reason": reason});
            (StatusCode::INTERNAL_SERVER_ERROR, Json(body)).into_response()
        }
    }
}

/// Should it get requests now?
#[utoipa::path(get, path = "/readyz", tag = "operations", responses(
    (status = 200, description = "ready"), (status = 503, description = "not ready, with the reason")))]
async fn readyz(State(context): State<Context>) -> Response {
    match context.health.not_ready_because() {
        None => Json(json!({"status": "ready"})).into_response(),
        Some(reason) => {
            let body = json!({"status": "not ready", "reason": reason});
            (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
        }
    }
}

/// Metrics for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "operations", responses(
    (status = 200, description = "the OpenMetrics text format", content_type = "application/openmetrics-text")))]
async fn metrics(State(context): State<Context>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], context.metrics.text()).into_response()
}
