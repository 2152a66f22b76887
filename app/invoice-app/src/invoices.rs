//! The invoices and whether they are paid, as the store has them.

use std::sync::Arc;

use axum::http::StatusCode;
use kit::ApiError;
use kit::store::{Store, StoreError, Table};
use money::{Amount, Currency};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The invoices that there are from the beginning.
const FIRST: &str = include_str!("first.json");

/// An invoice, in the words of the API; the store holds the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Invoice {
    #[schema(example = "I1")]
    pub(crate) invoice_id: String,
    #[schema(value_type = f64, example = 12.15)]
    pub(crate) value: Amount,
    #[schema(value_type = String, example = "EUR")]
    pub(crate) currency: Currency,
    pub(crate) is_paid: bool,
}

#[derive(Clone)]
pub(crate) struct Invoices {
    /// [`Invoice`]s as JSON, by their ids.
    table: Table,
    first: Arc<[Invoice]>,
}

impl Invoices {
    /// # Errors
    /// The first invoices are not what they should be.
    pub(crate) fn new(store: &Store) -> kit::Result<Self> {
        Ok(Self { table: store.table("invoices"), first: serde_json::from_str(FIRST)? })
    }

    /// All invoices in the order of their ids.
    ///
    /// # Errors
    /// The store failed.
    pub(crate) async fn all(&self) -> Result<Vec<Invoice>, ApiError> {
        let mut stored = self.table.all().await?;
        // The store may have come only now, or a process may have died after the first of them.
        let is_missing = |invoice: &&Invoice| !stored.iter().any(|(id, _)| *id == invoice.invoice_id);
        let missing: Vec<&Invoice> = self.first.iter().filter(is_missing).collect();
        if !missing.is_empty() {
            for invoice in missing {
                self.table.insert_new(&invoice.invoice_id, &text(invoice)).await?;
            }
            stored = self.table.all().await?;
        }
        stored.iter().map(|(id, invoice)| parse(id, invoice)).collect()
    }

    /// Records that an invoice has been paid.
    ///
    /// # Errors
    /// The store failed.
    pub(crate) async fn record_paid(&self, invoice: Invoice) -> Result<(), StoreError> {
        let paid = Invoice { is_paid: true, ..invoice };
        self.table.put(&paid.invoice_id, &text(&paid)).await
    }
}

fn text(invoice: &Invoice) -> String {
    serde_json::json!(invoice).to_string()
}

fn parse(id: &str, stored: &str) -> Result<Invoice, ApiError> {
    serde_json::from_str(stored).map_err(|error| {
        tracing::error!(id, %error, "a stored invoice cannot be read");
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, format!("the stored invoice `{id}` is damaged"))
    })
}

#[cfg(test)]
mod tests {
    use super::{FIRST, Invoice};

    #[test]
    fn the_first_invoices_are_told_as_they_are_written() {
        let first: Vec<Invoice> = serde_json::from_str(FIRST).unwrap();
        assert_eq!(first.len(), 3);
        assert_eq!(
            serde_json::to_string(&first[0]).unwrap(),
            r#"{"InvoiceId":"I1","Value":12.15,"Currency":"EUR","IsPaid":false}"#
        );
    }
}
