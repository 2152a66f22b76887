//! The Kubernetes API as plain JSON over HTTP.
//!
//! `kubectl proxy` does the signing in, whatever the cluster wants for that, and answers on a Unix socket that only its
//! owner can use; one process serves all the questions of a run. Nothing here knows what is asked.

pub mod object;
mod pages;
pub mod path;
mod proxy;

use self::proxy::Proxy;
use anyhow::Result;
use base::error::Fault;
use base::fence::{Fence, LEASE_LOST};
use base::http;
use base::http::{Request, Response, Url};
use base::proc::{CommandLine, Proc};
use base::signal::Interrupts;
use serde_json::{Value, json};
use std::fmt;
use std::path::Path;
use std::time::Duration;

/// How long one question may take.
const ANSWER: Duration = Duration::from_secs(30);
/// The pauses before a question that changes nothing is asked again.
const PAUSES: [Duration; 3] = [Duration::from_millis(100), Duration::from_millis(400), Duration::from_secs(1)];
/// How a list without what is in its objects is asked for
/// (kubernetes.io/docs/reference/using-api/api-concepts/#metadata-only-fetches).
const METADATA: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
/// The reason of what is larger than any answer that is read.
const TOO_LARGE: &str = "TooLarge";
/// How what goes wrong with a program that is to sign in begins (k8s.io/client-go/plugin/pkg/client/auth/exec).
const NO_CREDENTIALS: &str = "getting credentials";
/// What owns the fields that are written here (kubernetes.io/docs/reference/using-api/server-side-apply).
pub const MANAGER: &str = "slipway";

/// An open way to one cluster's API.
pub struct Api {
    proxy: Proxy,
    interrupts: Interrupts,
    fence: Fence,
}

/// What an API server said no with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The status code; 0 when there was no answer.
    pub status: u16,
    /// `NotFound`, `AlreadyExists`, `Conflict`, `Forbidden`, `Invalid`
    pub reason: String,
    pub message: String,
}

/// Whether the cluster refused a change because nobody answers for one of its webhooks: its pods may be on their way, or
/// their Service not gone yet.
pub fn awaits_webhook(words: &str) -> bool {
    let away = ["no endpoints available", "connection refused", "not found"];
    words.contains("failed calling webhook") && away.iter().any(|sign| words.contains(sign))
}

impl Refusal {
    pub fn is_missing(&self) -> bool {
        self.status == 404
    }

    /// Somebody else has made or changed it meanwhile.
    pub fn is_conflict(&self) -> bool {
        self.status == 409
    }

    fn is_too_large(&self) -> bool {
        self.status == 0 && self.reason == TOO_LARGE
    }

    fn of(response: &Response) -> Self {
        let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        let text = |key: &str| body[key].as_str().map(str::to_owned);
        let raw = || String::from_utf8_lossy(&response.body).trim().to_owned();
        // The proxy's own words, where the cluster would have answered with an object: it did not get through.
        if response.status == 500 && !body.is_object() {
            let message = raw();
            let status = if message.starts_with(NO_CREDENTIALS) { 401 } else { 0 };
            return Self { status, ..Self::unanswered(message) };
        }
        Self {
            status: response.status,
            reason: text("reason").unwrap_or_default(),
            message: text("message").unwrap_or_else(raw),
        }
    }

    /// Nothing was asked, since somebody else may have the lease: Locked (RFC 4918 section 11.3).
    fn lost(fault: &Fault) -> Self {
        Self { status: 423, reason: LEASE_LOST.to_owned(), message: fault.cause.clone() }
    }

    pub fn unanswered(message: String) -> Self {
        Self { status: 0, reason: "Unreachable".to_owned(), message }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the cluster answered: {}", self.message)
    }
}

impl std::error::Error for Refusal {}

impl Api {
    /// Starts the proxy. `kubectl` is the command line up to and without the verb, `folder` where its socket goes: it is
    /// made, and removed with the result.
    ///
    /// # Errors
    /// When the proxy does not come up, in its own words.
    pub fn open(
        proc: &Proc,
        own_program: &Path,
        kubectl: CommandLine,
        folder: &Path,
        interrupts: &Interrupts,
    ) -> Result<Self> {
        let proxy = Proxy::start(proc, own_program, kubectl, folder, interrupts)?;
        Ok(Self { proxy, interrupts: interrupts.clone(), fence: proc.fence().clone() })
    }

    /// An object, or nothing when there is none.
    ///
    /// # Errors
    /// When the cluster refuses or does not answer.
    pub fn get(&self, path: &str) -> Result<Option<Value>, Refusal> {
        match self.read(path) {
            Ok(response) => parsed(&response).map(Some),
            Err(refusal) if refusal.is_missing() => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    /// The same, asked once and answered soon or not at all.
    ///
    /// # Errors
    /// Those of [`Api::get`].
    pub fn get_within(&self, path: &str, within: Duration) -> Result<Option<Value>, Refusal> {
        let url = Url { endpoint: self.proxy.endpoint(), path: path.to_owned() };
        match self.send(&Request::get(url, within)) {
            Ok(response) => parsed(&response).map(Some),
            Err(refusal) if refusal.is_missing() => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    /// The objects of a collection, narrowed by a label selector unless that is empty. A collection that the cluster does
    /// not know has none.
    ///
    /// # Errors
    /// Those of [`Api::get`].
    pub fn list(&self, path: &str, selector: &str) -> Result<Vec<Value>, Refusal> {
        self.list_as(path, selector, &[])
    }

    /// The same with nothing of them but their metadata, where what is in them is large and not wanted.
    ///
    /// # Errors
    /// Those of [`Api::get`].
    pub fn list_metadata(&self, path: &str, selector: &str) -> Result<Vec<Value>, Refusal> {
        self.list_as(path, selector, &[("Accept", METADATA)])
    }

    fn list_as(&self, path: &str, selector: &str, headers: &[(&str, &str)]) -> Result<Vec<Value>, Refusal> {
        let collection = path::with_query(path, &[("labelSelector", selector)]);
        match pages::all(&collection, |page| parsed(&self.read_as(page, headers)?)) {
            Err(refusal) if refusal.is_missing() => Ok(Vec::new()),
            listed => listed,
        }
    }

    /// What is not JSON: a log.
    ///
    /// # Errors
    /// Those of [`Api::get`].
    pub fn text(&self, path: &str) -> Result<String, Refusal> {
        self.read(path).map(|response| String::from_utf8_lossy(&response.body).into_owned())
    }

    /// Hands on what comes, such as a log that is followed, until it ends, `sink` wants no more, or `stop` says so.
    ///
    /// # Errors
    /// Those of [`Api::get`], and when the connection ends too early.
    pub fn stream(
        &self,
        path: &str,
        stop: &dyn Fn() -> bool,
        sink: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<(), Refusal> {
        let url = Url { endpoint: self.proxy.endpoint(), path: path.to_owned() };
        // How long there is something to come, nobody knows.
        let answer = http::stream(&Request::get(url, Duration::MAX), stop, sink);
        let response = answer.map_err(|error| Refusal::unanswered(error.to_string()))?;
        if response.is_success() { Ok(()) } else { Err(Refusal::of(&response)) }
    }

    /// # Errors
    /// When the cluster refuses or does not answer. Without an answer it may have been made.
    pub fn create(&self, collection: &str, object: &Value) -> Result<Value, Refusal> {
        self.write("POST", &managed(collection), object, "application/json")
    }

    /// # Errors
    /// Those of [`Api::create`]; a conflict when the object's `resourceVersion` is not the newest.
    pub fn replace(&self, path: &str, object: &Value) -> Result<Value, Refusal> {
        self.write("PUT", &managed(path), object, "application/json")
    }

    /// The same, answered soon or not at all.
    ///
    /// # Errors
    /// Those of [`Api::replace`].
    pub fn replace_within(&self, path: &str, object: &Value, within: Duration) -> Result<Value, Refusal> {
        self.write_within("PUT", &managed(path), object, "application/json", within)
    }

    /// Changes the parts that `patch` names (RFC 7386).
    ///
    /// # Errors
    /// Those of [`Api::create`].
    pub fn merge(&self, path: &str, patch: &Value) -> Result<Value, Refusal> {
        self.write("PATCH", &managed(path), patch, "application/merge-patch+json")
    }

    /// Makes the object or gives it these fields, whoever had them before.
    ///
    /// # Errors
    /// Those of [`Api::create`].
    pub fn apply(&self, path: &str, object: &Value) -> Result<Value, Refusal> {
        let path = path::with_query(path, &[("fieldManager", MANAGER), ("force", "true")]);
        self.write("PATCH", &path, object, "application/apply-patch+yaml")
    }

    /// Asks for the object's removal; its dependents go first when `foreground` is set. Whether it was there.
    ///
    /// # Errors
    /// Those of [`Api::create`].
    pub fn delete(&self, path: &str, foreground: bool) -> Result<bool, Refusal> {
        self.delete_with(path, if foreground { "Foreground" } else { "Background" })
    }

    /// Asks for the object's removal alone; its dependents stay for whoever selects them next. Whether it was there.
    ///
    /// # Errors
    /// Those of [`Api::create`].
    pub fn delete_alone(&self, path: &str) -> Result<bool, Refusal> {
        self.delete_with(path, "Orphan")
    }

    fn delete_with(&self, path: &str, policy: &str) -> Result<bool, Refusal> {
        let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": policy});
        match self.write("DELETE", path, &options, "application/json") {
            Ok(_) => Ok(true),
            Err(refusal) if refusal.is_missing() => Ok(false),
            Err(refusal) => Err(refusal),
        }
    }

    fn write(&self, method: &'static str, path: &str, body: &Value, kind: &str) -> Result<Value, Refusal> {
        self.write_within(method, path, body, kind, ANSWER)
    }

    fn write_within(
        &self,
        method: &'static str,
        path: &str,
        body: &Value,
        kind: &str,
        timeout: Duration,
    ) -> Result<Value, Refusal> {
        self.fence.check(&|| self.interrupts.stopping()).map_err(|fault| Refusal::lost(&fault))?;
        let headers = vec![("Content-Type".to_owned(), kind.to_owned())];
        let url = Url { endpoint: self.proxy.endpoint(), path: path.to_owned() };
        let body = Some(body.to_string().into_bytes());
        let response = self.send(&Request { method, url, headers, body, timeout })?;
        parsed(&response)
    }

    /// A question that changes nothing is asked again when the cluster has no time for it, or is not there for a moment.
    fn read(&self, path: &str) -> Result<Response, Refusal> {
        self.read_as(path, &[])
    }

    fn read_as(&self, path: &str, headers: &[(&str, &str)]) -> Result<Response, Refusal> {
        let url = Url { endpoint: self.proxy.endpoint(), path: path.to_owned() };
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let request = Request { headers, ..Request::get(url, ANSWER) };
        for pause in PAUSES {
            match self.send(&request) {
                Err(refusal) if matches!(refusal.status, 0 | 429 | 500 | 502..=504) && !refusal.is_too_large() => {
                    if self.interrupts.pause(pause) {
                        return Err(refusal);
                    }
                }
                answer => return answer,
            }
        }
        self.send(&request)
    }

    fn send(&self, request: &Request) -> Result<Response, Refusal> {
        let ended = |error: anyhow::Error| Refusal::unanswered(format!("`kubectl proxy` exited: {error:#}"));
        self.proxy.revive().map_err(ended)?;
        // What a step has begun it also finishes after a signal; what waits looks for that itself.
        let response = http::send(request, &|| false).map_err(|error| {
            let refusal = Refusal::unanswered(error.to_string());
            if error.is_too_large() { Refusal { reason: TOO_LARGE.to_owned(), ..refusal } } else { refusal }
        })?;
        if response.is_success() { Ok(response) } else { Err(Refusal::of(&response)) }
    }
}

fn managed(path: &str) -> String {
    path::with_query(path, &[("fieldManager", MANAGER)])
}

fn parsed(response: &Response) -> Result<Value, Refusal> {
    serde_json::from_slice(&response.body).map_err(|error| Refusal {
        status: response.status,
        reason: "Malformed".to_owned(),
        message: format!("an answer that is not JSON: {error}"),
    })
}

/// What a refusal means for whoever wanted something of the cluster.
pub fn fault(what: &str, refusal: &Refusal) -> Fault {
    match refusal.status {
        _ if refusal.reason == LEASE_LOST => Fault::failed(LEASE_LOST, format!("{what}: {}", refusal.message)),
        0 => Fault::could_not_run(
            "cluster-unreachable",
            format!("{what}: the cluster does not answer: {}", refusal.message),
        ),
        401 => Fault::could_not_run(
            "cluster-credentials",
            format!("{what}: the cluster does not know who asks: {}", refusal.message),
        ),
        403 => Fault::could_not_run("cluster-forbidden", format!("{what}: {}", refusal.message))
            .hint("`doctor` lists the rights that a deployment takes"),
        _ => Fault::failed("cluster-refused", format!("{what}: {}", refusal.message)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, body: &str) -> Refusal {
        Refusal::of(&Response { status, headers: Vec::new(), body: body.as_bytes().to_vec() })
    }

    #[test]
    fn the_proxy_s_own_words_are_told_from_the_cluster_s() {
        let refusal = refused(500, "dial tcp 127.0.0.1:1: connect: connection refused\n");
        assert_eq!((refusal.status, fault("look", &refusal).code), (0, "cluster-unreachable"));
        let refusal = refused(500, "getting credentials: exec: executable aws failed with exit code 255");
        assert_eq!(fault("look", &refusal).code, "cluster-credentials");
        let refusal =
            refused(500, r#"{"kind": "Status", "reason": "InternalError", "message": "etcdserver: no leader"}"#);
        assert_eq!((refusal.status, refusal.message.as_str()), (500, "etcdserver: no leader"));
    }
}
