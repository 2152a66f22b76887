//! What a container of a stranger's image is given by the spec.

use super::contract::Deployed;
use super::contract::document::edit;
use super::deployment::Deployment;
use super::sandbox::get;
use skip::{Found, Missing};

const BUSYBOX: &str = "docker.io/library/busybox:1.37";

/// A deployment of the system `given` alone, which has these services.
fn given(name: &str, services: &str) -> Found<Deployment> {
    let deployment = Deployment::alone_with_own_copy(name)?;
    let provided = deployment.engine.provide(BUSYBOX);
    provided.map_err(|reason| Missing::unless_required(&reason, "XTASK_REQUIRE_ENGINE"))?;
    let images = deployment.sandbox.root.join("deploy/images.toml");
    edit(&images, "\nredis = ", &format!("\nbusybox = \"{BUSYBOX}\"\nredis = "));
    declare(&deployment, services);
    Ok(deployment)
}

fn declare(deployment: &Deployment, services: &str) {
    let file = deployment.sandbox.root.join("deploy/systems/given.toml");
    std::fs::write(file, format!("description = \"What is given\"\n{services}")).unwrap();
}

/// A service that serves a folder which its first argument fills.
const SHELL: &str = r#"
[services.shell]
image = "busybox"
port = 8080
public = true
ready = { http = "/" }
args = ["echo $$0 >/www/index.html; exec busybox httpd -f -p 8080 -h /www", "from here"]

[services.shell.container]
user = "65532"
writable = ["/www"]
entrypoint = ["/bin/sh", "-e"]
command = ["-c"]
"#;

#[test]
fn an_image_starts_with_what_the_spec_says() {
    let deployment = skip::unless!(given("entrypoint", SHELL));
    deployment.deploy(&["given"]);
    assert_eq!(get(&deployment.sandbox.via("shell"), "/").unwrap(), (200, "from here\n".to_owned()));
    assert_eq!(deployment.deploy(&["given"])["result"], "unchanged");
    deployment.ends_clean();
}
