//! Images on their way to real registries, over connections that break.

use super::place::{Door, Own, PASSWORD, Scratch, Server, me, podman, proc, step};
use super::proxy::Flaky;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use xtask::http::{self, Request};
use xtask::image::fits;
use xtask::image::registry::Client;
use xtask::signal::Interrupts;
use xtask::spec::container::Platform;
use xtask::spec::image::{Digest, ImagePin};

const HERE: Platform = Platform::LinuxAmd64;

#[test]
fn an_image_arrives_under_the_digest_that_the_registry_says() {
    let (Some(engine), Some(server)) = (podman(), Server::start(Door::Locked)) else { return };
    let (scratch, host) = (Scratch::new("arrives"), server.host());
    let image = Own::build(&engine, &scratch, &format!("{host}/try/x:key"), HERE);
    let carrier = scratch.carrier(&host, me(&host, PASSWORD));
    let (push, name, id) = (scratch.push(), image.name.clone(), image.id.clone());
    let ran = step(move |cx| {
        let before = carrier.digest(cx, &|| unreachable!(), &name, HERE)?;
        let digest = carrier.push(cx, &engine, &name, HERE)?;
        let files: Vec<_> = std::fs::read_dir(&push)?.flatten().map(|entry| entry.file_name()).collect();
        let after = carrier.digest(cx, &|| unreachable!(), &name, HERE)?;
        Ok((before, digest, after, files.len(), carrier.is_image(cx, &name, &id), carrier.is_image(cx, &name, "other")))
    });
    let (before, digest, after, files, ours, other) = ran.value.unwrap();
    assert_eq!((before, after.as_ref(), files), (None, Some(&digest), 2));
    assert_eq!((ours, other), (Some(true), Some(false)));
    assert!(!scratch.push().exists(), "what one run was given is gone with it");
    assert!(ran.journal.contains("--authfile"), "{}", ran.journal);
    assert!(!ran.journal.contains(PASSWORD) && !ran.journal.contains("bWU6c2VjcmV0"), "{}", ran.journal);
    let asked = Client::new(&proc(), &Interrupts::default(), me(&host, PASSWORD));
    assert_eq!(asked.manifest(&image.name.repository, "key").unwrap().unwrap().digest, digest);
}

#[test]
fn a_wrong_password_fails_at_once_and_is_not_shown() {
    let (Some(engine), Some(server)) = (podman(), Server::start(Door::Locked)) else { return };
    let flaky = Flaky::before(server.address, "nothing", 0);
    let (scratch, host) = (Scratch::new("wrong"), flaky.address.to_string());
    let image = Own::build(&engine, &scratch, &format!("{host}/try/x:key"), HERE);
    for (credentials, hint) in [
        (me(&host, "hunter2"), format!("`REGISTRY_USER` and `REGISTRY_PASSWORD` have to be good for {host}")),
        (None, format!("set `REGISTRY_USER` and `REGISTRY_PASSWORD` to what {host} knows")),
    ] {
        let (carrier, name, engine) = (scratch.carrier(&host, credentials), image.name.clone(), engine.clone());
        let ran = step(move |cx| carrier.push(cx, &engine, &name, HERE));
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
    let (Some(engine), Some(server)) = (podman(), Server::start(Door::Open)) else { return };
    // What comes last breaks, as often as the engine itself tries.
    let flaky = Flaky::before(server.address, "PUT /v2/try/x/manifests/", 4);
    let (scratch, host) = (Scratch::new("broken"), flaky.address.to_string());
    let image = Own::build(&engine, &scratch, &format!("{host}/try/x:key"), HERE);
    let (carrier, name) = (scratch.carrier(&host, None), image.name.clone());
    let ran = step(move |cx| carrier.push(cx, &engine, &name, HERE));
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
    let Some(host) = std::env::var("XTASK_E2E_REGISTRY").ok().filter(|host| !host.is_empty()) else {
        eprintln!("SKIPPED: `XTASK_E2E_REGISTRY` names no registry (`localhost:5000`)");
        return;
    };
    let Some(engine) = podman() else { return };
    let (scratch, key) = (Scratch::new("hand"), format!("test-{}", std::process::id()));
    let image = Own::build(&engine, &scratch, &format!("{host}/slipway-try/x:{key}"), HERE);
    let (carrier, name) = (scratch.carrier(&host, None), image.name.clone());
    let digest: Arc<Mutex<Option<Digest>>> = Arc::default();
    let pushed = Arc::clone(&digest);
    let ran = step(move |cx| {
        let digest = carrier.push(cx, &engine, &name, HERE)?;
        *pushed.lock().unwrap() = Some(digest.clone());
        Ok((carrier.digest(cx, &|| unreachable!(), &name, HERE)?, digest))
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
    let Some(engine) = podman() else { return };
    let scratch = Scratch::new("fits");
    let foreign = Own::build(&engine, &scratch, "localhost/slipway-try/foreign:key", Platform::LinuxArm64);
    let image = engine.image(&proc(), &foreign.id).unwrap().unwrap();
    assert_eq!(fits("x", &image, Platform::LinuxArm64), Ok(()));
    let fault = fits("x", &image, HERE).unwrap_err();
    assert_eq!(fault.code, "platform-mismatch");
    assert_eq!(fault.cause, "`x` is an image for linux/arm64, and it is to run on linux/amd64");
    assert!(fault.hint.unwrap().contains("--set platforms=linux/amd64"));
}
