//! Requests to a service under test.

use reqwest::header::HeaderMap;
use reqwest::redirect::Policy;
use serde_json::Value;

use crate::DEADLINE;

/// A response, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Panics
    /// If it is not JSON, or does not say so.
    #[must_use]
    pub fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), "application/json", "{self:?}");
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The one string field of a JSON error body, which has to be there.
    ///
    /// # Panics
    /// If the status is none of an error, or the body has another form.
    pub fn error(&self, field: &str) -> String {
        assert!(self.status >= 400, "{self:?}");
        let json = self.json();
        assert_eq!(json.as_object().map(serde_json::Map::len), Some(1), "{self:?}");
        let message = json[field].as_str().unwrap_or_else(|| panic!("no `{field}` in {self:?}"));
        assert!(!message.is_empty());
        message.to_owned()
    }

    /// A header's value, or nothing.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// A client that keeps no connections and follows no redirects.
#[must_use]
pub fn client() -> reqwest::Client {
    let builder = reqwest::Client::builder().redirect(Policy::none()).pool_max_idle_per_host(0);
    builder.timeout(DEADLINE).no_proxy().build().unwrap()
}

/// Sends a request and reads the whole answer.
///
/// # Panics
/// If there is no answer.
pub async fn send(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Answer { status, headers, text: response.text().await.unwrap() }
}

pub async fn get(url: &str) -> Answer {
    send(client().get(url)).await
}

pub async fn delete(url: &str) -> Answer {
    send(client().delete(url)).await
}

pub async fn post(url: &str, body: &Value) -> Answer {
    send(client().post(url).json(body)).await
}

/// Posts bytes as they are, with this content type.
pub async fn post_raw(url: &str, content_type: &str, body: impl Into<Vec<u8>>) -> Answer {
    send(client().post(url).header("content-type", content_type).body(body.into())).await
}
