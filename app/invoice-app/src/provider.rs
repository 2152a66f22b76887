//! The payment provider, as a client sees it.

use std::error::Error;
use std::time::Duration;

use reqwest::{Client, Response, StatusCode};
use serde::Deserialize;
use serde_json::json;
use url::Url;

use crate::invoices::Invoice;

/// The longest part of an answer that is quoted, in characters.
const QUOTED: usize = 200;

/// Where the provider is, without a slash at its end.
pub(crate) struct ProviderUrl(String);

impl ProviderUrl {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        let usable = url.scheme() == "http" && url.query().is_none() && url.fragment().is_none();
        usable.then(|| Self(url.as_str().trim_end_matches('/').to_owned()))
    }
}

impl Default for ProviderUrl {
    /// A provider on this machine, on the port it declares.
    fn default() -> Self {
        Self("http://127.0.0.1:8082".to_owned())
    }
}

#[derive(Clone)]
pub(crate) struct Provider {
    client: Client,
    url: String,
}

/// What the provider says when it refuses.
#[derive(Deserialize)]
struct Refusal {
    error: String,
}

impl Provider {
    /// # Errors
    /// The HTTP client cannot be made.
    pub(crate) fn new(url: ProviderUrl, timeout: Duration) -> kit::Result<Self> {
        // No proxy: the provider is next door. No idle connections: one that the provider closes at its replacement, in
        // the moment it is used again, would fail a payment.
        let client = Client::builder().timeout(timeout).no_proxy().pool_max_idle_per_host(0).build()?;
        Ok(Self { client, url: url.0 })
    }

    /// Pays an invoice. The provider charges the same invoice once, however often this is called.
    ///
    /// # Errors
    /// Why it is not known to be paid.
    pub(crate) async fn pay(&self, invoice: &Invoice) -> Result<(), String> {
        let body = json!({"id": invoice.invoice_id, "value": invoice.value, "currency": invoice.currency});
        self.expect_ok(self.client.post(format!("{}/payments/pay", self.url)).json(&body)).await
    }

    /// Asks whether the provider can be reached and is ready.
    ///
    /// # Errors
    /// Why not.
    pub(crate) async fn check(&self) -> Result<(), String> {
        self.expect_ok(self.client.get(format!("{}/readyz", self.url))).await
    }

    async fn expect_ok(&self, request: reqwest::RequestBuilder) -> Result<(), String> {
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        match response.status() {
            StatusCode::OK => Ok(()),
            status => Err(format!("the provider at `{}` answered {status}: {}", self.url, quote(response).await)),
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> String {
        if error.is_timeout() {
            return format!("the provider at `{}` did not answer in time", self.url);
        }
        let mut cause: &dyn Error = error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        format!("the provider at `{}` cannot be reached: {cause}", self.url)
    }
}

/// What a refusal says, or the beginning of it when it is none of the provider's own.
async fn quote(response: Response) -> String {
    let text = response.text().await.unwrap_or_default();
    let words = match serde_json::from_str::<Refusal>(&text) {
        Ok(refusal) => refusal.error,
        Err(_) => text,
    };
    words.chars().take(QUOTED).collect()
}

#[cfg(test)]
mod tests {
    use super::ProviderUrl;

    #[test]
    fn an_address_may_end_with_a_slash() {
        let parse = |text| ProviderUrl::parse(text).map(|url| url.0);
        assert_eq!(parse("http://provider:8082/").as_deref(), Some("http://provider:8082"));
        assert_eq!(parse("http://provider/base").as_deref(), Some("http://provider/base"));
        for text in ["provider:8082", "https://provider", "http://", "http://provider/?q", "http://provider/#f"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
