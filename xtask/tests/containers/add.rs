//! `add`: what it writes deploys as it is.

use super::contract::Deployed;
use super::deployment::Deployment;
use super::sandbox::get;
use super::strangers::repository;
use std::fs;
use std::path::Path;

const COMPOSE: &str = r#"services:
  site:
    build: { context: ../pages, args: { GREETING: "${WORD:-hello}" } }
    ports: ["8088:8000"]
    environment: [STORE_HOST=store]
    restart: always
  store:
    image: redis:7.4
    volumes: ["kept:/data"]
volumes: { kept: }
"#;

/// A repository of strangers without any system, where `name` is added.
fn added(name: &str) -> skip::Found<Deployment> {
    Deployment::in_folder(
        || {
            let root = repository(name);
            fs::remove_file(root.join("deploy/systems/pages.toml")).unwrap();
            root
        },
        name,
    )
}

fn read(root: &Path, path: &str) -> String {
    fs::read_to_string(root.join(path)).unwrap()
}

#[test]
fn a_folder_with_a_dockerfile_becomes_a_system() {
    let deployment = skip::unless!(added("added"));
    let (sandbox, root) = (&deployment.sandbox, &deployment.sandbox.root);
    let file = root.join("deploy/systems/pages.toml");
    let told = sandbox.xtask(["add", "pages"]).exits(2).stderr;
    assert!(told.contains("this is not a terminal") && !file.exists(), "{told}");
    let planned = sandbox.xtask(["add", "pages", "--dry-run"]).success().stdout;
    assert!(planned.contains("dockerfile = \"pages\"") && !file.exists(), "{planned}");
    // Whoever knows better than the Dockerfile says so.
    let told = sandbox.xtask(["add", "pages", "--port", "9321", "--dry-run"]).success().stdout;
    assert!(told.contains("port = 9321") && !told.contains("exposes"), "{told}");
    for wrong in [["pages", "--port", "0"], ["busybox:1.37", "--port", "80"]] {
        let told = sandbox.xtask([&["add"][..], &wrong, &["--dry-run"]].concat()).exits(2).stderr;
        assert!(told.contains("`--port"), "{told}");
    }
    let written = sandbox.xtask(["add", "pages", "--yes", "--json"]).success().json();
    assert_eq!((&written["result"], &written["file"]), (&"written".into(), &"deploy/systems/pages.toml".into()));
    assert_eq!(written["text"].as_str().unwrap(), read(root, "deploy/systems/pages.toml"));
    let told = sandbox.xtask(["add", "pages", "--yes"]).exits(2).stderr;
    assert!(told.contains("is there already"), "{told}");

    assert_eq!(deployment.deploy(&[])["result"], "deployed");
    assert_eq!(get(&sandbox.via("pages"), "/greeting").unwrap().1.trim(), "none");
    deployment.ends_clean();
}

#[test]
fn an_image_is_run_once_and_leaves_nothing() {
    let deployment = skip::unless!(added("tried"));
    let (sandbox, root) = (&deployment.sandbox, &deployment.sandbox.root);
    let pins = read(root, "deploy/images.toml");
    sandbox.xtask(["add", "docker.io/library/redis:7.4", "--name", "kv", "--yes"]).success();
    let text = read(root, "deploy/systems/kv.toml");
    for line in ["image = \"redis\"", "port = 6379", "It was run once, confined"] {
        assert!(text.contains(line), "no `{line}` in\n{text}");
    }
    assert_eq!(read(root, "deploy/images.toml"), pins, "it has a name already");
    let label = format!("label=dev.slipway.look={}", root.display());
    for kind in [&["ps", "--all"][..], &["network", "ls"]] {
        let left = deployment.engine.run([kind, &["--quiet", "--filter", &label]].concat()).success().stdout;
        assert_eq!(left, "", "{kind:?}");
    }
    let told = sandbox.xtask(["add", "docker.io/library/no-such-image:1", "--yes"]);
    assert!(told.code() != 0 && !root.join("deploy/systems/no-such-image.toml").exists());
    assert_eq!(deployment.deploy(&[])["result"], "deployed");
    deployment.ends_clean();
}

#[test]
fn a_compose_file_becomes_a_system() {
    let deployment = skip::unless!(added("composed"));
    let (sandbox, root) = (&deployment.sandbox, &deployment.sandbox.root);
    fs::create_dir_all(root.join("shop")).unwrap();
    fs::write(root.join("shop/compose.yaml"), COMPOSE).unwrap();
    fs::write(root.join("shop/.env"), "WORD=welcome\n").unwrap();
    sandbox.xtask(["add", "shop", "--yes"]).success();
    let text = read(root, "deploy/systems/shop.toml");
    assert!(text.contains("host_port = 8088") && text.contains("needs = [\"store\"]"), "{text}");
    assert_eq!(deployment.deploy(&[])["result"], "deployed");
    assert_eq!(get(&sandbox.via("site"), "/greeting").unwrap().1.trim(), "welcome");
    deployment.ends_clean();
}
