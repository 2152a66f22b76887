//! Images as real engines build them.

use super::place::{Place, STRANGER, building_engines, engines, engines_with, podman};
use serde_json::{Value, json};
use std::fs;

/// What both ways must agree on, whatever the layers are.
fn contract(place: &Place, reference: &str) -> Value {
    let image = place.inspect(reference);
    let config = &image["Config"];
    let health = [&config["Healthcheck"]["Test"], &image["Healthcheck"]["Test"]];
    json!({
        "user": config["User"], "entrypoint": config["Entrypoint"], "ports": config["ExposedPorts"], "env": config["Env"],
        "health": health.into_iter().find(|test| test.is_array()), "command": config["Cmd"],
    })
}

fn text<'v>(image: &'v Value, key: &str) -> &'v str {
    image[key].as_str().unwrap_or_else(|| panic!("no `{key}` in {image:#}"))
}

#[test]
fn an_image_is_built_once_and_holds_what_was_promised() {
    for found in skip::unless!(engines()) {
        let mut place = Place::on(&found);
        let built = place.images(&[]);
        for (service, word) in [("one", "hello\n"), ("two", "two\n")] {
            let image = &built[service];
            assert_eq!(
                (text(image, "result"), image["why"][0].as_str()),
                ("built", Some("no image of it was built here yet"))
            );
            assert!(text(image, "way").starts_with("on this machine: the binary needs glibc 2."), "{image:#}");
            let (reference, id) = (text(image, "image"), text(image, "id"));
            assert_eq!(reference, place.name(service, text(image, "key")));
            assert_eq!(place.image(reference).unwrap().id, id);
            let config = contract(&place, reference);
            assert_eq!(config["user"], "65532:65532");
            assert_eq!(config["entrypoint"], json!(["/service"]));
            assert_eq!(config["health"], json!(["CMD", "/service", "healthcheck"]));
            assert!(config["ports"].is_null(), "{config:#}");
            assert_eq!(place.run(id, &[]), word);
            assert_eq!(place.run(id, &["healthcheck"]), "well\n");
            assert!(["127.0.0.1\n", "::1\n"].contains(&place.run(id, &["resolve"]).as_str()));
            let labels = place.image(reference).unwrap().labels;
            assert!(labels["dev.slipway.key"].starts_with(text(image, "key")));
            assert_eq!(labels["org.opencontainers.image.title"], service);
        }
        // Without an engine that could be asked, nothing is to be done.
        place.without_engine();
        let again = place.images(&[]);
        assert_eq!((text(&again["one"], "result"), &again["one"]["id"]), ("cached", &built["one"]["id"]));
        assert_eq!(again["one"]["way"], built["one"]["way"]);
        place.build(&["--why"]).exits(0).says(&["one, linux/", "  nothing: it is current"]);
        place.edit("app/shared/src/lib.rs", "hello", "hallo");
        let why = place.build(&["--why", "--dry-run"]).exits(0);
        why.says(&["\n  app/shared/src/lib.rs changed\n", "  nothing: it is current"]);
    }
}

#[test]
fn only_what_changed_is_built_and_what_is_there_is_taken() {
    for found in skip::unless!(engines()) {
        let place = Place::on(&found);
        let first = place.images(&[]);
        place.edit("app/shared/src/lib.rs", "hello", "hallo");
        let second = place.images(&[]);
        assert_eq!((text(&second["one"], "result"), text(&second["two"], "result")), ("built", "cached"));
        assert_eq!(second["one"]["why"], json!(["app/shared/src/lib.rs changed"]));
        assert_eq!(place.run(text(&second["one"], "id"), &[]), "hallo\n");
        // Whoever built it: an image with the key is the image.
        place.edit("app/shared/src/lib.rs", "hallo", "hello");
        fs::remove_dir_all(place.root.join(".slipway/local/images")).unwrap();
        let third = place.images(&[]);
        assert_eq!((text(&third["one"], "result"), &third["one"]["id"]), ("cached", &first["one"]["id"]));
    }
}

#[test]
fn what_has_the_name_and_not_the_key_is_left_alone() {
    for found in skip::unless!(engines_with(STRANGER)) {
        let place = Place::on(&found);
        let name = place.name("one", &place.keys(&[]).0);
        place.engine(&["tag", STRANGER, &name]);
        let stranger = place.image(&name).unwrap().id;
        let run = place.build(&["--json"]).exits(1);
        run.says(&["is already another image", "and is not overwritten"]);
        assert_eq!(place.image(&name).unwrap().id, stranger);
        place.engine(&["image", "rm", &name]);
    }
}

#[test]
fn what_does_not_compile_keeps_no_other_image_from_being_built() {
    for found in skip::unless!(engines()) {
        let place = Place::on(&found);
        place.edit("app/one/src/main.rs", "fn main() {", "fn main() { missing();");
        let run = place.build(&["--json"]).exits(1);
        let document: Value = serde_json::from_str(&run.stdout).unwrap();
        let results: Vec<_> =
            document["images"].as_array().unwrap().iter().map(|image| text(image, "result")).collect();
        assert_eq!(results, ["failed", "built"]);
        let cause = text(&document["failure"], "cause");
        assert!(
            cause.contains("`one` does not compile") && cause.contains("cannot find function `missing`"),
            "{cause}"
        );
    }
}

#[test]
fn a_binary_that_is_too_new_for_the_base_is_known_the_next_time() {
    for found in skip::unless!(engines()) {
        let place = Place::on(&found);
        let bare = place.bare_image();
        place.edit("deploy/images.toml", "gcr.io/distroless/cc-debian12:nonroot", &bare);
        let before = place.keys(&[]);
        let run = place.build(&["--set", "build=host"]).exits(1);
        run.says(&[
            "`one` cannot be built on this machine: the binary needs glibc 2.",
            ", `base` has none",
            "build=auto",
        ]);
        let images = place.images(&["--dry-run"]);
        let way = text(&images["one"], "way");
        assert!(way.starts_with("inside a container: built here, the binary needs glibc 2."), "{way}");
        assert_ne!(place.keys(&[]), before);
        // Once is enough: the library that is not there was looked for a single time.
        let known = fs::read_dir(place.root.join(".slipway/local/bases")).unwrap().count();
        assert_eq!(known, 1);
        place.engine(&["image", "rm", &bare]);
    }
}

#[test]
fn two_checkouts_give_the_same_layers() {
    // docker without buildx puts the time of the build into them.
    let found = skip::unless!(podman());
    let layers = |place: &Place| {
        let images = place.images(&[]);
        ["one", "two"].map(|service| place.inspect(text(&images[service], "image"))["RootFS"]["Layers"].clone())
    };
    let (place, other) = (Place::on(&found), Place::on(&found));
    assert_eq!(layers(&place), layers(&other));
}

#[test]
fn both_ways_end_in_the_same_image() {
    for found in skip::unless!(building_engines()) {
        let place = Place::on(&found);
        let here = place.images(&[]);
        let inside = place.images(&["--set", "build=inside"]);
        for service in ["one", "two"] {
            let (here, inside) = (&here[service], &inside[service]);
            assert_eq!(text(inside, "result"), "built");
            assert_ne!(here["key"], inside["key"]);
            assert_eq!(contract(&place, text(here, "image")), contract(&place, text(inside, "image")));
            let said = |args: &[&str]| [here, inside].map(|image| place.run(text(image, "id"), args));
            assert_eq!(said(&[])[0], said(&[])[1]);
            assert_eq!(said(&["healthcheck"]), ["well\n", "well\n"]);
        }
        // What was built from another checkout's older files is not taken for what is to be built now.
        let other = Place::on(&found);
        other.edit("app/shared/src/lib.rs", "hello", "servus");
        let old = fs::File::options().append(true).open(other.root.join("app/shared/src/lib.rs")).unwrap();
        old.set_modified(std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1)).unwrap();
        let images = other.images(&["--set", "build=inside"]);
        assert_eq!(other.run(text(&images["one"], "id"), &[]), "servus\n");
    }
}
