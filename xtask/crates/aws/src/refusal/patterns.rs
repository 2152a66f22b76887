//! The words and codes by which AWS's refusals are told apart.
//!
//! The CLI's own words are those of botocore (`botocore/exceptions.py`); the codes are each service's, most of them after
//! the pattern that the lists below go by.

use super::Trouble;

/// One error of AWS's, taken apart.
pub(super) struct Said<'s> {
    pub(super) code: &'s str,
    pub(super) operation: &'s str,
    pub(super) words: String,
}

const BEGINNING: &str = "An error occurred (";

/// `None` when the words are the CLI's own.
pub(super) fn said(stderr: &str) -> Option<Said<'_>> {
    let (_, rest) = stderr.split_once(BEGINNING)?;
    let (code, rest) = rest.split_once(") when calling the ")?;
    let (operation, rest) = rest.split_once(" operation")?;
    // `(reached max retries: 0)` speaks of how the CLI was called.
    let (_, words) = rest.split_once(": ").filter(|(between, _)| between.is_empty()).or_else(|| {
        let (_, words) = rest.strip_prefix(" (reached max retries")?.split_once("): ")?;
        Some(("", words))
    })?;
    // Further fields stand in a paragraph of their own.
    let words = words.split("\n\n").next().unwrap_or_default();
    Some(Said { code, operation, words: words.split_whitespace().collect::<Vec<_>>().join(" ") })
}

/// Codes of one kind: equal to one of the first, or with one of the second in it.
type Codes = (Trouble, &'static [&'static str], &'static [&'static str]);

/// The first that fits decides.
const CODES: [Codes; 8] = [
    (
        Trouble::Throttled,
        &["SlowDown", "RequestLimitExceeded", "BandwidthLimitExceeded", "PriorRequestNotComplete", "429"],
        &["Throttl", "TooManyRequests"],
    ),
    (Trouble::Expired, &["RequestExpired", "TokenRefreshRequired"], &["ExpiredToken"]),
    (
        Trouble::Unknown,
        &[
            "AuthFailure",
            "UnrecognizedClientException",
            "InvalidSignatureException",
            "InvalidToken",
            "RequestTimeTooSkewed",
            "401",
        ],
        &[
            "InvalidClientTokenId",
            "InvalidAccessKeyId",
            "SignatureDoesNotMatch",
            "IncompleteSignature",
            "MissingAuthenticationToken",
        ],
    ),
    (
        Trouble::Denied,
        &[
            "UnauthorizedOperation",
            "UnauthorizedException",
            "UnauthorizedAccess",
            "Forbidden",
            "ForbiddenException",
            "403",
        ],
        &["AccessDenied", "AuthorizationError", "NotAuthorized"],
    ),
    (
        Trouble::InUse,
        &["DependencyViolation", "DeleteConflict", "BucketNotEmpty", "HostedZoneNotEmpty"],
        &["InUse", "NotEmptyException"],
    ),
    (
        Trouble::Conflict,
        &["PreconditionFailed", "ConditionalRequestConflict", "OperationAborted", "ConflictException", "412", "409"],
        &["AlreadyExists", "AlreadyOwned", "Duplicate", "ConcurrentModification", "QueueNameExists"],
    ),
    (Trouble::Absent, &["404"], &["NotFound", "NoSuch", "NonExistent", "DoesNotExist"]),
    (
        Trouble::Unanswered,
        &["InternalError", "InternalFailure", "RequestTimeout", "RequestTimeoutException", "Unavailable"],
        &["InternalServer", "InternalService", "ServerException", "ServiceUnavailable", "ServerInternal"],
    ),
];

pub(super) fn of_code(said: &Said<'_>) -> Trouble {
    // Whoever holds a session asks for its keys first, and is told so when it has ended.
    let session = matches!(said.operation, "GetRoleCredentials" | "CreateToken" | "CreateOAuth2Token");
    if session && said.code.starts_with("Unauthorized") || said.code.starts_with("InvalidGrant") {
        return Trouble::Expired;
    }
    let code = said.code;
    let fits = |(_, whole, part): &&Codes| whole.contains(&code) || part.iter().any(|part| code.contains(part));
    match CODES.iter().find(fits).map(|(trouble, ..)| *trouble) {
        // Some services say so of what is there already.
        Some(Trouble::InUse) if said.words.contains("already exists") => Trouble::Conflict,
        Some(trouble) => trouble,
        None if said.words.starts_with("Rate exceeded") => Trouble::Throttled,
        None if code.len() == 3 && code.starts_with('5') => Trouble::Unanswered,
        None => Trouble::Other,
    }
}

/// Parts of what the CLI says by itself.
const WORDS: [(Trouble, &[&str]); 3] = [
    (
        Trouble::Expired,
        &[
            "Token has expired",
            "has expired or is otherwise invalid",
            "session has expired",
            "Error loading SSO Token",
            "Error loading login session token",
            "Error when retrieving token from",
        ],
    ),
    (
        Trouble::Unknown,
        &[
            "Unable to locate credentials",
            "could not be found",
            "Partial credentials found",
            "Error when retrieving credentials from",
            "Unable to locate authorization token",
        ],
    ),
    (
        Trouble::Unanswered,
        &[
            "Could not connect to the endpoint URL",
            "onnect timeout on endpoint URL",
            "Read timeout on endpoint URL",
            "Connection was closed before",
            "Failed to connect to proxy URL",
            "SSL validation failed",
            "An HTTP Client",
            "An error occurred while reading from response stream",
            "Connection broken",
            "total bytes expected is",
            "Unable to parse response",
        ],
    ),
];

pub(super) fn of_words(stderr: &str) -> Trouble {
    let fits = |(_, parts): &&(Trouble, &[&str])| parts.iter().any(|part| stderr.contains(part));
    WORDS.iter().find(fits).map_or(Trouble::Other, |(trouble, _)| *trouble)
}

/// The last line that says something, without the CLI's own beginning.
pub(super) fn last_words(stderr: &str) -> String {
    let mut lines = stderr.lines().map(str::trim).filter(|line| !line.is_empty());
    // A usage error lists all that would have been right after what was wrong.
    let usage = stderr.lines().map(str::trim).find(|line| line.starts_with("aws: error: "));
    let line = usage.or_else(|| lines.next_back()).unwrap_or("it said nothing");
    ["aws: [ERROR]: ", "aws: error: "].iter().fold(line, |line, start| line.trim_start_matches(start)).to_owned()
}

/// The action that is missing, where AWS names it.
pub(super) fn action(words: &str) -> Option<&str> {
    let (_, rest) = words.split_once("not authorized to perform: ")?;
    let end = rest.find(|c: char| c.is_whitespace() || c == ',').unwrap_or(rest.len());
    Some(rest[..end].trim_end_matches('.')).filter(|action| action.contains(':'))
}

/// The action that a call needs, as policies name it: mostly the operation's own name
/// (docs.aws.amazon.com/service-authorization).
pub(super) fn action_of(service: &str, operation: &str) -> Option<String> {
    if operation.is_empty() {
        return None;
    }
    let service = match operation {
        "AssumeRole" | "AssumeRoleWithWebIdentity" | "GetCallerIdentity" => "sts",
        _ => service,
    };
    let prefix = match service {
        "" => return None,
        "s3api" => "s3",
        "elbv2" | "elb" => "elasticloadbalancing",
        "service-quotas" => "servicequotas",
        "resourcegroupstaggingapi" => "tag",
        other => other,
    };
    let action = match (prefix, operation) {
        ("s3", "HeadBucket" | "ListObjectsV2" | "ListObjects") => "ListBucket",
        ("s3", "HeadObject") => "GetObject",
        ("s3", "ListObjectVersions") => "ListBucketVersions",
        ("s3", "DeleteObjects") => "DeleteObject",
        ("s3", "ListBuckets") => "ListAllMyBuckets",
        ("s3", "GetPublicAccessBlock") => "GetBucketPublicAccessBlock",
        ("s3", "PutPublicAccessBlock") => "PutBucketPublicAccessBlock",
        ("s3", "GetBucketEncryption") => "GetEncryptionConfiguration",
        ("s3", "PutBucketEncryption") => "PutEncryptionConfiguration",
        (_, other) => other,
    };
    Some(format!("{prefix}:{action}"))
}

/// The times of a signature and of AWS differ.
pub(super) fn is_clock(words: &str) -> bool {
    ["Signature expired", "Signature not yet current", "too large"].iter().any(|part| words.contains(part))
}

/// What to look at when AWS is not reached.
pub(super) fn way_in(words: &str) -> &'static str {
    if words.contains("SSL") {
        "an intercepting proxy needs its certificate in `AWS_CA_BUNDLE`"
    } else if words.contains("proxy") {
        "is `HTTPS_PROXY` right?"
    } else {
        "check the network, `region` and `AWS_ENDPOINT_URL`, then run the same command again"
    }
}

#[cfg(test)]
#[path = "patterns_tests.rs"]
mod tests;
