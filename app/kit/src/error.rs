//! Errors of an API, and bodies that are parsed or refused with the reason.
//!
//! Whatever a handler, an extractor or the router refuses leaves as JSON: a handler returns an [`ApiError`], and
//! [`render`] gives every other error without a JSON body the same form.

use std::error::Error as _;

use axum::extract::path::ErrorKind;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// The largest body a service reads, in bytes.
pub(crate) const BODY_LIMIT: usize = 64 * 1024;

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
            Err(error) => return Err(refusal(&error)),
        };
        serde_path_to_error::deserialize(Value::Object(object))
            .map(Self)
            .map_err(|error| ApiError::bad_request(describe(&error)))
    }
}

fn refusal(error: &JsonRejection) -> ApiError {
    match error {
        // One status for all bad content: callers need not care at which stage it was found.
        JsonRejection::JsonDataError(_) => ApiError::bad_request("the body is not a JSON object"),
        JsonRejection::JsonSyntaxError(error) => {
            // Where it stopped is said by line and column; the path of fields to there says it once more.
            let mut causes = std::iter::successors(error.source(), |&error| error.source());
            let inner = causes.find_map(|error| error.downcast_ref::<serde_path_to_error::Error<serde_json::Error>>());
            let words = inner.map_or_else(|| error.body_text(), |error| error.inner().to_string());
            ApiError::bad_request(format!("the body is not JSON: {words}"))
        }
        JsonRejection::MissingJsonContentType(_) => {
            ApiError::new(error.status(), "the body has to be JSON, sent with `Content-Type: application/json`")
        }
        _ if error.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            ApiError::new(error.status(), format!("the body is larger than {} KiB", BODY_LIMIT / 1024))
        }
        _ => ApiError::new(error.status(), "the body could not be read to its end"),
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
            Err(PathRejection::FailedToDeserializePathParams(error)) => Err(match error.kind() {
                ErrorKind::InvalidUtf8InPathParam { key } => {
                    ApiError::bad_request(format!("`{key}` in the path is not text in UTF-8"))
                }
                kind => ApiError::new(error.status(), format!("the path cannot be used: {kind}")),
            }),
            Err(error) => Err(ApiError::new(error.status(), "the path cannot be used")),
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
        _ => {
            format!("the request was refused: {}", status.canonical_reason().unwrap_or(status.as_str()).to_lowercase())
        }
    }
}
