//! `producer`: publishes messages to a topic, on its own every few seconds and when asked to.

mod api;
mod publisher;
mod worker;

use std::process::ExitCode;
use std::time::Duration;

use axum::Router;
use kit::{ConfigError, Context, Env, Service};
use messaging::Topic;
use messaging::aws::AwsConfig;

use crate::publisher::Publisher;

fn main() -> ExitCode {
    kit::run::<Producer>()
}

struct Producer;

struct Config {
    aws: AwsConfig,
    topic: Topic,
    /// Time between two messages of its own, if it is to send any.
    every: Option<Duration>,
}

impl Service for Producer {
    const NAME: &'static str = env!("CARGO_PKG_NAME");
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const PORT: u16 = 5000;

    type Config = Config;

    fn config(env: &Env) -> Result<Config, ConfigError> {
        let valid = "a whole number of seconds up to 86400, or 0 for never";
        let seconds =
            env.parse_with("PUBLISH_SECONDS", valid, |text| text.parse().ok().filter(|seconds| *seconds <= 86_400))?;
        let seconds = seconds.unwrap_or(5);
        Ok(Config {
            aws: AwsConfig::parse(env)?,
            topic: Topic::parse(env)?,
            every: (seconds > 0).then(|| Duration::from_secs(seconds)),
        })
    }

    async fn start(config: Config, context: &Context) -> kit::Result<Router> {
        let sns = aws_sdk_sns::Client::new(&config.aws.load().await);
        let publisher = Publisher::new(sns, config.topic, &context.metrics);
        worker::start(publisher.clone(), config.every, context);
        Ok(api::routes(publisher).merge(messaging::health(&context.health)))
    }

    fn openapi() -> utoipa::openapi::OpenApi {
        api::description()
    }
}
