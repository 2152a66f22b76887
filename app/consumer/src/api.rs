//! The paths of the service.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use kit::{ApiError, Path};
use utoipa::{OpenApi, ToSchema};

use crate::handled::{Handled, HandledMessages};

#[derive(OpenApi)]
#[openapi(paths(list, find))]
struct Description;

pub(crate) fn description() -> utoipa::openapi::OpenApi {
    let mut description = Description::openapi();
    description.merge(messaging::HealthDescription::openapi());
    description
}

pub(crate) fn routes(handled: HandledMessages) -> Router {
    Router::new().route("/messages", get(list)).route("/messages/{id}", get(find)).with_state(handled)
}

/// What every refusal looks like.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the kit writes it; this is for the description")]
struct Refusal {
    error: String,
}

/// The last 100 messages that this process has handled, the latest first.
#[utoipa::path(get, path = "/messages", responses((status = 200, body = Vec<Handled>)))]
async fn list(State(handled): State<HandledMessages>) -> Json<Vec<Handled>> {
    Json(handled.all())
}

/// One of the last 100 messages.
#[utoipa::path(get, path = "/messages/{id}", params(("id" = String, Path)), responses(
    (status = 200, body = Handled), (status = 404, body = Refusal)))]
async fn find(State(handled): State<HandledMessages>, Path(id): Path<String>) -> Result<Json<Handled>, ApiError> {
    let message = handled.find(&id);
    message.map(Json).ok_or_else(|| ApiError::not_found(format!("no message `{id}` was handled lately")))
}
