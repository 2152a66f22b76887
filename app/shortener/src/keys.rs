//! The key-value API: paths and answers are those that its clients have always known.

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use kit::store::{Store, Table};
use kit::{ApiError, Path};
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};

use crate::Refusal;

#[derive(OpenApi)]
#[openapi(paths(welcome, read, write, remove))]
pub(crate) struct Description;

pub(crate) fn routes(store: &Store) -> Router {
    Router::new()
        .route("/pw", get(welcome))
        .route("/pw/", get(welcome))
        .route("/pw/{key}", get(read).delete(remove))
        .route("/pw/{key}/{value}", post(write))
        .with_state(store.table("keys"))
}

/// A key and its value as they are now.
#[derive(Serialize, ToSchema)]
struct Entry {
    key: String,
    value: String,
}

/// Says that the server is there.
#[utoipa::path(get, path = "/pw", tag = "keys", responses((status = 200, body = String)))]
async fn welcome() -> Json<&'static str> {
    Json("Your redis crud server is running!")
}

/// The value of a key.
#[utoipa::path(get, path = "/pw/{key}", tag = "keys", params(("key" = String, Path)), responses(
    (status = 200, body = String), (status = 404, body = Refusal)))]
async fn read(State(keys): State<Table>, Path(key): Path<String>) -> Result<Json<String>, ApiError> {
    let value = keys.get(&key).await?;
    value.map(Json).ok_or_else(|| ApiError::not_found("Key not found"))
}

/// Gives a key a value.
#[utoipa::path(post, path = "/pw/{key}/{value}", tag = "keys",
    params(("key" = String, Path), ("value" = String, Path)), responses((status = 200, body = Entry)))]
async fn write(State(keys): State<Table>, Path((key, value)): Path<(String, String)>) -> Result<Json<Entry>, ApiError> {
    keys.put(&key, &value).await?;
    Ok(Json(Entry { key, value }))
}

/// Removes a key, and says how many keys that were: 1 or 0.
#[utoipa::path(delete, path = "/pw/{key}", tag = "keys", params(("key" = String, Path)),
    responses((status = 200, body = u8)))]
async fn remove(State(keys): State<Table>, Path(key): Path<String>) -> Result<Json<u8>, ApiError> {
    Ok(Json(keys.delete(&key).await?.into()))
}
