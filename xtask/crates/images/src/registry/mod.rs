//! Asks registries what a tag stands for, by the protocol that all of them speak.
//!
//! HTTPS goes through `curl`; a registry on this machine is asked in plain HTTP, as engines do it. Whoever trusts a
//! certificate or is signed in by means of the engine's own is not known here: that is told apart, for the engine to be
//! asked instead.
//!
//! Source: the OCI distribution specification 1.1, and for tokens the specification of docker's registry.

mod challenge;
mod wire;

use super::auth::Credentials;
use super::refusal::{Kind, Refusal};
use base::http::{Response, is_here};
use base::proc::Proc;
use base::signal::Interrupts;
use challenge::Challenge;
use model::container::Platform;
use model::image::{Digest, Repository};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use wire::Question;

/// Lists for several platforms, of either maker, come before the manifests of one.
const KINDS: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json";

/// What a registry has under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    pub digest: Digest,
    /// Of the image's configuration, which is its ID; a list for several platforms has none.
    pub config: Option<Digest>,
}

/// Asks registries, as one user of one of them and as nobody elsewhere.
pub struct Client {
    proc: Proc,
    interrupts: Interrupts,
    credentials: Option<Credentials>,
    /// What was good for a repository, for as long as it is.
    admitted: Mutex<BTreeMap<String, String>>,
    within: Duration,
}

impl Client {
    pub fn new(proc: &Proc, interrupts: &Interrupts, credentials: Option<Credentials>) -> Self {
        let (proc, interrupts) = (proc.clone(), interrupts.clone());
        Self { proc, interrupts, credentials, admitted: Mutex::default(), within: wire::TIMEOUT }
    }

    /// The same, which waits as long for an answer.
    pub fn within(self, within: Duration) -> Self {
        Self { within, ..self }
    }

    /// The digest of what a tag or a digest stands for. `None`: there is nothing of this name.
    ///
    /// # Errors
    /// When the registry does not say.
    pub fn digest(&self, repository: &Repository, reference: &str) -> Result<Option<Digest>, Refusal> {
        // Some count whole answers against a limit and these not, and some leave out what is asked for.
        let Some(answer) = self.fetch(repository, reference, "HEAD")? else { return Ok(None) };
        match stated(&answer) {
            Some(digest) => Ok(Some(digest)),
            None => Ok(self.manifest(repository, reference)?.map(|manifest| manifest.digest)),
        }
    }

    /// The manifest that a tag or a digest stands for. `None`: there is nothing of this name.
    ///
    /// # Errors
    /// When the registry does not say.
    pub fn manifest(&self, repository: &Repository, reference: &str) -> Result<Option<Manifest>, Refusal> {
        let Some(answer) = self.fetch(repository, reference, "GET")? else { return Ok(None) };
        let document: Value = serde_json::from_slice(&answer.body)
            .map_err(|_| Refusal::new(Kind::Other, format!("{} did not answer with a manifest", repository.host())))?;
        let digest = Digest::of(&answer.body);
        if stated(&answer).is_some_and(|stated| stated != digest) {
            let words = format!("{} answered with a manifest of another digest than it says", repository.host());
            return Err(Refusal::new(Kind::Other, words));
        }
        let config = document["config"]["digest"].as_str().and_then(|digest| digest.parse().ok());
        Ok(Some(Manifest { digest, config }))
    }

    /// What an image says of itself, as the OCI image specification has it: `{"config": {"User": …}, …}`. Of those for
    /// several platforms it is the one for `platform`. `None`: there is no such image.
    ///
    /// # Errors
    /// When the registry does not say.
    pub fn config(
        &self,
        repository: &Repository,
        reference: &str,
        platform: Platform,
    ) -> Result<Option<Value>, Refusal> {
        let Some(mut document) = self.json(repository, "manifests", reference)? else { return Ok(None) };
        if let Some(images) = document["manifests"].as_array() {
            let is_wanted = |image: &&Value| {
                let of = &image["platform"];
                of["os"] == "linux" && of["architecture"] == platform.architecture()
            };
            let Some(digest) = images.iter().find(is_wanted).and_then(|image| image["digest"].as_str()) else {
                return Ok(None);
            };
            let Some(image) = self.json(repository, "manifests", digest)? else { return Ok(None) };
            document = image;
        }
        match document["config"]["digest"].as_str() {
            Some(digest) => self.json(repository, "blobs", digest),
            None => Ok(None),
        }
    }

    fn json(&self, repository: &Repository, sort: &str, reference: &str) -> Result<Option<Value>, Refusal> {
        let Some(answer) = self.get(repository, sort, reference, "GET")? else { return Ok(None) };
        let wrong = |_| Refusal::new(Kind::Other, format!("{} did not answer with a document", repository.host()));
        serde_json::from_slice(&answer.body).map(Some).map_err(wrong)
    }

    fn fetch(
        &self,
        repository: &Repository,
        reference: &str,
        method: &'static str,
    ) -> Result<Option<Response>, Refusal> {
        self.get(repository, "manifests", reference, method)
    }

    fn get(
        &self,
        repository: &Repository,
        sort: &str,
        reference: &str,
        method: &'static str,
    ) -> Result<Option<Response>, Refusal> {
        let url = format!("{}/v2/{}/{sort}/{reference}", base(repository.host()), path(repository));
        let admitted = self.admitted.lock().unwrap_or_else(PoisonError::into_inner).get(repository.as_str()).cloned();
        let question = Question { method, url, accept: Some(KINDS), authorization: admitted, within: self.within };
        let mut answer = self.send(&question)?;
        if answer.status == 401 {
            let authorization = self.admission(repository, &answer)?;
            answer = self.send(&Question { authorization: Some(authorization.clone()), ..question })?;
            let mut admitted = self.admitted.lock().unwrap_or_else(PoisonError::into_inner);
            admitted.insert(repository.to_string(), authorization);
        }
        match answer.status {
            200 => Ok(Some(answer)),
            404 => Ok(None),
            _ => Err(refusal(repository.host(), &answer)),
        }
    }

    /// What to say to be let in, as the registry demands it.
    fn admission(&self, repository: &Repository, answer: &Response) -> Result<String, Refusal> {
        let host = repository.host();
        let demands = answer.headers.iter().filter(|(name, _)| name == "www-authenticate");
        let challenges: Vec<Challenge> = demands.filter_map(|(_, value)| Challenge::parse(value)).collect();
        let basic = self.credentials.as_ref().filter(|credentials| credentials.host == host);
        let basic = basic.map(|credentials| format!("Basic {}", credentials.encoded()));
        for challenge in challenges {
            match (challenge, &basic) {
                (Challenge::Basic, Some(basic)) => return Ok(basic.clone()),
                (Challenge::Basic, None) => {}
                (Challenge::Bearer(demand), basic) => {
                    let scope = format!("repository:{}:pull", path(repository));
                    let url = demand.url(&scope).filter(|url| may_be_told(url, host)).ok_or_else(|| {
                        let words =
                            format!("{host} wants its tokens to be fetched from `{}`, which is not safe", demand.realm);
                        Refusal::new(Kind::Other, words)
                    })?;
                    return self.token(host, url, basic.clone());
                }
            }
        }
        Err(refusal(host, answer))
    }

    fn token(&self, host: &str, url: String, authorization: Option<String>) -> Result<String, Refusal> {
        let answer = self.send(&Question { method: "GET", url, accept: None, authorization, within: self.within })?;
        if answer.status != 200 {
            return Err(refusal(host, &answer));
        }
        let document: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let token = document["token"].as_str().or(document["access_token"].as_str());
        let token = token.ok_or_else(|| Refusal::new(Kind::Other, format!("{host} gave no token")))?;
        Ok(format!("Bearer {token}"))
    }

    fn send(&self, question: &Question) -> Result<Response, Refusal> {
        question.send(&self.proc, &self.interrupts)
    }
}

/// Credentials go over TLS, or stay on this machine when the registry itself is on it.
fn may_be_told(url: &str, host: &str) -> bool {
    url.starts_with("https://") || is_here(host) && url.strip_prefix("http://").is_some_and(is_here)
}

/// Where a registry is asked.
fn base(host: &str) -> String {
    match host {
        "docker.io" => "https://registry-1.docker.io".to_owned(),
        host if is_here(host) => format!("http://{host}"),
        host => format!("https://{host}"),
    }
}

/// docker.io keeps what has no owner under `library`.
fn path(repository: &Repository) -> String {
    match (repository.host(), repository.path()) {
        ("docker.io", path) if !path.contains('/') => format!("library/{path}"),
        (_, path) => path.to_owned(),
    }
}

fn stated(answer: &Response) -> Option<Digest> {
    answer.header("docker-content-digest").and_then(|digest| digest.trim().parse().ok())
}

fn refusal(host: &str, answer: &Response) -> Refusal {
    let kind = match answer.status {
        401 | 403 => Kind::Denied,
        408 | 429 | 500..=599 => Kind::Passing,
        _ => Kind::Other,
    };
    let document: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let said = document["errors"][0]["message"].as_str().or(document["details"].as_str());
    let said = said.map(|said| format!(": {}", said.escape_debug())).unwrap_or_default();
    let word = match answer.status {
        401 => " (unauthorized)",
        403 => " (forbidden)",
        429 => " (too many requests)",
        _ => "",
    };
    Refusal::new(kind, format!("{host} answered {}{word}{said}", answer.status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_registry_is_asked_where_it_answers() {
        let digest = |text: &str| {
            let repository: Repository = text.parse().unwrap();
            format!("{}/v2/{}", base(repository.host()), path(&repository))
        };
        assert_eq!(digest("docker.io/redis"), "https://registry-1.docker.io/v2/library/redis");
        assert_eq!(digest("docker.io/me/x"), "https://registry-1.docker.io/v2/me/x");
        assert_eq!(digest("gcr.io/a/b"), "https://gcr.io/v2/a/b");
        assert_eq!(digest("localhost:5000/a"), "http://localhost:5000/v2/a");
        assert_eq!(digest("127.3.0.1/a"), "http://127.3.0.1/v2/a");
        assert_eq!(digest("localhost.example:5000/a"), "https://localhost.example:5000/v2/a");
    }

    #[test]
    fn credentials_do_not_leave_this_machine_in_the_open() {
        assert!(may_be_told("https://auth.example/token?x", "h.example"));
        assert!(may_be_told("http://127.0.0.1:1/token?x", "localhost:5000"));
        assert!(!may_be_told("http://auth.example/token?x", "localhost:5000"));
        assert!(!may_be_told("http://127.0.0.1:1/token?x", "h.example"));
        assert!(!may_be_told("file:///etc/passwd?x", "h.example"));
        assert!(!may_be_told("http://localhost@auth.example/token?x", "localhost:5000"));
    }
}
