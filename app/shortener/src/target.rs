//! Where a short link leads.

use url::Url;

/// Longer URLs are refused by many browsers and proxies.
const MAX_LENGTH: usize = 2048;

/// An absolute URL with `http` or `https` that can stand in a `Location` header.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target(String);

impl Target {
    /// Keeps the text as it was given where it can be sent as it is, and percent-encodes it elsewhere.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_LENGTH {
            return Err(format!("`url` is {} bytes long; at most {MAX_LENGTH} are allowed", text.len()));
        }
        if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err("`url` contains white space or control characters".to_owned());
        }
        let url = Url::parse(text).map_err(|error| format!("`url` is not an absolute URL: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("`url` has the scheme `{}`; allowed are `http` and `https`", url.scheme()));
        }
        let sent = if text.is_ascii() { text.to_owned() } else { url.to_string() };
        Ok(Self(sent))
    }

    pub(crate) fn into_string(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::Target;

    fn parse(text: &str) -> Result<String, String> {
        Target::parse(text).map(Target::into_string)
    }

    #[test]
    fn what_was_given_is_kept() {
        for text in ["https://example.com", "HTTP://Example.com:8080/a?b=c#d", "http://[::1]/%20"] {
            assert_eq!(parse(text).as_deref(), Ok(text));
        }
    }

    #[test]
    fn what_a_header_cannot_hold_is_encoded() {
        assert_eq!(parse("https://müller.example/ö").as_deref(), Ok("https://xn--mller-kva.example/%C3%B6"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let long = format!("https://example.com/{}", "x".repeat(2048));
        for (text, reason) in [
            ("", "not an absolute URL"),
            ("example.com", "not an absolute URL"),
            ("/path", "not an absolute URL"),
            ("http://", "not an absolute URL"),
            ("javascript:alert(1)", "scheme `javascript`"),
            ("ftp://example.com", "scheme `ftp`"),
            ("http://exam\nple.com", "control characters"),
            (" http://example.com", "white space"),
            (&long, "at most 2048"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
