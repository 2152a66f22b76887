//! Accepts connections and ends them without losing a request.
//!
//! At a stop the listener closes at once: behind a shared socket the next version takes over what waits in it. Open
//! connections are told to close with their next answer, and those that stay silent are closed after [`LINGER`]; so a
//! client that was just about to send a request on an idle connection does not meet a reset.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_service::Service as _;

/// How long a connection without a request stays open after a stop.
const LINGER: Duration = Duration::from_secs(1);

/// How long a client may take for the head of a request, and a kept-alive connection be idle. Longer than the minute
/// after which load balancers close theirs: the one who sends requests has to be the first to close.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);

/// The pause after an accept that failed for want of memory or descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The open connections of a process, and how they come to their end.
#[derive(Clone, Default)]
pub(crate) struct Connections {
    open: TaskTracker,
    stopping: CancellationToken,
    hang_up: CancellationToken,
}

impl Connections {
    /// Serves `app` on `listener` until [`Connections::stop`], then closes the listener.
    pub(crate) fn accept_on(&self, listener: TcpListener, app: Router) {
        let connections = self.clone();
        tokio::spawn(async move {
            while let Some(accepted) = connections.stopping.run_until_cancelled(listener.accept()).await {
                match accepted {
                    Ok((stream, _)) => connections.open(stream, app.clone()),
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        });
    }

    fn open(&self, stream: TcpStream, app: Router) {
        let connections = self.clone();
        // Answers are small; waiting to fill a packet only delays them.
        let _ = stream.set_nodelay(true);
        self.open.spawn(async move {
            let service = service_fn(|request| connections.answer(app.clone(), request));
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service);
            let mut connection = std::pin::pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = connections.hang_up.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "connection ended early");
            }
        });
    }

    async fn answer(&self, mut app: Router, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        let mut response = app.call(request.map(Body::new)).await?;
        if self.stopping.is_cancelled() {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response)
    }

    /// Stops accepting, and returns when every request is answered and every connection closed.
    pub(crate) async fn stop(&self) {
        self.stopping.cancel();
        self.open.close();
        if tokio::time::timeout(LINGER, self.open.wait()).await.is_err() {
            self.hang_up.cancel();
            self.open.wait().await;
        }
    }
}
