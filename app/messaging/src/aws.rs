//! How to reach AWS, or an emulator of it.
//!
//! Credentials are whatever the SDK finds around it: variables, a profile, a web identity, the container's own (EKS Pod
//! Identity). `AWS_ENDPOINT_URL` leads to an emulator.

use std::error::Error;
use std::time::Duration;

pub use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_sns::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use kit::{ConfigError, Env};

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(3);

/// How long an answer may take. Longer than the 20 s for which a queue may be asked to wait for messages.
pub const ANSWER: Duration = Duration::from_secs(30);

/// How long a connection is kept that nothing is sent on. One that led elsewhere, as the address of a Service that is just
/// being made can, is then not asked again and again.
const IDLE: Duration = Duration::from_millis(500);

/// What has to be known before AWS can be asked anything.
pub struct AwsConfig {
    region: Region,
}

impl AwsConfig {
    /// `AWS_REGION`, or `AWS_DEFAULT_REGION`; the SDK reads the other variables itself.
    ///
    /// # Errors
    /// There is no region, or `AWS_ENDPOINT_URL` is not a URL.
    pub fn parse(env: &Env) -> Result<Self, ConfigError> {
        let valid = "a region such as `eu-central-1`";
        let region = |name| env.parse_with(name, valid, parse_region);
        let region = match region("AWS_REGION")? {
            Some(region) => Some(region),
            None => region("AWS_DEFAULT_REGION")?,
        };
        env.parse_with("AWS_ENDPOINT_URL", "a URL with `http` or `https`", |url| is_url(url).then_some(()))?;
        region.map(|region| Self { region }).ok_or_else(|| ConfigError::missing("AWS_REGION", valid))
    }

    /// What the clients of the services are made of. Nothing is contacted yet.
    pub async fn load(self) -> SdkConfig {
        let https = aws_smithy_http_client::Builder::new()
            .pool_idle_timeout(IDLE)
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build_https();
        let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(ANSWER).build();
        aws_config::defaults(BehaviorVersion::latest())
            .region(self.region)
            .http_client(https)
            .timeout_config(timeouts)
            .load()
            .await
    }
}

fn parse_region(text: &str) -> Option<Region> {
    let fits = text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    fits.then(|| Region::new(text.to_owned()))
}

/// Whether this is an address to which requests can be sent.
#[must_use]
pub fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(char::is_whitespace))
}

/// What went wrong, in AWS's own words where there are some, and otherwise the causes down to the first.
pub fn reason<E: ProvideErrorMetadata + Error + 'static, R: std::fmt::Debug + 'static>(
    error: &SdkError<E, R>,
) -> String {
    if let Some(code) = error.code() {
        return format!("{code}: {}", error.message().unwrap_or("no message"));
    }
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        words = format!("{words}: {source}");
        cause = source.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::AwsConfig;
    use kit::Env;

    #[test]
    fn a_region_is_needed() {
        let error = |pairs: &[(&'static str, &'static str)]| {
            AwsConfig::parse(&Env::of_pairs(pairs.iter().copied())).err().map(|error| error.to_string())
        };
        assert_eq!(error(&[("AWS_REGION", "eu-central-1")]), None);
        assert_eq!(error(&[("AWS_DEFAULT_REGION", "eu-central-1")]), None);
        assert_eq!(error(&[]).unwrap(), "`AWS_REGION` is not set; valid is a region such as `eu-central-1`");
        assert!(error(&[("AWS_REGION", "Frankfurt am Main")]).unwrap().contains("`Frankfurt am Main`"));
        let endpoint = error(&[("AWS_REGION", "eu-central-1"), ("AWS_ENDPOINT_URL", "localhost:5000")]);
        assert!(endpoint.unwrap().contains("`AWS_ENDPOINT_URL` is `localhost:5000`"));
    }
}
