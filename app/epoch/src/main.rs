//! `epoch`: tells the current time as seconds since the Unix epoch, on every path that is not the kit's.

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::http::StatusCode;
use axum::routing::{MethodRouter, get};
use axum::{Json, Router};
use kit::{ApiError, ConfigError, Context, Env, Service};
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};

fn main() -> ExitCode {
    kit::run::<Epoch>()
}

struct Epoch;

impl Service for Epoch {
    const NAME: &'static str = env!("CARGO_PKG_NAME");
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const PORT: u16 = 1337;

    type Config = ();

    fn config(_env: &Env) -> Result<(), ConfigError> {
        Ok(())
    }

    async fn start((): (), _context: &Context) -> kit::Result<Router> {
        let time: MethodRouter = get(current_time);
        Ok(Router::new().route("/", time.clone()).route("/{*path}", time))
    }

    fn openapi() -> utoipa::openapi::OpenApi {
        Description::openapi()
    }
}

#[derive(OpenApi)]
#[openapi(paths(current_time))]
struct Description;

/// The time in whole seconds, once as text and once as a number.
#[derive(Debug, Serialize, ToSchema)]
struct Time {
    #[serde(rename = "The current epoch time")]
    #[schema(example = "1700000000")]
    text: String,
    #[schema(example = 1_700_000_000)]
    epoch: u64,
}

impl Time {
    /// `None` for a clock that is set before 1970.
    fn at(now: SystemTime) -> Option<Self> {
        let epoch = now.duration_since(UNIX_EPOCH).ok()?.as_secs();
        Some(Self { text: epoch.to_string(), epoch })
    }
}

/// The current time. Every other path that is not documented here answers the same.
#[utoipa::path(get, path = "/", responses((status = 200, body = Time)))]
async fn current_time() -> Result<Json<Time>, ApiError> {
    let before_epoch = || ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "the clock is set before 1970");
    Time::at(SystemTime::now()).map(Json).ok_or_else(before_epoch)
}

#[cfg(test)]
mod tests {
    use super::Time;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn both_fields_tell_the_same_second() {
        let time = Time::at(UNIX_EPOCH + Duration::from_millis(1_700_000_000_999)).unwrap();
        let json = serde_json::to_string(&time).unwrap();
        assert_eq!(json, r#"{"The current epoch time":"1700000000","epoch":1700000000}"#);
    }

    #[test]
    fn a_clock_before_1970_is_no_panic() {
        assert!(Time::at(UNIX_EPOCH - Duration::from_secs(1)).is_none());
    }
}
