//! What every service of this repository shares, so that a service's own crate holds its API and nothing else.
//!
//! A service implements [`Service`] and calls [`run`] from `main`. It then reads its configuration from the environment,
//! logs JSON to stdout, answers `/livez`, `/readyz`, `/metrics`, `/docs` and `/openapi.json`, takes its sockets from a
//! supervisor when one passes them, and finishes what it is doing when it is told to stop.

mod command;
mod config;
mod context;
mod error;
mod fault;
mod health;
mod healthcheck;
mod http;
mod listen;
mod listeners;
mod logs;
mod metrics;
mod operations;
mod reach;
mod runner;
mod serve;
mod settings;
pub mod store;

use std::future::Future;

pub use anyhow::Result;

pub use config::{ConfigError, Env};
pub use context::Context;
pub use error::{ApiError, Json, Path};
pub use health::{Condition, Health, Heartbeat};
pub use metrics::{Counter, Metrics};
pub use runner::run;

/// One program with one port.
pub trait Service: 'static {
    /// The name of the crate, of the binary and in the logs.
    const NAME: &'static str;
    /// The version that `--version` and the `build_info` metric tell.
    const VERSION: &'static str;
    /// The port it listens on unless `PORT` says otherwise.
    const PORT: u16;
    /// The field of a JSON error body that says what is wrong.
    const ERROR_FIELD: &'static str = "error";

    /// What it takes from the environment, parsed.
    type Config: Send;

    /// Parses the configuration. Nothing is opened or contacted here.
    ///
    /// # Errors
    /// Names the first variable whose value cannot be used.
    fn config(env: &Env) -> Result<Self::Config, ConfigError>;

    /// Opens what the service needs, starts its background work and returns its routes.
    ///
    /// It has to return soon: what is out of reach belongs into a readiness [`Condition`], not into a wait.
    ///
    /// # Errors
    /// Whatever makes it useless to go on; the process then exits with 1.
    fn start(config: Self::Config, context: &Context) -> impl Future<Output = Result<axum::Router>>;

    /// Describes the service's own paths; those of the kit are added.
    fn openapi() -> utoipa::openapi::OpenApi;
}
