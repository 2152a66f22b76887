//! Public images, and the untracked file whose entries win.

use super::Root;
use crate::{IMAGES, LOCAL_IMAGES, load, public_images};

fn root(local: &str) -> Root {
    let root = Root::new();
    root.write(IMAGES, "redis = 'docker.io/library/redis:7.4'\nbase = 'gcr.io/a/base:1'\n");
    root.write(LOCAL_IMAGES, local);
    root
}

#[test]
fn own_settings_win_by_name() {
    let mirrored = format!("mirror.example/redis:7.4@sha256:{}", "0f".repeat(32));
    let root = root(&format!("# ours\nredis = '{mirrored}'\n"));
    let images = load(root.path()).unwrap().images;
    assert_eq!(images["redis"].to_string(), mirrored);
    assert_eq!(images["base"].to_string(), "gcr.io/a/base:1");
    assert_eq!(public_images(root.path()).unwrap()["redis"].to_string(), "docker.io/library/redis:7.4");
}

#[test]
fn own_settings_are_checked_like_the_others() {
    let root = root("rediss = 'docker.io/library/redis:7.4'\nbase = 'base'\n");
    assert_eq!(
        load(root.path()).unwrap_err().to_string(),
        "deploy/images.local.toml:1: `rediss`: unknown image `rediss`; did you mean `redis`? \
         valid names: `redis`, `base`; they are those of `deploy/images.toml`\n\
         deploy/images.local.toml:2: `base`: `base` is not a pinned image: it has no tag; expected \
         `REGISTRY/PATH:TAG` or `REGISTRY/PATH:TAG@sha256:DIGEST`"
    );
    assert!(public_images(root.path()).is_ok());
    root.write(LOCAL_IMAGES, "redis = ");
    assert!(load(root.path()).unwrap_err().to_string().starts_with("deploy/images.local.toml:1: not TOML"));
}
