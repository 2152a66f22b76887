//! `payment-provider`: charges a payment once, however often and by however many it is asked to.

mod payment;

use std::process::ExitCode;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use kit::store::{Inserted, Store, StoreConfig, Table};
use kit::{ApiError, ConfigError, Context, Counter, Env, Service};
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};

use crate::payment::{Charge, Payment, PaymentId};

fn main() -> ExitCode {
    kit::run::<PaymentProvider>()
}

struct PaymentProvider;

impl Service for PaymentProvider {
    const NAME: &'static str = env!("CARGO_PKG_NAME");
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const PORT: u16 = 8082;

    type Config = StoreConfig;

    fn config(env: &Env) -> Result<StoreConfig, ConfigError> {
        StoreConfig::parse(env)
    }

    async fn start(config: StoreConfig, context: &Context) -> kit::Result<Router> {
        let store = Store::open(config, Self::NAME, context).await?;
        let provider = Provider {
            charges: store.table("charges"),
            charged: context.metrics.counter("payments_charges", "Payments charged, each counted once"),
            repeated: context.metrics.counter("payments_repeated", "Requests for a payment that was charged before"),
            conflicts: context
                .metrics
                .counter("payments_conflicts", "Requests for a charged payment with another amount"),
        };
        Ok(Router::new().route("/payments/pay", post(pay)).with_state(provider))
    }

    fn openapi() -> utoipa::openapi::OpenApi {
        Description::openapi()
    }
}

#[derive(OpenApi)]
#[openapi(paths(pay))]
struct Description;

#[derive(Clone)]
struct Provider {
    /// [`Charge`]s as JSON, by payment ids. What is in it has been charged.
    charges: Table,
    charged: Counter,
    repeated: Counter,
    conflicts: Counter,
}

/// The payment that is charged now, by this request or by an earlier one.
#[derive(Serialize, ToSchema)]
struct Paid {
    #[schema(value_type = String, example = "I1")]
    id: PaymentId,
}

/// What every refusal looks like.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the kit writes it; this is for the description")]
struct Refusal {
    error: String,
}

/// Charges a payment, unless a payment with this id and amount has been charged before.
#[utoipa::path(post, path = "/payments/pay", request_body = Payment, responses(
    (status = 200, body = Paid), (status = 400, body = Refusal),
    (status = 409, body = Refusal, description = "charged before, with another amount")))]
async fn pay(State(provider): State<Provider>, kit::Json(payment): kit::Json<Payment>) -> Result<Json<Paid>, ApiError> {
    let (id, charge) = payment.into_parts();
    match provider.charges.insert_new(id.as_str(), &serde_json::json!(charge).to_string()).await? {
        Inserted::New => {
            provider.charged.inc();
            tracing::info!(id = id.as_str(), %charge, "charged");
        }
        Inserted::Existing(stored) => {
            let before: Charge = serde_json::from_str(&stored).map_err(|error| {
                tracing::error!(id = id.as_str(), %error, "a stored charge cannot be read");
                ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "the earlier charge with this `id` is damaged")
            })?;
            if before != charge {
                provider.conflicts.inc();
                let id = id.as_str();
                let message = format!("payment `{id}` has been charged with {before} before, and not with {charge}");
                return Err(ApiError::new(StatusCode::CONFLICT, message));
            }
            provider.repeated.inc();
        }
    }
    Ok(Json(Paid { id }))
}
