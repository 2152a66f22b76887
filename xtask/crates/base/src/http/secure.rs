//! Requests over TLS or by way of a proxy, which `curl` makes: it has the machine's certificates, and does not follow its
//! user's settings.

use super::answer::whole;
use super::{HttpError, Request, Response, check};
use crate::http::curl;
use crate::proc;
use std::time::Duration;

/// How much longer than the request the program may take to say what came of it.
const GRACE: Duration = Duration::from_secs(2);

/// With the proxy for what is not behind TLS.
pub(super) fn send(request: &Request, proxy: Option<String>, stop: &dyn Fn() -> bool) -> Result<Response, HttpError> {
    check(request).map_err(HttpError::unsent)?;
    if stop() {
        return Err(HttpError::new("interrupted".to_owned()).unsent());
    }
    let late = || HttpError::new(format!("no answer within {}", humantime::format_duration(request.timeout)));
    let command = curl::request(request).map_err(HttpError::new).map_err(HttpError::unsent)?;
    // By this name alone it takes one for what is not behind TLS.
    let command = proxy.into_iter().fold(command, |command, proxy| command.env("http_proxy", proxy));
    let output = proc::brief(&command, request.timeout.saturating_add(GRACE), stop);
    let output = output.map_err(|error| HttpError::new(format!("{error:#}")))?;
    match output {
        None if stop() => Err(HttpError::new("interrupted".to_owned())),
        None => Err(late()),
        Some(output) if output.status.success() => whole(&output.stdout),
        Some(output) if output.status.code() == Some(curl::TOO_LATE) => Err(late()),
        Some(output) => {
            let error = HttpError::new(curl::complaint(&String::from_utf8_lossy(&output.stderr)));
            let unsent = output.status.code().is_some_and(|code| curl::BEFORE_SENDING.contains(&code));
            Err(if unsent { error.unsent() } else { error })
        }
    }
}
