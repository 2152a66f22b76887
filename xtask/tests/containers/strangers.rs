//! A repository of strangers: no crate but the tool, a Dockerfile of their own, nothing else is asked of it.

use super::contract::Deployed;
use super::contract::document::edit;
use super::deployment::{Deployment, unique};
use super::sandbox::{Run, failure, get, scratch};
use super::stranger;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

const DOCKERFILE: &str = r#"FROM busybox:1.37 AS site
ARG GREETING=none
WORKDIR /site
COPY . .
RUN echo "$GREETING" > greeting && busybox find . -type f > /found && busybox sort /found > list
FROM busybox:1.37
COPY --from=site /site /site
USER 65532
EXPOSE 8000
CMD ["busybox", "httpd", "-f", "-p", "8000", "-h", "/site"]
"#;

const SYSTEM: &str = r#"description = "Pages"
[services.pages]
dockerfile = "pages"
stop_within = "1s"
port = 8000
public = true
ready = { http = "/" }
[services.pages.build]
args = { GREETING = "hello" }
[services.mirror]
dockerfile = "pages"
stop_within = "1s"
port = 8000
ready = { http = "/" }
build = { args = { GREETING = "hello" } }
[[smoke]]
name = "it answers"
request = "GET /"
status = 200
"#;

/// Makes the repository.
pub(crate) fn repository(name: &str) -> PathBuf {
    let ignored = "# what nobody needs\nnotes/*\n!notes/keep.txt\n**/*.log\nDockerfile\n";
    let pages = ["index.html", "notes/draft.txt", "notes/keep.txt", "deep/er/app.log", "deep/er/page", ".slipway-not"]
        .map(|file| (format!("pages/{file}"), file));
    let files =
        [("deploy/systems/pages.toml", SYSTEM), ("pages/Dockerfile", DOCKERFILE), ("pages/.dockerignore", ignored)];
    let pages = pages.iter().map(|(path, text)| (path.as_str(), *text));
    stranger::repository(scratch().join(unique(name)), &files.into_iter().chain(pages).collect::<Vec<_>>())
}

fn images(deployment: &Deployment, args: &[&str]) -> Vec<Value> {
    let built = deployment.sandbox.xtask([&["build", "--json"], args].concat()).success().json();
    built["images"].as_array().unwrap().clone()
}

/// What the engine keeps of builds, and what has no name any more.
fn kept(deployment: &Deployment) -> String {
    let label = format!("label=dev.slipway.layers={}.pages", deployment.id());
    deployment.engine.run(["images", "--all", "--quiet", "--filter", &label]).success().stdout
}

#[test]
fn a_dockerfile_is_all_that_a_service_takes() {
    let deployment = skip::unless!(Deployment::in_folder(|| repository("strangers"), "strangers"));
    deployment.deploy(&[]);
    let ask = |path: &str| get(&deployment.sandbox.via("pages"), path).unwrap().1;
    assert_eq!(ask("/greeting").trim(), "hello");
    assert_eq!(
        ask("/list").lines().collect::<Vec<_>>(),
        [".dockerignore", ".slipway-not", "deep/er/page", "greeting", "index.html", "notes/keep.txt"]
            .map(|file| format!("./{file}")),
    );
    let both = images(&deployment, &["--dry-run"]);
    assert_eq!((&both[0]["id"], both.len()), (&both[1]["id"], 2), "what is the same is built once: {both:#?}");
    assert!(!kept(&deployment).is_empty());

    nothing_is_built_for_what_the_builder_does_not_see(&deployment);
    a_change_says_which_file(&deployment);
    what_another_system_has_built_is_taken(&deployment);
    the_commit_is_told(&deployment);
    deployment.ends_clean();
    assert_eq!(kept(&deployment), "");
}

fn nothing_is_built_for_what_the_builder_does_not_see(deployment: &Deployment) {
    let root = &deployment.sandbox.root;
    for file in ["notes/draft.txt", "deep/er/app.log", "index.html~"] {
        fs::write(root.join("pages").join(file), "changed").unwrap();
    }
    fs::create_dir_all(root.join("pages/.git")).unwrap();
    fs::write(root.join("pages/.git/index"), "changed").unwrap();
    assert_eq!(deployment.deploy(&[])["result"], "unchanged");
    let built = images(deployment, &["--dry-run"]);
    assert!(built.iter().all(|image| image["result"] == "cached"), "{built:#?}");
}

fn a_change_says_which_file(deployment: &Deployment) {
    let root = &deployment.sandbox.root;
    fs::write(root.join("pages/index.html"), "another page").unwrap();
    let built = images(deployment, &["--dry-run"]);
    assert_eq!(built[0]["why"], json!(["pages/index.html changed"]), "{built:#?}");
    let old = Deployed::running(deployment, "pages");
    assert_eq!(deployment.deploy(&[])["result"], "deployed");
    deployment.is_replaced("pages", &old);
    assert_eq!(get(&deployment.sandbox.via("pages"), "/").unwrap().1, "another page");
    edit(&root.join("deploy/systems/pages.toml"), "GREETING = \"hello\" } }", "GREETING = \"bye\" } }");
    let built = images(deployment, &["--dry-run"]);
    let result = |service: &str| built.iter().find(|image| image["service"] == service).unwrap()["result"].clone();
    assert_eq!((result("pages"), result("mirror")), (json!("cached"), Value::Null), "{built:#?}");
}

fn what_another_system_has_built_is_taken(deployment: &Deployment) {
    let root = &deployment.sandbox.root;
    let again =
        SYSTEM.split("[services.mirror]").next().unwrap().replace("pages]", "again]").replace("pages.", "again.");
    fs::write(root.join("deploy/systems/again.toml"), again.replace("port = 8000", "port = 8000\nhost_port = 8001"))
        .unwrap();
    let wanted = images(deployment, &["again", "--dry-run"]).remove(0);
    assert_eq!(wanted["why"], json!(["it was built for another service, and gets its name"]), "{wanted:#}");
    let (taken, built) = (images(deployment, &["again"]).remove(0), images(deployment, &["pages", "--dry-run"]));
    let id = |service: &str| built.iter().find(|image| image["service"] == service).unwrap()["id"].clone();
    assert_eq!((&taken["result"], &taken["id"]), (&json!("cached"), &id("pages")), "{taken:#}");
    fs::remove_file(root.join("deploy/systems/again.toml")).unwrap();
}

fn the_commit_is_told(deployment: &Deployment) {
    let root = &deployment.sandbox.root;
    edit(&root.join("deploy/systems/pages.toml"), "GREETING = \"bye\"", "GREETING = \"bye ${git.commit}\"");
    let git = |args: &[&str]| {
        let who = ["-c", "user.name=a", "-c", "user.email=a@localhost"];
        let run = std::process::Command::new("git").arg("-C").arg(root).args(who).args(args).output().unwrap();
        assert!(run.status.success(), "{run:?}");
        String::from_utf8(run.stdout).unwrap().trim().to_owned()
    };
    git(&["init", "-q"]);
    git(&["add", "--all"]);
    git(&["commit", "-q", "-m", "all"]);
    let run = deployment.sandbox.xtask(["build", "--json", "--dry-run"]).success();
    assert!(
        run.stderr.contains("`mirror` is told `${git.commit}`, so each commit builds its image again"),
        "{}",
        run.stderr
    );
    let keys = |run: Run| {
        let built = run.json()["images"].as_array().unwrap().clone();
        built.into_iter().map(|image| (image["service"].clone(), image["key"].clone())).collect::<Vec<_>>()
    };
    let dry = || keys(deployment.sandbox.xtask(["build", "--json", "--dry-run"]).success());
    let clean = keys(run);
    fs::write(root.join("untracked"), "").unwrap();
    assert_eq!(dry(), clean, "what git does not know makes nothing dirty");
    fs::write(root.join(".gitignore"), ".slipway\ntarget\n").unwrap();
    assert_eq!(deployment.deploy(&[])["result"], "deployed");
    let mirror = deployment
        .engine
        .run([
            "exec",
            deployment.container("mirror")["Name"].as_str().unwrap().trim_start_matches('/'),
            "cat",
            "/site/greeting",
        ])
        .success();
    assert_eq!(mirror.stdout.trim(), format!("bye {}-dirty", git(&["rev-parse", "HEAD"])));
    let dirty = dry();
    let changed = clean.iter().zip(&dirty).filter(|(clean, dirty)| clean != dirty).map(|(clean, _)| &clean.0);
    assert_eq!(changed.collect::<Vec<_>>(), ["mirror"], "only what is told it is built for it");
}

#[test]
fn what_a_dockerfile_and_its_service_disagree_on_is_said() {
    let deployment = skip::unless!(Deployment::in_folder(|| repository("disagree"), "disagree"));
    let (root, deploy) = (&deployment.sandbox.root, || deployment.sandbox.xtask(["deploy", "--json"]));
    change(root, "args = { GREETING = \"hello\" }\n[", "target = \"sight\"\n[");
    let told = deploy().exits(3).stderr;
    assert!(told.contains("`pages/Dockerfile`: it has no stage `sight`; its stages: `site`"), "{told}");
    change(root, "target = \"sight\"\n[", "bases = { python = \"base\" }\n[");
    let told = deploy().exits(3).stderr;
    let cause = "`pages/Dockerfile`: it takes nothing from `python`, which `bases` names; its bases: `busybox:1.37`";
    assert!(told.contains(cause), "{told}");
    change(root, "bases = { python = \"base\" }\n[", "args = { GREETING = \"hello\" }\n[");

    fs::write(root.join("pages/Dockerfile"), DOCKERFILE.replace("USER 65532\n", "")).unwrap();
    for _ in ["it is built", "it is there by now"] {
        let told = failure(&deploy().exits(1));
        assert_eq!(told["code"], "image-user", "{told:#}");
        assert!(told["hint"].as_str().unwrap().contains("[services.pages.container]"), "{told:#}");
    }
    fs::write(root.join("pages/Dockerfile"), DOCKERFILE.replace("EXPOSE 8000", "EXPOSE 9000")).unwrap();
    let run = deploy().success();
    assert!(run.stderr.contains("`pages`: its image exposes 9000, and its port is 8000"), "{}", run.stderr);
    fs::write(root.join("pages/Dockerfile"), "FROM busybox:1.37\nRUN echo what is wrong; false\n").unwrap();
    let told = failure(&deploy().exits(1));
    assert_eq!(told["code"], "image-failed", "{told:#}");
    assert!(told["cause"].as_str().unwrap().contains("what is wrong"), "{told:#}");
    deployment.ends_clean();
    assert_eq!(kept(&deployment), "");
}

fn change(root: &Path, from: &str, to: &str) {
    edit(&root.join("deploy/systems/pages.toml"), from, to);
}

#[test]
fn a_build_has_its_secrets_and_nobody_else_does() {
    let deployment = skip::unless!(Deployment::in_folder(|| repository("build-secret"), "build-secret"));
    let root = &deployment.sandbox.root;
    change(root, "args = { GREETING = \"hello\" }\n[", "secrets = [\"token\"]\n[");
    change(root, "build = { args = { GREETING = \"hello\" } }", "build = { secrets = [\"token\"] }");
    change(
        root,
        "[services.pages]",
        "[secrets]\ntoken = { from = \"env\", name = \"BUILD_TOKEN\" }\nother = { from = \"env\", name = \"OTHER\" }\n[services.pages]\nenv.OTHER = \"${secret.other}\"",
    );
    let use_it = "RUN --mount=type=secret,id=token busybox wc -c < /run/secrets/token > greeting && busybox find";
    fs::write(
        root.join("pages/Dockerfile"),
        DOCKERFILE.replace("RUN echo \"$GREETING\" > greeting && busybox find", use_it),
    )
    .unwrap();
    let run_with = |args: &[&str], token: &str, other: &str| {
        let mut command = deployment.sandbox.command(args);
        Run::of(command.env("BUILD_TOKEN", token).env("OTHER", other))
    };
    let deploy = |token: &str| run_with(&["deploy", "--json"], token, "another secret");
    // What a build lacks is told with all else, before anything begins.
    let told = failure(&run_with(&["deploy", "--json"], "", "").exits(3));
    assert_eq!(told["code"], "secrets-missing", "{told:#}");
    for secret in ["`token` of `pages`: the variable `BUILD_TOKEN`", "`other` of `pages`: the variable `OTHER`"] {
        assert!(told["cause"].as_str().unwrap().contains(secret), "{told:#}");
    }
    let told = run_with(&["build"], "", "").exits(3).stderr;
    assert!(told.contains("`token` of `pages`") && !told.contains("`other` of"), "{told}");
    assert!(deployment.containers().is_empty());
    let secret = "a-token-of-25-characters-";
    let run = deploy(secret).success();
    assert_eq!(get(&deployment.sandbox.via("pages"), "/greeting").unwrap().1.trim(), "25");
    // What has been built needs it no more.
    assert_eq!(deploy("").success().json()["result"], "unchanged");
    let image = images(&deployment, &["--dry-run"]).remove(0)["image"].as_str().unwrap().to_owned();
    let inspected = deployment.engine.run(["image", "inspect", &image]).success().stdout;
    let history = deployment.engine.run(["history", "--no-trunc", &image]).success().stdout;
    for text in [inspected, history, run.stdout, run.stderr] {
        assert!(!text.contains(secret), "{text}");
    }
    let contexts = deployment.sandbox.home().join("contexts/pages");
    assert_eq!(fs::read_dir(contexts).unwrap().count(), 0, "what the builder was given is gone");
    deployment.ends_clean();
}
