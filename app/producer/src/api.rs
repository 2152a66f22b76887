//! The paths of the service.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use kit::ApiError;
use serde::{Deserialize, Serialize};
use utoipa::{OpenApi, ToSchema};

use crate::publisher::Publisher;

#[derive(OpenApi)]
#[openapi(paths(publish))]
struct Description;

pub(crate) fn description() -> utoipa::openapi::OpenApi {
    let mut description = Description::openapi();
    description.merge(messaging::HealthDescription::openapi());
    description
}

pub(crate) fn routes(publisher: Publisher) -> Router {
    Router::new().route("/messages", post(publish)).with_state(publisher)
}

#[derive(Deserialize, ToSchema)]
struct NewMessage {
    #[schema(example = "hello")]
    text: String,
}

/// By this id the consumer tells that it has handled the message.
#[derive(Serialize, ToSchema)]
struct Published {
    #[schema(example = "67e55044-10b1-426f-9247-bb680e5fe0c8")]
    id: String,
}

/// What every refusal looks like.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the kit writes it; this is for the description")]
struct Refusal {
    error: String,
}

/// Publishes a message.
#[utoipa::path(post, path = "/messages", request_body = NewMessage, responses(
    (status = 202, body = Published), (status = 400, body = Refusal),
    (status = 503, body = Refusal, description = "the topic did not take it")))]
async fn publish(
    State(publisher): State<Publisher>,
    kit::Json(new): kit::Json<NewMessage>,
) -> Result<(StatusCode, Json<Published>), ApiError> {
    // The only characters that JSON leaves as they are and a queue refuses.
    if new.text.contains(['\u{fffe}', '\u{ffff}']) {
        return Err(ApiError::bad_request("`text` has characters that a queue cannot carry: U+FFFE or U+FFFF"));
    }
    let id = publisher.publish(&new.text).await.map_err(ApiError::unavailable)?;
    Ok((StatusCode::ACCEPTED, Json(Published { id })))
}
