//! What short URLs start with: a configured address, or the one that the request was sent to.

use axum::http::header::HOST;
use axum::http::{HeaderMap, HeaderValue};
use kit::ApiError;
use url::Url;

/// An absolute URL without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BaseUrl(String);

impl BaseUrl {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        let usable = matches!(url.scheme(), "http" | "https") && url.query().is_none() && url.fragment().is_none();
        usable.then(|| Self(url.as_str().trim_end_matches('/').to_owned()))
    }

    /// The address as the client knows it. A proxy in front that ends TLS says so in `X-Forwarded-Proto`.
    ///
    /// # Errors
    /// The request does not name a usable host.
    pub(crate) fn of_request(headers: &HeaderMap) -> Result<Self, ApiError> {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let scheme = match headers.get("x-forwarded-proto").map(HeaderValue::as_bytes) {
            Some(b"https") => "https",
            _ => "http",
        };
        // Anything but host and port would change the URL's meaning.
        let is_host = !host.is_empty() && !host.contains(['/', '?', '#', '@', '\\']);
        let base = if is_host { Self::parse(&format!("{scheme}://{host}")) } else { None };
        base.ok_or_else(|| ApiError::bad_request(format!("the `Host` header `{host}` is not a host")))
    }

    /// The short URL for a code.
    pub(crate) fn join(&self, code: &str) -> String {
        format!("{}/{code}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::BaseUrl;
    use axum::http::{HeaderMap, HeaderName, HeaderValue};

    fn short(headers: &[(&'static str, &'static str)]) -> Option<String> {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        BaseUrl::of_request(&headers).ok().map(|base| base.join("abc"))
    }

    #[test]
    fn follows_the_request() {
        assert_eq!(short(&[("host", "go.example:81")]).as_deref(), Some("http://go.example:81/abc"));
        let proxied = [("host", "go.example"), ("x-forwarded-proto", "https")];
        assert_eq!(short(&proxied).as_deref(), Some("https://go.example/abc"));
        let odd = [("host", "[::1]:8000"), ("x-forwarded-proto", "javascript")];
        assert_eq!(short(&odd).as_deref(), Some("http://[::1]:8000/abc"));
    }

    #[test]
    fn a_host_that_is_none_is_refused() {
        for host in ["", "a/b", "a@b", "a?b", "a b", "a:port"] {
            assert_eq!(short(&[("host", host)]), None, "{host}");
        }
        assert_eq!(short(&[]), None);
    }

    #[test]
    fn a_configured_address_may_have_a_path() {
        assert_eq!(BaseUrl::parse("https://example.com/s/").unwrap().join("abc"), "https://example.com/s/abc");
        for text in ["example.com", "ftp://example.com", "https://example.com/?q", "https://example.com/#f"] {
            assert_eq!(BaseUrl::parse(text), None, "{text}");
        }
    }
}
