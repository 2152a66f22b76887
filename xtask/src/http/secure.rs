//! Requests over TLS, which `curl` makes: it has the machine's certificates, and does not follow its user's settings.

use super::answer::whole;
use super::{HttpError, Request, Response, check};
use crate::proc;
use crate::tools::curl;
use std::time::Duration;

/// How much longer than the request the program may take to say what came of it.
const GRACE: Duration = Duration::from_secs(2);

pub(super) fn send(request: &Request, stop: &dyn Fn() -> bool) -> Result<Response, HttpError> {
    check(request)?;
    if stop() {
        return Err(HttpError("interrupted".to_owned()));
    }
    let late = || HttpError(format!("no answer within {}", humantime::format_duration(request.timeout)));
    let command = curl::request(request).map_err(HttpError)?;
    let output = proc::brief(&command, request.timeout.saturating_add(GRACE), stop);
    let output = output.map_err(|error| HttpError(format!("{error:#}")))?;
    match output {
        None if stop() => Err(HttpError("interrupted".to_owned())),
        None => Err(late()),
        Some(output) if output.status.success() => whole(&output.stdout),
        Some(output) if output.status.code() == Some(curl::TOO_LATE) => Err(late()),
        Some(output) => Err(HttpError(curl::complaint(&String::from_utf8_lossy(&output.stderr)))),
    }
}
