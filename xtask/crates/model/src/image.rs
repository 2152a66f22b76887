//! Public images, pinned by tag and digest in `deploy/images.toml`.

use super::error::quoted;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// `docker.io/library/redis`: where an image comes from, without tag or digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository(pub(super) String);

/// `sha256:` and 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Digest(pub(super) String);

impl Repository {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `docker.io`, `localhost:5000`
    pub fn host(&self) -> &str {
        self.0.split_once('/').map_or(self.0.as_str(), |(host, _)| host)
    }

    /// `library/redis`
    pub fn path(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, path)| path)
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Digest {
    /// Of these bytes, as registries name what they hold.
    pub fn of(bytes: &[u8]) -> Self {
        Self(format!("sha256:{}", keys::Digest::of(bytes)))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// One pinned public image. Without a digest the tag is trusted, and `doctor` says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImagePin {
    pub repository: Repository,
    pub tag: String,
    pub digest: Option<Digest>,
}

impl ImagePin {
    /// What an engine fetches it by: the digest where there is one, since podman refuses to be told both.
    pub fn pull_reference(&self) -> String {
        match &self.digest {
            Some(digest) => format!("{}@{}", self.repository.0, digest.0),
            None => self.to_string(),
        }
    }
}

/// The pins by the short name that systems use.
pub type ImagePins = BTreeMap<String, ImagePin>;

impl fmt::Display for ImagePin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.repository.0, self.tag)?;
        match &self.digest {
            Some(digest) => write!(f, "@{}", digest.0),
            None => Ok(()),
        }
    }
}

impl FromStr for ImagePin {
    type Err = String;

    /// Parses `REGISTRY/PATH:TAG[@sha256:DIGEST]`, the form that every engine takes. The registry is not optional:
    /// engines differ in which one they assume.
    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = |why: &str| {
            format!(
                "{} is not a pinned image: {why}; expected `REGISTRY/PATH:TAG` or `REGISTRY/PATH:TAG@sha256:DIGEST`",
                quoted(text)
            )
        };
        let (tagged, digest) = match text.split_once('@') {
            Some((tagged, digest)) => (tagged, Some(digest)),
            None => (text, None),
        };
        // The last colon, since a registry may have a port.
        let (repository, tag) = match tagged.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, tag),
            _ => return Err(refuse("it has no tag")),
        };
        Ok(Self {
            repository: repository.parse().map_err(refuse)?,
            tag: parse_tag(tag).map_err(refuse)?,
            digest: digest.map(str::parse).transpose().map_err(refuse)?,
        })
    }
}

/// Source: the tag grammar of the OCI distribution specification 1.1.
fn parse_tag(text: &str) -> Result<String, &'static str> {
    let first = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let other = |c: char| first(c) || c == '.' || c == '-';
    let valid = text.starts_with(first) && text.chars().all(other) && text.len() <= 128;
    valid.then(|| text.to_owned()).ok_or("its tag is malformed")
}

impl FromStr for Repository {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (registry, path) = text.split_once('/').unwrap_or(("", text));
        let is_host = registry.contains(['.', ':']) || registry == "localhost";
        if !is_host {
            return Err("it names no registry such as `docker.io`");
        }
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let part = |part: &str| {
            part.starts_with(inner) && part.ends_with(inner) && part.chars().all(|c| inner(c) || "._-".contains(c))
        };
        let host = |c: char| c.is_ascii_alphanumeric() || ".:-".contains(c);
        if registry.chars().all(host) && path.split('/').all(part) {
            Ok(Self(text.to_owned()))
        } else {
            Err("its repository is malformed")
        }
    }
}

impl FromStr for Digest {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        match text.strip_prefix("sha256:") {
            Some(digits) if digits.len() == 64 && digits.chars().all(hex) => Ok(Self(text.to_owned())),
            _ => Err("its digest is malformed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_read_and_shown_the_same() {
        let digest = format!("sha256:{}", "0f".repeat(32));
        for text in ["docker.io/library/redis:7.4", "localhost:5000/a/b_c:v1", &format!("localhost/redis:7.4@{digest}")]
        {
            let pin: ImagePin = text.parse().unwrap();
            assert_eq!(pin.to_string(), text);
        }
        let pin: ImagePin = format!("localhost/redis:7.4@{digest}").parse().unwrap();
        assert_eq!(pin.pull_reference(), format!("localhost/redis@{digest}"));
        assert_eq!("localhost/redis:7.4".parse::<ImagePin>().unwrap().pull_reference(), "localhost/redis:7.4");
    }

    #[test]
    fn a_digest_stands_without_its_tag() {
        let name = |text: &str| text.parse::<ImagePin>().unwrap().pull_reference();
        assert_eq!(name("localhost:5000/a/b:1"), "localhost:5000/a/b:1");
        let digest = format!("sha256:{}", "0a".repeat(32));
        assert_eq!(name(&format!("localhost:5000/a/b:1@{digest}")), format!("localhost:5000/a/b@{digest}"));
    }

    #[test]
    fn what_engines_would_guess_at_is_refused() {
        for (text, why) in [
            ("redis:7.4", "names no registry"),
            ("library/redis:7.4", "names no registry"),
            ("docker.io/library/redis", "has no tag"),
            ("localhost:5000/redis", "has no tag"),
            ("docker.io/library/redis:", "its tag is malformed"),
            ("docker.io/library/Redis:7", "its repository is malformed"),
            ("docker.io/:7", "its repository is malformed"),
            ("docker.io/redis:7@sha256:abc", "its digest is malformed"),
            ("", "has no tag"),
        ] {
            let error = text.parse::<ImagePin>().unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
