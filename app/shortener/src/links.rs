//! Short links: making, following and describing them.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use kit::store::{Inserted, Store, Table};
use kit::{ApiError, Counter, Metrics, Path};
use serde::{Deserialize, Serialize};
use utoipa::{OpenApi, ToSchema};

use crate::public::BaseUrl;
use crate::target::Target;
use crate::{Refusal, code};

/// Codes tried before giving up. With so many codes to choose from, a second try is already unlikely.
const ATTEMPTS: u32 = 16;

#[derive(Clone)]
pub(crate) struct Links {
    /// [`Link`]s as JSON, by their codes.
    links: Table,
    /// Numbers of clicks, by codes; a link that was never followed has none.
    clicks: Table,
    base_url: Option<BaseUrl>,
    created: Counter,
    followed: Counter,
}

/// What is kept of a link.
#[derive(Serialize, Deserialize)]
struct Link {
    url: String,
    /// Seconds since the Unix epoch.
    created: u64,
}

#[derive(Deserialize, ToSchema)]
struct NewLink {
    /// An absolute URL with `http` or `https`, at most 2048 bytes.
    #[schema(example = "https://example.com/a/long/path")]
    url: String,
}

#[derive(Serialize, ToSchema)]
struct CreatedLink {
    #[schema(example = "q7Zk2Ab")]
    code: String,
    #[schema(example = "http://localhost:8000/q7Zk2Ab")]
    short_url: String,
}

#[derive(Serialize, ToSchema)]
struct DescribedLink {
    code: String,
    short_url: String,
    /// Where it leads.
    url: String,
    /// How often it was followed.
    clicks: u64,
    /// When it was made, in seconds since the Unix epoch.
    created: u64,
}

impl Links {
    pub(crate) fn new(store: &Store, base_url: Option<BaseUrl>, metrics: &Metrics) -> Self {
        Self {
            links: store.table("links"),
            clicks: store.table("clicks"),
            base_url,
            created: metrics.counter("links_created", "Short links made"),
            followed: metrics.counter("links_followed", "Short links followed"),
        }
    }

    fn short_url(&self, code: &str, headers: &HeaderMap) -> Result<String, ApiError> {
        match &self.base_url {
            Some(base) => Ok(base.join(code)),
            None => Ok(BaseUrl::of_request(headers)?.join(code)),
        }
    }

    async fn find(&self, code: &str) -> Result<Link, ApiError> {
        let Some(link) = self.links.get(code).await? else {
            return Err(ApiError::not_found(format!("there is no short link `{code}`")));
        };
        serde_json::from_str(&link).map_err(|error| {
            tracing::error!(code, %error, "a stored link cannot be read");
            ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, format!("the short link `{code}` is damaged"))
        })
    }
}

#[derive(OpenApi)]
#[openapi(paths(create, follow, describe))]
pub(crate) struct Description;

pub(crate) fn routes(links: Links) -> Router {
    Router::new()
        .route("/api/urls", post(create))
        .route("/api/urls/{code}", get(describe))
        .route("/{code}", get(follow))
        .with_state(links)
}

/// Makes a short link.
#[utoipa::path(post, path = "/api/urls", tag = "links", request_body = NewLink, responses(
    (status = 201, body = CreatedLink), (status = 400, body = Refusal)))]
async fn create(
    State(links): State<Links>,
    headers: HeaderMap,
    kit::Json(new): kit::Json<NewLink>,
) -> Result<(StatusCode, Json<CreatedLink>), ApiError> {
    let url = Target::parse(&new.url).map_err(ApiError::bad_request)?.into_string();
    let created = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let link = serde_json::json!(Link { url, created }).to_string();
    for _ in 0..ATTEMPTS {
        let code = code::random();
        let short_url = links.short_url(&code, &headers)?;
        if links.links.insert_new(&code, &link).await? == Inserted::New {
            links.created.inc();
            return Ok((StatusCode::CREATED, Json(CreatedLink { code, short_url })));
        }
    }
    Err(ApiError::unavailable("no free code was found"))
}

/// Leads to the target and counts the click.
#[utoipa::path(get, path = "/{code}", tag = "links", params(("code" = String, Path)), responses(
    (status = 307, description = "the target is in `Location`"), (status = 404, body = Refusal)))]
async fn follow(State(links): State<Links>, method: Method, Path(code): Path<String>) -> Result<Response, ApiError> {
    let link = links.find(&code).await?;
    // `HEAD` only looks where it would lead.
    if method == Method::GET {
        links.clicks.increment(&code).await?;
        links.followed.inc();
    }
    // A cached answer would be a click that nobody counts.
    let headers = [(header::LOCATION, link.url), (header::CACHE_CONTROL, "no-store".to_owned())];
    Ok((StatusCode::TEMPORARY_REDIRECT, headers).into_response())
}

/// Says where a short link leads and how often it was followed.
#[utoipa::path(get, path = "/api/urls/{code}", tag = "links", params(("code" = String, Path)), responses(
    (status = 200, body = DescribedLink), (status = 404, body = Refusal)))]
async fn describe(
    State(links): State<Links>,
    headers: HeaderMap,
    Path(code): Path<String>,
) -> Result<Json<DescribedLink>, ApiError> {
    let Link { url, created } = links.find(&code).await?;
    let clicks = links.clicks.get(&code).await?.and_then(|clicks| clicks.parse().ok()).unwrap_or(0);
    let short_url = links.short_url(&code, &headers)?;
    Ok(Json(DescribedLink { code, short_url, url, clicks, created }))
}
