//! Accepts connections and ends them without losing a request.
//!
//! At a stop the listener closes at once: behind a shared socket the next version takes over what waits in it. Open
//! connections are told to close with their next answer, and those that stay silent are closed after [`LINGER`]; so a
//! client that was just about to send a request on an idle connection does not meet a reset.
//!
//! A request that is answered before its body was read to the end closes its connection. Closing a socket that has
//! unread bytes resets it, and a client that is still writing never sees the answer; so what it sends is read on and
//! thrown away, within [`DRAIN_BYTES`] and [`DRAIN_TIME`].

use std::convert::Infallible;
use std::future::poll_fn;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, sink};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_service::Service as _;

/// How long a connection without a request stays open after a stop.
const LINGER: Duration = Duration::from_secs(1);

/// How long a client may take for the head of a request, and a kept-alive connection be idle. Longer than the minute
/// after which load balancers close theirs: the one who sends requests has to be the first to close.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);

/// How much of a body that nobody wants is read, so that its sender gets to the answer.
const DRAIN_BYTES: u64 = 64 * 1024 * 1024;

/// How long that may take.
const DRAIN_TIME: Duration = Duration::from_secs(10);

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
            let service = service_fn(|request| Box::pin(connections.answer(app.clone(), request)));
            let mut connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service);
            let ended = tokio::select! {
                // On a busy machine a request may have come that nobody had the time to read: it is answered first.
                biased;
                ended = poll_fn(|cx| connection.poll_without_shutdown(cx)) => ended,
                () = connections.hang_up.cancelled() => {
                    Pin::new(&mut connection).graceful_shutdown();
                    poll_fn(|cx| connection.poll_without_shutdown(cx)).await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "connection ended early");
                return;
            }
            let mut stream = connection.into_parts().io.into_inner();
            // A client that has gone has nothing more to say.
            if stream.shutdown().await.is_ok() {
                let _ = connections.hang_up.run_until_cancelled(drain(stream)).await;
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

/// Reads until the other side closes, or has sent or taken too much.
async fn drain(stream: impl AsyncRead + Unpin) {
    let _ = tokio::time::timeout(DRAIN_TIME, tokio::io::copy(&mut stream.take(DRAIN_BYTES), &mut sink())).await;
}
