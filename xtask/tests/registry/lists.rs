//! One image for several platforms, put together by real engines.

use super::place::{Door, Own, PASSWORD, Scratch, Server, docker, me, podman, proc, step};
use base::ctx::Vars;
use base::http;
use base::http::Request;
use images::auth::{AuthFile, Credentials};
use model::container::{EngineKind, Platform};
use model::image::ImagePin;
use serde_json::Value;
use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

/// What a registry has, as JSON.
fn list(host: &str, digest: &str) -> Value {
    let url = format!("http://{host}/v2/try/x/manifests/{digest}").parse().unwrap();
    let mut request = Request::get(url, Duration::from_secs(10));
    let kinds = "application/vnd.docker.distribution.manifest.list.v2+json";
    request.headers = [("Accept", kinds), ("Authorization", "Basic bWU6c2VjcmV0")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    serde_json::from_slice(&http::send(&request, &|| false).unwrap().body).unwrap()
}

/// The platforms of a list, each with its image.
fn entries(list: &Value, repository: &str) -> Vec<(String, String)> {
    let entry = |one: &Value| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let platform = &one["platform"];
        let name = format!("{}/{}", text(&platform["os"]), text(&platform["architecture"]));
        (name, format!("{repository}@{}", text(&one["digest"])))
    };
    list["manifests"].as_array().unwrap().iter().map(entry).collect()
}

#[test]
fn images_for_several_platforms_become_one_by_either_engine() {
    let (podman, server) = (skip::unless!(podman()), skip::unless!(Server::start(Door::Locked)));
    let (scratch, host) = (Scratch::new("list"), server.host());
    let build = |platform: Platform| {
        let name = format!("{host}/try/x:{}", platform.architecture());
        Own::build(&podman, &scratch, &name, platform)
    };
    let own = Platform::ALL.map(build);
    let names = own.each_ref().map(|own| own.name.clone());
    let (publisher, engine) = (scratch.publisher(&host, me(&host, PASSWORD)), podman.clone());
    let sent = step(move |cx| {
        let send = |(platform, name): (Platform, &ImagePin)| {
            let digest = publisher.push(cx, &engine, name, platform)?;
            Ok((platform, format!("{}@{digest}", name.repository)))
        };
        Platform::ALL.into_iter().zip(&names).map(send).collect::<anyhow::Result<Vec<_>>>()
    });
    let images = sent.value.unwrap();
    let docker = docker();
    if docker.is_err() {
        skip::part("one image for several platforms, by docker: its client is not on PATH");
    }
    for engine in [Ok(podman.clone()), docker].into_iter().flatten() {
        let index: ImagePin = format!("{host}/try/x:all-{}", engine.kind).parse().unwrap();
        if engine.kind == EngineKind::Podman {
            // What a killed run has left of it is in nobody's way.
            proc().read(&engine.command().args(["manifest", "create", &index.to_string()])).unwrap();
        }
        let (publisher, name, sent) = (scratch.publisher(&host, me(&host, PASSWORD)), index.clone(), images.clone());
        let ran = step(move |cx| publisher.push_index(cx, &engine, &name, &sent));
        let digest = ran.value.unwrap_or_else(|fault| panic!("{fault}\n{}", ran.journal));
        let wanted: BTreeSet<_> =
            images.iter().map(|(platform, image)| (platform.to_string(), image.clone())).collect();
        // podman puts them in any order.
        let listed = entries(&list(&host, digest.as_str()), index.repository.as_str());
        assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), wanted);
        assert_eq!(podman.image(&proc(), &index.to_string()).unwrap(), None, "the engine keeps no list");
        assert!(!ran.journal.contains(PASSWORD), "{}", ran.journal);
    }
}

/// The folder that holds credentials takes the place of the user's own.
#[test]
fn docker_reaches_its_engine_with_the_credentials_of_one_run() {
    let engine = skip::unless!(docker());
    let scratch = Scratch::new("context");
    let own = scratch.0.join("own");
    std::fs::create_dir_all(&own).unwrap();
    let run = |folder: &std::path::Path, args: &[&str]| {
        let mut command = Command::new(&engine.program);
        command.env_remove("DOCKER_HOST").env_remove("DOCKER_CONTEXT").env_remove("DOCKER_CONFIG");
        let output = command.arg("--config").arg(folder).args(args).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        (text(&output.stdout), text(&output.stderr))
    };
    run(&own, &["context", "create", "elsewhere", "--docker", "host=unix:///nobody/listens"]);
    run(&own, &["context", "use", "elsewhere"]);
    let vars = Vars::of([("DOCKER_CONFIG", own.to_str().unwrap())]);
    let credentials = Credentials::new("h.example", "me", PASSWORD);
    let file = AuthFile::new(&scratch.push(), EngineKind::Docker, &credentials, &vars).unwrap();
    assert_eq!(run(file.path(), &["context", "show"]).0, "elsewhere");
    let push = run(file.path(), &["push", "h.example/x:1"]).1;
    assert!(push.contains("unix:///nobody/listens"), "{push}");
    drop(file);
    assert_eq!(run(&own, &["context", "show"]).0, "elsewhere");
}
