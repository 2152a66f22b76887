//! `consumer`: takes messages from a queue, logs them and deletes them.

mod api;
mod handled;
mod queue;
mod worker;

use std::process::ExitCode;

use axum::Router;
use kit::{ConfigError, Context, Env, Service};
use messaging::Topic;
use messaging::aws::AwsConfig;

use crate::handled::HandledMessages;
use crate::queue::{Queue, Source};

fn main() -> ExitCode {
    kit::run::<Consumer>()
}

struct Consumer;

struct Config {
    aws: AwsConfig,
    source: Source,
    topic: Topic,
}

impl Service for Consumer {
    const NAME: &'static str = env!("CARGO_PKG_NAME");
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const PORT: u16 = 5000;

    type Config = Config;

    fn config(env: &Env) -> Result<Config, ConfigError> {
        Ok(Config { aws: AwsConfig::parse(env)?, source: Source::parse(env)?, topic: Topic::parse(env)? })
    }

    async fn start(config: Config, context: &Context) -> kit::Result<Router> {
        let aws = config.aws.load().await;
        let queue = Queue::new(&aws, config.source, config.topic);
        let handled = HandledMessages::default();
        worker::start(queue, handled.clone(), context);
        Ok(api::routes(handled).merge(messaging::health(&context.health)))
    }

    fn openapi() -> utoipa::openapi::OpenApi {
        api::description()
    }
}
