//! `invoice-app`: lists invoices and has the unpaid ones paid by the payment provider.

mod api;
mod invoices;
mod provider;

use std::process::ExitCode;
use std::time::Duration;

use axum::Router;
use kit::store::{Store, StoreConfig};
use kit::{ConfigError, Context, Env, Service};
use utoipa::OpenApi as _;

use crate::invoices::Invoices;
use crate::provider::{Provider, ProviderUrl};

fn main() -> ExitCode {
    kit::run::<InvoiceApp>()
}

struct InvoiceApp;

struct Config {
    store: StoreConfig,
    provider: ProviderUrl,
    /// How long an answer of the provider may take.
    provider_timeout: Duration,
}

impl Service for InvoiceApp {
    const NAME: &'static str = env!("CARGO_PKG_NAME");
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const PORT: u16 = 8081;

    type Config = Config;

    fn config(env: &Env) -> Result<Config, ConfigError> {
        let url = "an absolute URL with `http`, without query and fragment";
        let seconds = env.parse_with("PAYMENT_TIMEOUT_SECONDS", "a number of seconds, 1 to 60", |text| {
            text.parse().ok().filter(|seconds| (1..=60).contains(seconds))
        })?;
        Ok(Config {
            store: StoreConfig::parse(env)?,
            provider: env.parse_with("PAYMENT_PROVIDER_URL", url, ProviderUrl::parse)?.unwrap_or_default(),
            provider_timeout: Duration::from_secs(seconds.unwrap_or(5)),
        })
    }

    async fn start(config: Config, context: &Context) -> kit::Result<Router> {
        let store = Store::open(config.store, Self::NAME, context).await?;
        let provider = Provider::new(config.provider, config.provider_timeout)?;
        Ok(api::routes(Invoices::new(&store)?, provider, &context.metrics))
    }

    fn openapi() -> utoipa::openapi::OpenApi {
        api::Description::openapi()
    }
}
