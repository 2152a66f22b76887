//! The smoke contract of a system: what it must answer, and who must not reach what. Data only; `engine::smoke` runs it.

use super::name::ServiceName;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// One request and what it must be answered with. Checks of a system run in their order, so that a later one can
/// use what an earlier one captured.
#[derive(Debug, Clone, PartialEq)]
pub struct SmokeCheck {
    /// What is proven, as a sentence for people: "an unknown key is a 404".
    pub name: String,
    pub service: ServiceName,
    pub method: Method,
    /// Path and query. May hold `${random}` (new for each run, the same within one) and captured names.
    pub path: String,
    pub headers: BTreeMap<String, String>,
    /// The body, sent as JSON.
    pub body: Option<Value>,
    pub expect: Expectation,
    /// Name to JSON pointer (RFC 6901) into the answer's body.
    pub capture: BTreeMap<String, String>,
    /// How long the check is repeated until it holds. Zero: it must hold at once. What may have changed something is not
    /// repeated, however much time is left.
    pub within: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Delete,
}

impl Method {
    pub const ALL: [Self; 5] = [Self::Get, Self::Head, Self::Post, Self::Put, Self::Delete];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }

    /// Whether it changes nothing, however often it is sent (RFC 9110 section 9.2.1).
    pub fn is_safe(self) -> bool {
        matches!(self, Self::Get | Self::Head)
    }
}

/// Everything named must hold; what is not named is not looked at, but for a status that says that the server failed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Expectation {
    pub status: Option<u16>,
    /// Header names in lower case; the value may be `${any}`.
    pub headers: BTreeMap<String, String>,
    /// Objects are matched by the keys named here, arrays element by element, all else exactly. The strings
    /// `${any}`, `${string}`, `${integer}`, `${number}`, `${boolean}` match by kind, and `${now}` an integer that is
    /// the present epoch second within two minutes.
    pub json: Option<Value>,
    /// A text that the body contains.
    pub contains: Option<String>,
}

/// What a string in [`Expectation::json`] stands for when it stands for more than itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Any,
    String,
    Integer,
    Number,
    Boolean,
    /// An integer that is the present epoch second within two minutes.
    Now,
}

impl Kind {
    pub const NAMES: [(&str, Self); 6] = [
        ("any", Self::Any),
        ("boolean", Self::Boolean),
        ("integer", Self::Integer),
        ("now", Self::Now),
        ("number", Self::Number),
        ("string", Self::String),
    ];

    /// The kind that `${NAME}`, the whole of a string, stands for.
    pub fn of(text: &str) -> Option<Self> {
        let name = text.strip_prefix("${")?.strip_suffix('}')?;
        let kind = Self::NAMES.iter().find(|(known, _)| *known == name);
        kind.map(|(_, kind)| *kind)
    }
}

/// The name of the text that is new for each run of a contract.
pub const RANDOM: &str = "random";

/// A path that must be refused. Whether it can be on a target is that target's to say: processes of one laptop
/// share its loopback, so `host` names these as skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeniedPath {
    pub to: ServiceName,
    pub from: Origin,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Anything that is not part of the deployment.
    Outside,
    Service(ServiceName),
    /// Every service but those that need it.
    OtherServices,
}
