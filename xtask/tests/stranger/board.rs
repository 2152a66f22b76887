//! What the systems in the folder `board` do, whose sources and images nobody here wrote for the tool: what each line of
//! their files is for is asked of whatever they are deployed to.

use super::super::contract::Deployed;
use super::super::contract::document::edit;
use super::super::sandbox::{Run, checkout, eventually};
use super::{pin, repository, with_charts};
use serde_json::{Value, json};
use skip::{Found, Missing};
use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// What they start from, by the names in `deploy/images.toml`.
const IMAGES: [(&str, &str); 3] = [
    ("golang", "docker.io/library/golang:1-bookworm"),
    ("nginx", "docker.io/library/nginx:1"),
    ("postgres", "docker.io/library/postgres:15"),
];
/// What a Dockerfile names by itself.
const PYTHON: &str = "docker.io/library/python:3.11-slim";

/// Finds the images, which are fetched unless they are there.
///
/// # Panics
/// If one cannot be had and the variable `XTASK_REQUIRE_BASES` is set to `1`.
pub(crate) fn images() -> Found<()> {
    let client = |program: &&str| Command::new(program).arg("ps").output().is_ok_and(|output| output.status.success());
    let missing = |reason: String| Missing::unless_required(reason, "XTASK_REQUIRE_BASES");
    let engine =
        ["docker", "podman"].into_iter().find(client).ok_or_else(|| missing("no engine answers".to_owned()))?;
    for image in IMAGES.iter().map(|(_, image)| *image).chain([PYTHON]) {
        let asked = |args: &[&str]| Run::of(Command::new(engine).args(args).arg(image));
        if asked(&["image", "inspect"]).code() != 0 {
            let pull = asked(&["pull", "--quiet"]);
            if pull.code() != 0 {
                return Err(missing(format!("`{image}` cannot be had: {}", pull.stderr.trim())));
            }
        }
    }
    Ok(())
}

/// Makes a repository with these of the systems.
pub(crate) fn of_board(root: PathBuf, systems: &[&str]) -> PathBuf {
    let root = with_charts(repository(root, &[]));
    add(&root, systems);
    root
}

/// Adds these of the systems to a repository.
pub(crate) fn add(root: &Path, systems: &[&str]) {
    let board = checkout().join("xtask/tests/stranger/board");
    for folder in ["api", "front", "relay"] {
        remote_tools::scratch::copy(&board.join(folder), &root.join(folder)).unwrap();
    }
    for system in systems.iter().map(|name| format!("systems/{name}.toml")) {
        fs::create_dir_all(root.join("deploy/systems")).unwrap();
        fs::copy(board.join(&system), root.join("deploy").join(&system)).unwrap();
    }
    pin(root, &IMAGES);
}

/// Leaves the port of plain TCP to the network, for targets that lead nobody there from outside.
pub(crate) fn keep_the_line_inside(root: &Path) {
    edit(&root.join("deploy/systems/relay.toml"), "speaks = \"tcp\", public = true", "speaks = \"tcp\"");
}

/// The body of what a service answers a `GET` with.
#[track_caller]
fn page(deployment: &impl Deployed, service: &str, path: &str) -> String {
    let (status, body) = deployment.get(service, path).unwrap();
    assert_eq!(status, 200, "{path} of `{service}`: {body}");
    body
}

/// What a service is told of where it is reached: on a machine by the address, which is the one that `status` has a name for.
#[track_caller]
fn public_url(deployment: &impl Deployed, service: &str) -> String {
    let status = deployment.sandbox().status(service);
    let url = status["url"].as_str().unwrap_or_else(|| panic!("{status:#}"));
    url.trim_end_matches('/').replace("//localhost:", "//127.0.0.1:")
}

/// The program FROM scratch, and the worker that has asked it by gRPC.
#[track_caller]
pub(crate) fn relay_is_asked_by_its_worker(deployment: &impl Deployed) {
    let said = || serde_json::from_str::<Value>(&page(deployment, "relay", "/")).unwrap();
    let beats = said()["beats"].as_u64().unwrap();
    eventually("one more answer by gRPC", || {
        if said()["beats"].as_u64() > Some(beats) { Ok(()) } else { Err(String::new()) }
    });
    assert_eq!(said()["revision"], "seven");
    let worker = deployment.sandbox().status("worker");
    assert_eq!((&worker["state"], &worker["url"]), (&json!("running"), &Value::Null), "{worker:#}");
}

/// One image is built of a Dockerfile that two services have.
#[track_caller]
pub(crate) fn relay_is_built_once(deployment: &impl Deployed) {
    let built = deployment.sandbox().xtask(["build", "relay", "--json", "--dry-run"]).success().json();
    let built = built["images"].as_array().unwrap();
    let id = |image: &Value| image["id"].as_str().map(str::to_owned);
    assert_eq!((built.len(), id(&built[0])), (2, id(&built[1])), "{built:#?}");
    assert!(id(&built[0]).is_some() && built.iter().all(|image| image["result"] == "cached"), "{built:#?}");
}

/// Its public port of plain TCP, on a machine.
#[track_caller]
pub(crate) fn relay_speaks_to_whoever_connects(deployment: &impl Deployed) {
    let kept = fs::read_to_string(deployment.sandbox().home().join("ports.json")).unwrap();
    let kept = serde_json::from_str::<Value>(&kept).unwrap();
    let line = &kept["relay.line"];
    let port = u16::try_from(line.as_u64().or(line["port"].as_u64()).unwrap()).unwrap();
    let mut connection = TcpStream::connect(("127.0.0.1", port)).unwrap();
    connection.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut said = String::new();
    connection.read_to_string(&mut said).unwrap();
    assert_eq!(said, "relay speaks\n");
}

/// nginx with its configuration and a folder of ours, and beside it by its path the service that has the notes.
#[track_caller]
pub(crate) fn board_has_one_name(deployment: &impl Deployed) {
    assert!(page(deployment, "front", "/").contains("<title>Board</title>"));
    for (name, value) in [("PORT", "the left one"), ("discovery.type", "single-node"), ("LISTEN_ADDRESS", "0.0.0.0")] {
        assert!(deployment.has_variable("front", name, value), "{name}");
    }
    let url = public_url(deployment, "api");
    // By the path of the public name, and through nginx by a further name within.
    for path in ["/api", "/inside/"] {
        let said = serde_json::from_str::<Value>(&page(deployment, "front", path)).unwrap();
        assert_eq!((&said["title"], &said["url"]), (&json!("A board"), &json!(url)), "{path}");
    }
}

fn notes(deployment: &impl Deployed) -> Vec<String> {
    let said = serde_json::from_str::<Value>(&page(deployment, "front", "/api")).unwrap();
    said["notes"].as_array().unwrap().iter().map(|note| note.as_str().unwrap().to_owned()).collect()
}

/// What jobs have written before and after the release and when asked is kept when another version of the database starts.
#[track_caller]
pub(crate) fn board_keeps_what_its_jobs_note(deployment: &impl Deployed) {
    deployment.sandbox().xtask(["run", "note"]).success();
    let noted = notes(deployment);
    // The first is the smoke check's, which comes after the job that follows the release.
    for note in ["welcome", "\"smoke\"", "by hand"] {
        assert!(noted.iter().any(|known| known == note), "no `{note}` in {noted:?}");
    }
    let file = deployment.sandbox().root.join("deploy/systems/board.toml");
    edit(&file, "POSTGRES_DB = \"board\"", "POSTGRES_DB = \"board\", TZ = \"UTC\"");
    // The table is there, so that the job before a release would fail were it to run once more.
    assert_eq!(deployment.deploy(&["board"])["result"], "deployed");
    let kept = eventually("the database again", || match deployment.get("front", "/api")? {
        (200, _) => Ok(notes(deployment)),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(kept[..noted.len()], noted[..]);
}

/// The job that is due each minute has run by itself.
#[track_caller]
pub(crate) fn board_is_reminded_by_the_clock(deployment: &impl Deployed) {
    // It may have to wait for most of a minute, and then for its container.
    eventually("the note of the clock's job", || {
        let noted = notes(deployment);
        if noted.iter().any(|note| note == "remember") { Ok(()) } else { Err(format!("{noted:?}")) }
    });
}

/// Nobody but the service that needs it reaches the database. The containers of a system share a network.
#[track_caller]
pub(crate) fn board_is_confined<D: Deployed>(deployment: &D) {
    let smoke = deployment.sandbox().xtask(["smoke", "board", "--json"]).success().json();
    let checks = smoke["systems"][0]["checks"].as_array().unwrap();
    let within = if D::TARGET == "containers" { "skipped" } else { "passed" };
    for (from, outcome) in [("outside", "passed"), ("`front`", within)] {
        let name = format!("`database` is refused from {from}");
        let check = checks.iter().find(|check| check["name"] == *name).unwrap_or_else(|| panic!("{smoke:#}"));
        assert_eq!(check["outcome"], outcome, "{check:#}");
    }
}
