//! What a container of a stranger's image is given by the spec.

use super::contract::Deployed;
use super::contract::document::edit;
use super::deployment::{BUSYBOX, Deployment};
use super::sandbox::{failure, get};
use skip::Found;

/// A deployment of the system `given` alone, which has these services.
fn given(name: &str, services: &str) -> Found<Deployment> {
    let deployment = Deployment::alone_with_own_copy(name)?;
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
ready_within = "10s"
stop_within = "1s"
args = ["echo $$0 >/www/index.html; exec busybox httpd -f -p 8080 -h /www", "from here"]

[services.shell.container]
user = "65532"
writable = ["/www"]
entrypoint = ["/bin/sh", "-e"]
command = ["-c"]
"#;

/// A service that asks the other one by all of its names, and fails at the first that leads nowhere.
const ASKER: &str = r#"
[services.asker]
image = "busybox"
port = 8081
needs = ["shell"]
ready = { http = "/" }
ready_within = "10s"
stop_within = "1s"
args = ["sh", "-ec", """
for name in shell hull voting; do
  wget -q -O - http://$$name:8080/ >>/www/index.html
done
exec busybox httpd -f -p 8081 -h /www"""]

[services.asker.container]
user = "65532"
writable = ["/www"]
"#;

#[test]
fn a_service_is_found_by_its_further_names() {
    let internal = SHELL.replace("public = true", "aliases = [\"hull\", \"voting\"]");
    let public = SHELL.replace("public = true", "public = true\naliases = [\"hull\", \"voting\"]");
    let deployment = skip::unless!(given("aliases", &format!("{internal}{ASKER}")));
    for shell in [internal, public] {
        // Reached directly, and through the edge.
        declare(&deployment, &format!("{shell}{ASKER}"));
        deployment.deploy(&["given"]);
        let asker = deployment.container("asker");
        let said = deployment.engine.run(["exec", asker["Id"].as_str().unwrap(), "cat", "/www/index.html"]);
        assert_eq!(said.stdout, "from here\n".repeat(3), "{}", said.stderr);
        assert_eq!(deployment.deploy(&["given"])["result"], "unchanged");
    }
    // Another name is told to those who need it, too.
    declare(&deployment, &format!("{}{ASKER}", SHELL.replace("public = true", "aliases = [\"polls\"]")));
    let failed = deployment.sandbox.xtask(["deploy", "given", "--json"]).exits(1).json();
    assert_eq!(failed["failure"]["step"], "start:asker", "{failed:#}");
}

/// Each start writes a line into each of its volumes.
fn keeper(name: &str, volumes: &[&str]) -> String {
    let folders: Vec<String> = volumes.iter().map(|volume| format!("/srv/{volume}")).collect();
    let entries: Vec<String> =
        volumes.iter().map(|volume| format!("{volume} = {{ at = \"/srv/{volume}\", size = \"10Mi\" }}")).collect();
    format!(
        r#"
[services.{name}]
image = "busybox"
port = 8080
public = true
ready = {{ http = "/a/index.html" }}
ready_within = "10s"
stop_within = "1s"
args = ["sh", "-ec", """
for at in {}; do echo on >>$$at/index.html; done
exec busybox httpd -f -p 8080 -h /srv"""]

[services.{name}.container]
user = "65532"
volumes = {{ {} }}
"#,
        folders.join(" "),
        entries.join(", ")
    )
}

#[test]
fn all_volumes_of_a_service_are_its_data() {
    let deployment = skip::unless!(given("volumes", &keeper("keeper", &["a", "data"])));
    let starts = |service: &str, volume: &str| {
        let (status, said) = get(&deployment.sandbox.via(service), &format!("/{volume}/index.html")).unwrap();
        assert_eq!(status, 200, "{volume}: {said}");
        said.lines().count()
    };
    let volumes = || {
        let all = deployment.engine.inventory().volumes;
        all.into_iter().filter(|name| name.contains(deployment.id())).count()
    };
    deployment.deploy(&["given"]);
    assert_eq!((starts("keeper", "a"), starts("keeper", "data"), volumes()), (1, 1, 2));
    assert_eq!(deployment.deploy(&["given"])["result"], "unchanged");

    // One more of them, and a new name for all.
    declare(&deployment, &keeper("keeper", &["a", "data", "more"]));
    deployment.deploy(&["given"]);
    assert_eq!((starts("keeper", "a"), starts("keeper", "more"), volumes()), (2, 1, 3));
    let holder = keeper("holder", &["a", "data", "last"]).replace("port = 8080\n", "port = 8080\nwas = [\"keeper\"]\n");
    declare(&deployment, &holder);
    deployment.deploy(&["given"]);
    assert_eq!((starts("holder", "a"), starts("holder", "data"), starts("holder", "last"), volumes()), (3, 3, 1, 4));

    let kept = deployment.sandbox.xtask(["teardown", "--yes", "--keep-data", "--json"]).success().json();
    assert_eq!((kept["kept"].as_array().map(Vec::len), volumes()), (Some(4), 4), "{kept:#}");
    deployment.deploy(&["given"]);
    assert_eq!(starts("holder", "a"), 4);
    deployment.ends_clean();
}

/// It runs as root, writes where nothing is mounted, and gives a file away.
const LOOSE: &str = r#"
[services.loose]
image = "busybox"
port = 8080
public = true
ready = { http = "/" }
ready_within = "10s"
stop_within = "1s"
args = ["sh", "-ec", """
mkdir /tmp/www
id -u >/tmp/www/index.html
busybox chown 7:7 /tmp/www/index.html
exec busybox httpd -f -p 8080 -h /tmp/www"""]
"#;
const ALLOW: &str = "[services.loose.container.allow]\nroot = true\nwritable_root = true\ncapabilities = [\"CHOWN\"]\nwhy = \"it fills its own folder\"\n";

#[test]
fn confinement_is_loosened_with_a_reason_and_no_further() {
    let deployment = skip::unless!(given("loose", LOOSE));
    let refused = failure(&deployment.sandbox.xtask(["deploy", "given", "--json"]).exits(1));
    assert!(refused["cause"].as_str().unwrap().contains("runs as `root`"), "{refused:#}");

    declare(&deployment, &format!("{LOOSE}{ALLOW}"));
    let said = "it may run as root; write to its root file system; use CHOWN: it fills its own folder";
    for args in [["deploy", "given", "--dry-run"].as_slice(), &["plan", "given"]] {
        let shown = deployment.sandbox.xtask(args).success();
        assert!(shown.stdout.contains(said), "{}", shown.stdout);
    }
    deployment.deploy(&["given"]);
    assert_eq!(get(&deployment.sandbox.via("loose"), "/").unwrap(), (200, "0\n".to_owned()));
    let container = deployment.container("loose");
    let pid = &container["State"]["Pid"];
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let bounding = status.lines().find_map(|line| line.strip_prefix("CapBnd:\t")).unwrap();
    assert_eq!((bounding, status.contains("NoNewPrivs:\t1")), ("0000000000000001", true), "{status}");
    assert_eq!(deployment.deploy(&["given"])["result"], "unchanged");

    // Without the one that it needs.
    let less = ALLOW.replace("[\"CHOWN\"]", "[\"SETUID\"]");
    declare(&deployment, &format!("{LOOSE}{less}"));
    let failed = failure(&deployment.sandbox.xtask(["deploy", "given", "--json"]).exits(1));
    assert_eq!(failed["code"], "service-crashed", "{failed:#}");
}
