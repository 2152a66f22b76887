//! The life of a service process, from its arguments to its exit code.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::command::{Command, USAGE};
use crate::config::{ConfigError, Env};
use crate::context::Context;
use crate::fault::Fault;
use crate::health::Health;
use crate::listen::{self, Sockets};
use crate::listeners;
use crate::metrics::Metrics;
use crate::reach;
use crate::serve::Connections;
use crate::settings::Settings;
use crate::{Service, healthcheck, http, logs, operations};

/// Wrong arguments or configuration.
const EXIT_USAGE: u8 = 2;

/// Does what the process's arguments say. The whole `main` of a service.
#[must_use]
pub fn run<S: Service>() -> ExitCode {
    let env = Env::of_process();
    match Command::parse(std::env::args_os().skip(1)) {
        Ok(Command::Serve) => serve::<S>(&env),
        Ok(Command::Healthcheck) => healthcheck::<S>(&env),
        Ok(Command::Reach(destination)) => reach(reach::connect(&destination)),
        Ok(Command::ReachAtLast(destination)) => reach(reach::connect_at_last(&destination)),
        Ok(Command::Sockets) => sockets::<S>(),
        Ok(Command::Version) => print(&format!("{} {}", S::NAME, S::VERSION)),
        Ok(Command::Help) => print(&USAGE.replace("SERVICE", S::NAME)),
        Err(argument) => {
            let usage = USAGE.replace("SERVICE", S::NAME);
            complain(&format!("{}: `{argument}` is not understood\n{usage}", S::NAME));
            ExitCode::from(EXIT_USAGE)
        }
    }
}

fn serve<S: Service>(env: &Env) -> ExitCode {
    let parsed = Settings::parse(env, S::PORT).and_then(|settings| Ok((settings, S::config(env)?)));
    let (settings, config) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return refuse::<S>(&error),
    };
    logs::start(settings.log.clone());
    tracing::info!(service = S::NAME, version = S::VERSION, pid = std::process::id(), "starting");
    match live_to_the_end::<S>(env, &settings, config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => match error.downcast_ref::<ConfigError>() {
            Some(error) => refuse::<S>(error),
            None => {
                tracing::error!(error = format!("{error:#}"), "cannot go on");
                ExitCode::FAILURE
            }
        },
    }
}

fn live_to_the_end<S: Service>(env: &Env, settings: &Settings, config: S::Config) -> anyhow::Result<()> {
    // Taking passed sockets changes the process's environment, which is safe as long as there is one thread.
    let sockets = match settings.fault {
        Some(Fault::CrashAtStart) => anyhow::bail!("`FAULT` is `crash-at-start`"),
        Some(Fault::WrongPort) => Sockets::elsewhere(settings.address)?,
        _ => Sockets::open(env, settings.address, settings.port)?,
    };
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    let outcome = runtime.block_on(live::<S>(sockets, settings, config));
    // What is still running after the time to shut down must not hold up the exit.
    runtime.shutdown_background();
    outcome
}

async fn live<S: Service>(sockets: Sockets, settings: &Settings, config: S::Config) -> anyhow::Result<()> {
    let mut stop = StopSignals::listen()?;
    let context = Context::new(Health::new(settings.fault), Metrics::new(S::NAME, S::VERSION));
    let (public, private) = (Connections::default(), Connections::default());

    let first_wait_for_readiness = sockets.admin.is_some();
    // Whoever asks before the service has said what it needs must not take that for needing nothing.
    let started = context.health.condition("start", "the service is starting");
    if let Some(admin) = sockets.admin {
        let probes = http::wrap(operations::probes(&context), &context, S::ERROR_FIELD);
        private.accept_on(listen::register("admin", admin)?, probes);
    }
    let routes = S::start(config, &context).await?;
    let app = http::wrap(with_operations::<S>(routes, &context), &context, S::ERROR_FIELD);
    let listener = listen::register("http", sockets.http)?;
    started.met();
    let signal = tokio::select! {
        // Another version may still be answering on the same socket, and better than this one could.
        () = context.health.wait_until_ready(), if first_wait_for_readiness => None,
        signal = stop.received(), if first_wait_for_readiness => Some(signal),
        else => None,
    };
    let signal = match signal {
        Some(signal) => signal,
        None => {
            public.accept_on(listener, app);
            stop.received().await
        }
    };
    tracing::info!(signal, "stopping");
    finish(&context, &public, settings.shutdown).await;
    tracing::info!("stopped");
    Ok(())
}

fn with_operations<S: Service>(routes: axum::Router, context: &Context) -> axum::Router {
    routes.merge(operations::probes(context)).merge(operations::docs(S::NAME, S::VERSION, S::openapi()))
}

/// Lets requests and background work come to their end.
async fn finish(context: &Context, public: &Connections, budget: Duration) {
    context.health.condition("running", "shutting down");
    context.stopping.cancel();
    context.tasks.close();
    let both = async { tokio::join!(public.stop(), context.tasks.wait()) };
    if tokio::time::timeout(budget, both).await.is_err() {
        tracing::warn!(seconds = budget.as_secs(), "work was left unfinished after `SHUTDOWN_SECONDS`");
    }
}

/// The signals that mean "finish what you are doing and leave".
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn received(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

fn healthcheck<S: Service>(env: &Env) -> ExitCode {
    let settings = match Settings::parse(env, S::PORT) {
        Ok(settings) => settings,
        Err(error) => return refuse::<S>(&error),
    };
    match healthcheck::ask(settings.address, settings.port) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            complain(&format!("{}: not alive: {reason}", S::NAME));
            ExitCode::FAILURE
        }
    }
}

fn reach(outcome: Result<SocketAddr, String>) -> ExitCode {
    match outcome {
        Ok(address) => print(&format!("connected to {address}")),
        Err(reason) => {
            print(&reason);
            ExitCode::FAILURE
        }
    }
}

fn sockets<S: Service>() -> ExitCode {
    match listeners::tables() {
        Some(tables) => print(tables.trim_end()),
        None => {
            complain(&format!("{}: this system has no tables of sockets in `/proc/net`", S::NAME));
            ExitCode::FAILURE
        }
    }
}

fn refuse<S: Service>(error: &ConfigError) -> ExitCode {
    complain(&format!("{}: {error}", S::NAME));
    ExitCode::from(EXIT_USAGE)
}

fn print(line: &str) -> ExitCode {
    match writeln!(io::stdout(), "{line}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// A reader that has gone away is no reason to panic.
fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// Asks for its own readiness while it starts, and gives up with the answer.
    struct Curious;

    impl Service for Curious {
        const NAME: &'static str = "curious";
        const VERSION: &'static str = "0";
        const PORT: u16 = 0;

        type Config = SocketAddr;

        fn config(_env: &Env) -> Result<SocketAddr, ConfigError> {
            Err(ConfigError::new("ADMIN", "", "given by the test"))
        }

        async fn start(admin: SocketAddr, _context: &Context) -> crate::Result<axum::Router> {
            let answer = testkit::get(&format!("http://{admin}/readyz")).await;
            anyhow::bail!("{} {}", answer.status, answer.json()["reason"])
        }

        fn openapi() -> utoipa::openapi::OpenApi {
            utoipa::openapi::OpenApi::default()
        }
    }

    #[tokio::test]
    async fn a_service_that_starts_is_not_ready() {
        let socket = || TcpListener::bind("127.0.0.1:0").unwrap();
        let sockets = Sockets { http: socket(), admin: Some(socket()) };
        let admin = sockets.admin.as_ref().unwrap().local_addr().unwrap();
        let settings = Settings::parse(&Env::default(), 0).unwrap();
        let error = live::<Curious>(sockets, &settings, admin).await.unwrap_err();
        assert_eq!(error.to_string(), "503 \"the service is starting\"");
    }
}
