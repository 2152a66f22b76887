//! The path of a request through a service: counted, logged, limited, caught when it panics, refused in JSON.

use std::any::Any;
use std::time::Instant;

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tower_http::catch_panic::CatchPanicLayer;

use crate::context::Context;
use crate::{error, operations};

#[derive(Clone)]
struct Wrapping {
    context: Context,
    error_field: &'static str,
}

/// Wraps a service's routes into what all of them get.
pub(crate) fn wrap(routes: Router, context: &Context, error_field: &'static str) -> Router {
    let wrapping = Wrapping { context: context.clone(), error_field };
    let routes = routes
        .layer(CatchPanicLayer::custom(internal_error))
        .layer(from_fn(remember_route))
        .layer(DefaultBodyLimit::max(error::BODY_LIMIT));
    // The outer router has nothing but a fallback: layers on it also see what the inner router adds to a refusal, such
    // as `Allow`.
    Router::new().fallback_service(routes).layer(from_fn_with_state(wrapping, observe))
}

/// The route that matched, on its way out: it is known inside the router only.
#[derive(Clone)]
struct Route(MatchedPath);

async fn remember_route(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let mut response = next.run(request).await;
    if let Some(route) = route {
        response.extensions_mut().insert(Route(route));
    }
    response
}

async fn observe(State(wrapping): State<Wrapping>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let metrics = &wrapping.context.metrics;
    let in_flight = metrics.begin_request();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());

    let response = next.run(request).await;
    let response = error::render(response, &method, &path, wrapping.error_field);

    let (status, took) = (response.status().as_u16(), started.elapsed());
    let route = response.extensions().get::<Route>().map_or("unmatched", |Route(route)| route.as_str());
    metrics.end_request(method_label(&method), route, status, took);
    drop(in_flight);
    let ms = took.as_micros() as f64 / 1000.0;
    if operations::is_probe(&path) {
        tracing::debug!(%method, path, status, ms, "request");
    } else {
        tracing::info!(%method, path, status, ms, "request");
    }
    response
}

/// Clients may invent methods; a metric's labels have to stay few.
fn method_label(method: &Method) -> &str {
    match method.as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS") => known,
        _ => "other",
    }
}

/// The panic itself is in the log already; the caller learns no details.
fn internal_error(_panic: Box<dyn Any + Send + 'static>) -> Response {
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}

#[cfg(test)]
mod tests {
    use super::wrap;
    use crate::context::Context;
    use crate::error::{ApiError, Json};
    use crate::health::Health;
    use crate::metrics::Metrics;
    use axum::Router;
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use axum::routing::{get, post};
    use serde_json::Value;
    use tower_service::Service as _;

    /// The status, the body and all metrics after a request.
    async fn call(request: Request<Body>) -> (u16, String, String) {
        let context = Context::new(Health::new(None), Metrics::new("test", "0"));
        let routes = Router::new()
            .route("/panic", get(|| async { panic!("on purpose") as &'static str }))
            .route("/teapot/{id}", get(|| async { ApiError::bad_request("short and stout") }))
            .route("/echo", post(|Json(body): Json<Value>| async { axum::Json(body) }));
        let response = wrap(routes, &context, "detail").call(request).await.unwrap();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap(), context.metrics.text())
    }

    fn request(method: &str, path: &str, body: impl Into<Body>) -> Request<Body> {
        let builder = Request::builder().method(method).uri(path);
        builder.header("content-type", "application/json").body(body.into()).unwrap()
    }

    #[tokio::test]
    async fn a_panic_is_a_500_in_json() {
        let (status, body, metrics) = call(request("GET", "/panic", "")).await;
        assert_eq!(status, 500);
        assert_eq!(body, r#"{"detail":"the service failed on this request; its log says why"}"#);
        assert!(metrics.contains(r#"{method="GET",route="/panic",status="500"} 1"#), "{metrics}");
        assert!(metrics.contains("http_requests_in_flight 0"), "{metrics}");
    }

    #[tokio::test]
    async fn errors_use_the_services_field_and_metrics_the_route() {
        let (status, body, metrics) = call(request("GET", "/teapot/7", "")).await;
        assert_eq!((status, body.as_str()), (400, r#"{"detail":"short and stout"}"#));
        assert!(metrics.contains(r#"{method="GET",route="/teapot/{id}",status="400"} 1"#), "{metrics}");
        let (_, _, metrics) = call(request("BREW", "/nowhere", "")).await;
        assert!(metrics.contains(r#"{method="other",route="unmatched",status="404"} 1"#), "{metrics}");
    }

    #[tokio::test]
    async fn a_body_has_to_be_an_object_of_at_most_64_kib() {
        let fits = format!("{{\"x\":\"{}\"}}", "x".repeat(64 * 1024 - 8));
        assert_eq!(call(request("POST", "/echo", fits.clone())).await.0, 200);
        assert_eq!(call(request("POST", "/echo", fits + " ")).await.0, 413);
        let (status, body, _) = call(request("POST", "/echo", "[1]")).await;
        assert_eq!((status, body.as_str()), (400, r#"{"detail":"the body is not a JSON object"}"#));
    }
}
