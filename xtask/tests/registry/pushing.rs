//! Images on their way to real registries, over connections that break.

use super::place::{Door, Own, PASSWORD, Scratch, Server, me, podman, proc, step};
use super::proxy::Flaky;
use base::http;
use base::http::Request;
use base::signal::Interrupts;
use images::fits;
use images::registry::Client;
use model::container::Platform;
use model::image::{Digest, ImagePin};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const HERE: Platform = Platform::LinuxAmd64;

#[test]
fn an_image_arrives_under_the_digest_that_the_registry_says() {
    let (engine, server) = (skip::unless!(podman()), skip::unless!(Server::start(Door::Locked)));
    let (scratch, host) = (Scratch::new("arrives"), server.host());
    let image = Own::build(&engine, &scratch, &format!("{host}/try/x:key"), HERE);
    let publisher = scratch.publisher(&host, me(&host, PASSWORD));
    let (push, name, id) = (scratch.push(), image.name.clone(), image.id.clone());
    let pushing = engine.clone();
    let ran = step(move |cx| {
        let before = publisher.digest(cx, &|| unreachable!(), &name, HERE)?;
        let digest = publisher.push(cx, &pushing, &name, HERE)?;
        let files: Vec<_> = std::fs::read_dir(&push)?.flatten().map(|entry| entry.file_name()).collect();
        let after = publisher.digest(cx, &|| unreachable!(), &name, HERE)?;
        Ok((
            before,
            digest,
            after,
            files.len(),
            publisher.is_image(cx, &name, &id),
            publisher.is_image(cx, &name, "other"),
        ))
    });
    let (before, digest, after, files, ours, other) = ran.value.unwrap();
    assert_eq!((before, after.as_ref(), files), (None, Some(&digest), 2));
    assert_eq!((ours, other), (Some(true), Some(false)));
    assert!(!scratch.push().exists(), "what one run was given is gone with it");
    assert!(ran.journal.contains("--authfile"), "{}", ran.journal);
    assert!(!ran.journal.contains(PASSWORD) && !ran.journal.contains("bWU6c2VjcmV0"), "{}", ran.journal);
    let asked = Client::new(&proc(), &Interrupts::default(), me(&host, PASSWORD));
    assert_eq!(asked.manifest(&image.name.repository, "key").unwrap().unwrap().digest, digest);
    // Whoever compares it with what the registry has gives it another name.
    let pull = engine.command().args(["pull", "--quiet", "--tls-verify=false", "--creds", &format!("me:{PASSWORD}")]);
    proc().read(&pull.arg(format!("{host}/try/x@{digest}"))).unwrap();
    engine.remove_image(&proc(), &image.name.to_string()).unwrap();
    assert_eq!(engine.image(&proc(), &image.id).unwrap(), None, "it does not stay under the registry's digest");
}

#[test]
fn a_wrong_password_fails_at_once_and_is_not_shown() {
    let (engine, server) = (skip::unless!(podman()), skip::unless!(Server::start(Door::Locked)));
    let flaky = Flaky::before(server.address, "nothing", 0);
    let (scratch, host) = (Scratch::new("wrong"), flaky.address.to_string());
    let image = Own::build(&engine, &scratch, &format!("{host}/try/x:key"), HERE);
    for (credentials, hint) in [
        (me(&host, "hunter2"), format!("`REGISTRY_USER` and `REGISTRY_PASSWORD` must be valid for {host}")),
        (None, format!("set `REGISTRY_USER` and `REGISTRY_PASSWORD` to credentials of {host}")),
    ] {
        let (publisher, name, engine) = (scratch.publisher(&host, credentials), image.name.clone(), engine.clone());
        let ran = step(move |cx| publisher.push(cx, &engine, &name, HERE));
        let fault = ran.value.unwrap_err();
        assert_eq!((fault.code, fault.hint.as_deref()), ("registry-denied", Some(hint.as_str())), "{fault}");
        assert!(fault.cause.ends_with("unauthorized: authentication required"), "{fault}");
        assert_eq!(ran.journal.matches(r#""event":"command""#).count(), 1, "{}", ran.journal);
        for secret in ["hunter2", "bWU6aHVudGVyMg=="] {
            assert!(!ran.journal.contains(secret) && !format!("{fault:?}").contains(secret), "{}", ran.journal);
        }
        assert!(!ran.journal.contains("tries again"), "{}", ran.journal);
        assert!(!scratch.push().exists());
    }
}

#[test]
fn a_broken_push_goes_on_where_it_was() {
    let (engine, server) = (skip::unless!(podman()), skip::unless!(Server::start(Door::Open)));
    // What comes last breaks, as often as the engine itself tries.
    let flaky = Flaky::before(server.address, "PUT /v2/try/x/manifests/", 4);
    let (scratch, host) = (Scratch::new("broken"), flaky.address.to_string());
    let image = Own::build(&engine, &scratch, &format!("{host}/try/x:key"), HERE);
    let (publisher, name) = (scratch.publisher(&host, None), image.name.clone());
    let ran = step(move |cx| publisher.push(cx, &engine, &name, HERE));
    assert!(ran.journal.contains("tries again in"), "{}", ran.journal);
    let direct: ImagePin = format!("{}/try/x:key", server.host()).parse().unwrap();
    let asked = Client::new(&proc(), &Interrupts::default(), None);
    assert_eq!(asked.digest(&direct.repository, "key").unwrap(), Some(ran.value.unwrap()));
    assert_eq!(flaky.requests("PUT /v2/try/x/manifests/"), 5);
    // The layer and the configuration, each once.
    assert_eq!(flaky.requests("POST /v2/try/x/blobs/uploads/"), 2, "what is there is not sent again");
}

#[test]
fn the_registry_at_hand_takes_an_image() {
    let host = std::env::var("XTASK_E2E_REGISTRY").ok().filter(|host| !host.is_empty());
    let unset = || skip::Missing::new("`XTASK_E2E_REGISTRY` names no registry (`localhost:5000`)");
    let host = skip::unless!(host.ok_or_else(unset));
    let engine = skip::unless!(podman());
    let (scratch, key) = (Scratch::new("hand"), format!("test-{}", std::process::id()));
    let image = Own::build(&engine, &scratch, &format!("{host}/slipway-try/x:{key}"), HERE);
    let (publisher, name) = (scratch.publisher(&host, None), image.name.clone());
    let digest: Arc<Mutex<Option<Digest>>> = Arc::default();
    let pushed = Arc::clone(&digest);
    let ran = step(move |cx| {
        let digest = publisher.push(cx, &engine, &name, HERE)?;
        *pushed.lock().unwrap() = Some(digest.clone());
        Ok((publisher.digest(cx, &|| unreachable!(), &name, HERE)?, digest))
    });
    let (has, digest) = ran.value.unwrap();
    assert_eq!(has, Some(digest.clone()));
    let url = format!("http://{host}/v2/slipway-try/x/manifests/{digest}").parse().unwrap();
    let remove = Request { method: "DELETE", ..Request::get(url, Duration::from_secs(10)) };
    // A registry that deletes nothing keeps it.
    let _ = http::send(&remove, &|| false);
}

#[test]
fn an_image_for_another_platform_is_refused_before_it_runs() {
    let engine = skip::unless!(podman());
    let scratch = Scratch::new("fits");
    let foreign = Own::build(&engine, &scratch, "localhost/slipway-try/foreign:key", Platform::LinuxArm64);
    let image = engine.image(&proc(), &foreign.id).unwrap().unwrap();
    assert_eq!(fits("x", &image, Platform::LinuxArm64), Ok(()));
    let fault = fits("x", &image, HERE).unwrap_err();
    assert_eq!(fault.code, "platform-mismatch");
    assert_eq!(fault.cause, "`x` is an image for linux/arm64, and it is to run on linux/amd64");
    assert!(fault.hint.unwrap().contains("--set platforms=linux/amd64"));
}
