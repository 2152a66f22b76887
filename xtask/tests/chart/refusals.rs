//! What the chart refuses, and that it says where.

use super::helm::helms;
use super::systems::{sample, samples};
use serde_json::{Value, json};

#[test]
fn the_values_of_every_system_are_what_the_schema_says() {
    for helm in skip::unless!(helms()) {
        for sample in samples() {
            let problems = helm.lint(&sample.values);
            assert_eq!(problems, Ok(()), "{}: {}", helm.version, sample.what);
        }
    }
}

/// Values with something else in one place.
fn with(mut values: Value, pointer: &str, wrong: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    values.pointer_mut(parent).unwrap()[key] = wrong;
    values
}

fn without(mut values: Value, pointer: &str) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    values.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(key).unwrap();
    values
}

#[track_caller]
fn refused(values: &Value, place: &str, word: &str) {
    for helm in helms().unwrap() {
        let Err(said) = helm.manifests(values) else { panic!("{}: `{place}` is taken", helm.version) };
        // One Helm writes paths with dots, the other with slashes.
        let named = [place.to_owned(), place.replace('.', "/")].iter().any(|place| said.contains(place));
        assert!(named && said.contains(word), "{}: no `{place}` with `{word}` in: {said}", helm.version);
    }
}

#[test]
fn a_wrong_value_is_refused_with_its_path() {
    skip::unless!(helms());
    let wrong = [
        ("/system", json!("1shortener")),
        ("/deploymentId", json!("")),
        ("/filesPath", json!("files")),
        ("/storageClass", json!("a b")),
        ("/ingress/class", json!("")),
        ("/ingress/annotations/x", json!(true)),
        ("/ingress/sources/cidrs", json!(["10.0.0.0"])),
        ("/services/shortener/image", json!("<digest of shortener>")),
        ("/services/shortener/image", json!("")),
        ("/services/shortener/port", json!(0)),
        ("/services/shortener/port", json!("8000")),
        ("/services/shortener/port", json!(65536)),
        ("/services/shortener/replicas", json!(0)),
        ("/services/shortener/scale/max", json!(0)),
        ("/services/shortener/scale/settleSeconds", json!(3601)),
        ("/services/shortener/env/LOG", json!(1)),
        ("/services/shortener/user/uid", json!(0)),
        ("/services/shortener/user/uid", json!("redis")),
        ("/services/shortener/resources/memory", json!("64MB")),
        ("/services/shortener/resources/cpu", json!("0.5")),
        ("/services/shortener/probes/ready/http", json!("readyz")),
        ("/services/shortener/probes/startSeconds", json!(0)),
        ("/services/shortener/public/host", json!("a_b")),
        ("/services/shortener/team", json!("A team")),
        ("/services/redis/storage/size", json!("1GB")),
        ("/services/redis/secret/name", json!("")),
    ];
    for (pointer, value) in wrong {
        let (values, place) = (with(sample("shortener", 2), pointer, value), pointer[1..].replace('/', "."));
        // The Helms disagree on how a place within a list is written.
        refused(&values, &place, "");
    }
}

#[test]
fn what_nobody_knows_or_what_is_missing_is_refused_with_the_place_it_is_in() {
    skip::unless!(helms());
    for (place, key) in
        [("", "/rpelicas"), ("services.redis", "/services/redis/rpelicas"), ("egress", "/egress/extras")]
    {
        let mut values = sample("shortener", 2);
        values["egress"] = json!({"extra": []});
        refused(&with(values, key, json!(1)), place, key.rsplit_once('/').unwrap().1);
    }
    for (place, key) in [("", "/deploymentId"), ("services.redis", "/services/redis/image")] {
        refused(&without(sample("shortener", 2), key), place, key.rsplit_once('/').unwrap().1);
    }
}

#[test]
fn what_does_not_fit_together_is_refused_with_its_path() {
    skip::unless!(helms());
    // What stores something is alone.
    refused(&with(sample("shortener", 2), "/services/redis/replicas", json!(2)), "services.redis.replicas", "1");
    let scale = json!({"max": 3, "cpuUtilization": 70, "settleSeconds": 0});
    refused(&with(sample("shortener", 2), "/services/redis/scale", scale), "services.redis.scale", "");
    // A service needs what is there.
    let needs = with(sample("shortener", 2), "/services/shortener/needs", json!(["cache"]));
    refused(&needs, "services.shortener.needs", "cache");
    // A public one is reached by somebody.
    refused(&without(sample("shortener", 2), "/ingress"), "ingress", "services.shortener");
    let sources = with(sample("shortener", 2), "/ingress/sources/namespaces", json!([]));
    refused(&sources, "ingress.sources", "shortener");
    // One probe asks in one way.
    let both = json!({"http": "/", "tcp": true});
    refused(&with(sample("shortener", 2), "/services/redis/probes/live", both), "services.redis.probes.live", "");
}
