//! The paths of the service.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::future::join_all;
use kit::{ApiError, Counter, Metrics};
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};

use crate::invoices::{Invoice, Invoices};
use crate::provider::Provider;

#[derive(OpenApi)]
#[openapi(paths(list, pay, provider_health))]
pub(crate) struct Description;

pub(crate) fn routes(invoices: Invoices, provider: Provider, metrics: &Metrics) -> Router {
    let app = App {
        invoices,
        provider,
        paid: metrics.counter("invoices_paid", "Payments that the provider confirmed and that were recorded"),
        failed: metrics.counter("invoices_failed", "Payments that the provider or the store failed"),
    };
    Router::new()
        .route("/invoices", get(list))
        .route("/invoices/pay", post(pay))
        .route("/health/provider", get(provider_health))
        .with_state(app)
}

#[derive(Clone)]
struct App {
    invoices: Invoices,
    provider: Provider,
    paid: Counter,
    failed: Counter,
}

/// Nothing to say: it is done.
#[derive(Serialize, ToSchema)]
struct Done {}

/// The provider answers.
#[derive(Serialize, ToSchema)]
struct Up {
    #[schema(example = "UP")]
    status: &'static str,
}

/// What every refusal looks like.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the kit writes it; this is for the description")]
struct Refusal {
    error: String,
}

/// All invoices.
#[utoipa::path(get, path = "/invoices", responses((status = 200, body = Vec<Invoice>)))]
async fn list(State(app): State<App>) -> Result<Json<Vec<Invoice>>, ApiError> {
    Ok(Json(app.invoices.all().await?))
}

/// Pays every unpaid invoice. One that fails does not keep the others from being paid.
#[utoipa::path(post, path = "/invoices/pay", responses(
    (status = 200, body = Done, description = "all invoices are paid"),
    (status = 502, body = Refusal, description = "which are not, and why")))]
async fn pay(State(app): State<App>) -> Result<Json<Done>, ApiError> {
    let invoices = app.invoices.all().await?;
    let payments = invoices.into_iter().filter(|invoice| !invoice.is_paid).map(|invoice| app.pay_one(invoice));
    let failures: Vec<String> = join_all(payments).await.into_iter().filter_map(Result::err).collect();
    if failures.is_empty() {
        Ok(Json(Done {}))
    } else {
        Err(ApiError::new(StatusCode::BAD_GATEWAY, failures.join("; ")))
    }
}

impl App {
    /// Charges first and records then: a crash in between is mended by the next call, because the provider charges an
    /// invoice once.
    async fn pay_one(&self, invoice: Invoice) -> Result<(), String> {
        let id = invoice.invoice_id.clone();
        let outcome = match self.provider.pay(&invoice).await {
            Ok(()) => {
                self.invoices.record_paid(invoice).await.map_err(|error| format!("charged, but not recorded: {error}"))
            }
            Err(reason) => Err(reason),
        };
        match outcome {
            Ok(()) => {
                self.paid.inc();
                tracing::info!(id, "invoice paid");
                Ok(())
            }
            Err(reason) => {
                self.failed.inc();
                tracing::warn!(id, reason, "invoice not paid");
                Err(format!("invoice `{id}` is not paid: {reason}"))
            }
        }
    }
}

/// Can the provider be reached from here, and is it ready?
#[utoipa::path(get, path = "/health/provider", responses(
    (status = 200, body = Up), (status = 502, body = Refusal)))]
async fn provider_health(State(app): State<App>) -> Result<Json<Up>, ApiError> {
    let answer = app.provider.check().await;
    answer.map(|()| Json(Up { status: "UP" })).map_err(|reason| ApiError::new(StatusCode::BAD_GATEWAY, reason))
}
