//! Errors of an API, and bodies that are parsed or refused with the reason.
//!
//! Whatever a handler, an extractor or the router refuses leaves as JSON: a handler returns an [`ApiError`], and
//! [`render`] gives every other error without a JSON body the same form.

use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// A status and a sentence for whoever called. The kit renders it in the service's own error field.
#[derive(Debug, Clone)]
pub struct ApiError {
    status: StatusCode,
    message: String,
}

impl ApiError {
    /// An error with this status and message.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// 400: the request itself is wrong.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// 404: there is no such thing.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// 503: what the service depends on is out of reach; the same request may succeed later.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, message)
    }
}

/// The message of an [`ApiError`] on its way to [`render`].
#[derive(Clone)]
struct Message(String);

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(Message(self.message));
        response
    }
}

/// A JSON object as the body. What is wrong with it is said in the error: 400 for its content, 413 for its size, 415
/// for its type.
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        // Read as an object first: a struct could be read from an array as well, which no client means.
        let object = match axum::Json::<Map<String, Value>>::from_request(request, state).await {
            Ok(axum::Json(object)) => object,
            // One status for all bad content: callers need not care at which stage it was found.
            Err(JsonRejection::JsonDataError(_)) => {
                return Err(ApiError::bad_request("the body is not a JSON object"));
            }
            Err(error) => return Err(ApiError::new(error.status(), error.body_text())),
        };
        serde_path_to_error::deserialize(Value::Object(object))
            .map(Self)
            .map_err(|error| ApiError::bad_request(describe(&error)))
    }
}

fn describe(error: &serde_path_to_error::Error<serde_json::Error>) -> String {
    match error.path().to_string().as_str() {
        "." => error.inner().to_string(),
        path => format!("`{path}`: {}", error.inner()),
    }
}

/// The parameters of a path. What is wrong with them, such as bytes that are not UTF-8, is said in the error: 400.
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match axum::extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(parameters)) => Ok(Self(parameters)),
            Err(error) => Err(ApiError::new(error.status(), error.body_text())),
        }
    }
}

/// Gives an error response without a JSON body one, in the field `field`.
pub(crate) fn render(response: Response, method: &Method, path: &str, field: &str) -> Response {
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) || is_json(&response) {
        return response;
    }
    let allowed = response.headers().get(ALLOW).and_then(|value| value.to_str().ok());
    let message = match response.extensions().get::<Message>() {
        Some(Message(message)) => message.clone(),
        None => default_message(status, method, path, allowed),
    };
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let body = serde_json::json!({ field: message }).to_string();
    Response::from_parts(parts, body.into())
}

fn is_json(response: &Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"))
}

fn default_message(status: StatusCode, method: &Method, path: &str, allowed: Option<&str>) -> String {
    match (status, allowed) {
        (StatusCode::NOT_FOUND, _) => format!("there is nothing at `{path}`"),
        (StatusCode::METHOD_NOT_ALLOWED, Some(allowed)) => {
            format!("`{method}` is not allowed on `{path}`; allowed: {allowed}")
        }
        (StatusCode::METHOD_NOT_ALLOWED, None) => format!("`{method}` is not allowed on `{path}`"),
        (StatusCode::INTERNAL_SERVER_ERROR, _) => "the service failed on this request; its log says why".to_owned(),
        _ => status.canonical_reason().unwrap_or("the request failed").to_lowercase(),
    }
}
