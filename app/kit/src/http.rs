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

/// The largest body a service reads, in bytes.
const BODY_LIMIT: usize = 64 * 1024;

#[derive(Clone)]
struct Wrapping {
    context: Context,
    error_field: &'static str,
}

/// Wraps a service's routes into what all of them get.
pub(crate) fn wrap(routes: Router, context: &Context, error_field: &'static str) -> Router {
    let wrapping = Wrapping {
        context: context.clone(),
        error_field,
    };
    let routes = routes
        .layer(CatchPanicLayer::custom(internal_error))
        .layer(from_fn(remember_route))
        .layer(DefaultBodyLimit::max(BODY_LIMIT));
    // The outer router has nothing but a fallback: layers on it also see what the inner router adds to a refusal, such
    // as `Allow`.
    Router::new()
        .fallback_service(routes)
        .layer(from_fn_with_state(wrapping, observe))
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
    let route = response
        .extensions()
        .get::<Route>()
        .map_or("unmatched", |Route(route)| route.as_str());
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
