//! `shortener`: short links that count their clicks, and the key-value API that its clients have always known.

mod code;
mod keys;
mod links;
mod public;
mod target;

use std::process::ExitCode;

use axum::Router;
use kit::store::{Store, StoreConfig};
use kit::{ConfigError, Context, Env, Service};
use utoipa::{OpenApi, ToSchema};

use crate::public::BaseUrl;

fn main() -> ExitCode {
    kit::run::<Shortener>()
}

struct Shortener;

struct Config {
    store: StoreConfig,
    /// What short URLs start with; without it, whatever host the request was sent to.
    base_url: Option<BaseUrl>,
}

impl Service for Shortener {
    const NAME: &'static str = env!("CARGO_PKG_NAME");
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const PORT: u16 = 8000;
    const ERROR_FIELD: &'static str = "detail";

    type Config = Config;

    fn config(env: &Env) -> Result<Config, ConfigError> {
        let valid = "an absolute URL with `http` or `https`, without query and fragment";
        Ok(Config { store: StoreConfig::parse(env)?, base_url: env.parse_with("BASE_URL", valid, BaseUrl::parse)? })
    }

    async fn start(config: Config, context: &Context) -> kit::Result<Router> {
        let store = Store::open(config.store, Self::NAME, context).await?;
        let links = links::Links::new(&store, config.base_url, &context.metrics);
        Ok(keys::routes(&store).merge(links::routes(links)))
    }

    fn openapi() -> utoipa::openapi::OpenApi {
        let mut description = keys::Description::openapi();
        description.merge(links::Description::openapi());
        description
    }
}

/// What every refusal looks like.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the kit writes it; this is for the description")]
struct Refusal {
    #[schema(example = "Key not found")]
    detail: String,
}
