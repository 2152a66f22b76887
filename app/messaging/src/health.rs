//! `GET /health`, which the clients of both services have always known.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use kit::{ApiError, Health};
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};

/// Describes [`health`].
#[derive(OpenApi)]
#[openapi(paths(up))]
pub struct HealthDescription;

/// The route; it says the same as `/livez`, in other words.
pub fn health(health: &Health) -> Router {
    Router::new().route("/health", get(up)).with_state(health.clone())
}

#[derive(Serialize, ToSchema)]
struct Up {
    #[schema(example = "UP!")]
    status: &'static str,
}

/// Is the process in order?
#[utoipa::path(get, path = "/health", tag = "operations", responses(
    (status = 200, body = Up), (status = 500, description = "a part of the process has died or is stuck")))]
async fn up(State(health): State<Health>) -> Result<Json<Up>, ApiError> {
    match health.not_alive_because() {
        None => Ok(Json(Up { status: "UP!" })),
        Some(reason) => Err(ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, reason)),
    }
}
