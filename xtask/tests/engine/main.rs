//! The argument lists for engines, run by real ones: each test on docker and on podman, whichever answers.

#![expect(clippy::disallowed_methods, reason = "tests start the clients as the supervisor does")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod place;

use base::proc::CommandLine;
use model::container::{EngineKind, Platform};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use place::{BUSYBOX, Place, engines, engines_that, eventually, free_address, proc};
use shim::{Mount, Publish, Run, RunSpec};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use tools::oci::{Engine, Found, remove};

/// Ends when told to, and says so by its exit code.
const SERVE: &str = "trap 'exit 7' TERM; busybox httpd -p 80 -h /bin; while :; do sleep 0.1; done";

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn published(at: SocketAddr) -> Publish {
    Publish { at, port: 80, udp: false }
}

#[test]
fn a_container_has_what_it_was_given_and_nothing_else() {
    for found in skip::unless!(engines()) {
        let place = Place::new(found, "confined");
        let data = place.name("data");
        place.run(&found.engine.volume_create(&data, &place.labels()));
        let bind = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}: a, \"b\"", place.id));
        std::fs::create_dir(&folder).unwrap();
        std::fs::copy(&bind, folder.join("x:y")).unwrap();
        let script = "id -u; id -g; echo $GIVEN; grep -c xtask /given; grep -c xtask /odd; touch /x /var/x /run/x /given; \
            touch /scratch/x && echo writable; cat /proc/sys/net/ipv4/ip_unprivileged_port_start; \
            grep -E 'CapBnd|NoNewPrivs' /proc/self/status; ls -d /data";
        let spec = RunSpec {
            env: vec!["GIVEN".to_owned(), "ABSENT".to_owned()],
            mounts: vec![
                Mount::Volume { name: data.clone(), at: "/data".to_owned(), owned: false },
                Mount::Bind { source: bind, at: "/given".to_owned() },
                Mount::Bind { source: folder.join("x:y"), at: "/odd".to_owned() },
            ],
            writable: vec!["/scratch".to_owned()],
            ..place.spec(script)
        };
        let proxy = "http://proxy.invalid:1";
        let output = place.output("a", &spec, &BTreeMap::from([("GIVEN", "a b"), ("http_proxy", proxy)]));
        let said = text(&output.stdout);
        let words: Vec<&str> = said.lines().map(str::trim).collect();
        let none = "CapBnd:\t0000000000000000";
        assert_eq!(words[..3], ["4711", "4712", "a b"], "{said}{}", text(&output.stderr));
        std::fs::remove_dir_all(folder).unwrap();
        assert!(words[3] != "0" && words[3] == words[4], "{said}");
        assert_eq!(words[5..], ["writable", "0", none, "NoNewPrivs:\t1", "/data"], "{said}");
        let refused = text(&output.stderr);
        for path in ["/x", "/var/x", "/run/x", "/given"] {
            assert!(refused.contains(&format!("touch: {path}: ")), "{path} is writable: {refused}");
        }
        let container = found.engine.container(&place.proc, &place.name("a")).unwrap().unwrap();
        assert_eq!((container.running, container.exit_code, container.state.as_str()), (false, 0, "exited"));
        assert_eq!(container.image, spec.image);
    }
}

#[test]
fn memory_and_processes_have_their_limit() {
    let limits = |found: &Found| found.facts.unlimited.is_empty();
    for found in skip::unless!(engines_that("limits memory and processes", limits)) {
        let place = Place::new(found, "limits");
        // `tail` keeps all it reads.
        let output = place.output("a", &place.spec("busybox tail -c 200000000 /dev/zero; echo $?"), &BTreeMap::new());
        assert_eq!(text(&output.stdout).trim(), "137", "{}", text(&output.stderr));
        let forks = "i=0; while [ $i -lt 300 ]; do sleep 30 & i=$((i+1)); done; echo all";
        let output = place.output("b", &place.spec(forks), &BTreeMap::new());
        assert!(!text(&output.stdout).contains("all"), "300 processes were started");
    }
}

#[test]
fn a_container_is_found_reached_asked_and_ended() {
    for found in skip::unless!(engines()) {
        let place = Place::new(found, "life");
        let (engine, proc) = (&found.engine, &place.proc);
        let address = free_address();
        let mut client = place.start("a", &RunSpec { publish: vec![published(address)], ..place.spec(SERVE) });
        let container = engine.container(proc, &place.name("a")).unwrap().unwrap();
        assert_eq!(place.list(&engine.containers_with_label(place.label())), std::slice::from_ref(&container.id));
        assert_eq!(container.labels["slipway-test"], place.id);
        assert_eq!(container.published, BTreeMap::from([(80, vec![address])]));
        eventually("the published port answers", || std::net::TcpStream::connect(address).ok());
        if found.facts.reaches_containers() {
            let own = container.addresses[&place.name("net")];
            eventually("its own address answers", || std::net::TcpStream::connect((own, 80)).ok());
        }
        assert_eq!(place.run(&engine.exec(&place.name("a"), &["echo", "within"])).trim(), "within");
        kill(Pid::from_raw(client.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
        assert_eq!(client.wait().unwrap().code(), Some(7), "the client passes on the signal and the exit code");
        let ended = || engine.container(proc, &place.name("a")).unwrap().filter(|container| !container.running);
        assert_eq!(eventually("it has ended", ended).exit_code, 7);

        let mut client = place.start("b", &place.spec(SERVE));
        place.run(&engine.stop(&place.name("b"), 10));
        assert_eq!(client.wait().unwrap().code(), Some(7));
        let mut client = place.start("c", &place.spec("trap '' TERM; while :; do sleep 0.1; done"));
        place.run(&engine.container_remove(&place.name("c")));
        client.wait().unwrap();
        assert_eq!(engine.container(proc, &place.name("c")).unwrap(), None);
        remove(proc, &engine.container_remove(&place.name("c"))).unwrap();
    }
}

#[test]
fn containers_find_each_other_by_name_within_an_internal_network_only() {
    for found in skip::unless!(engines()) {
        let place = Place::new(found, "isolated");
        let (inner, other) = (place.internal_network("inner"), place.network("other"));
        let within = |script: &str| RunSpec { networks: vec![inner.clone()], ..place.spec(script) };
        let mut server = place.start("a", &RunSpec { aliases: vec!["server".to_owned()], ..within(SERVE) });
        let container = found.engine.container(&place.proc, &place.name("a")).unwrap().unwrap();
        let ip = container.addresses[&inner];
        let ask = |host: &str| {
            format!("for i in 1 2 3 4 5; do busybox nc -w 1 {host} 80 </dev/null && echo reached && exit; done")
        };
        let neighbour = place.output("b", &within(&ask("server")), &BTreeMap::new());
        assert_eq!(text(&neighbour.stdout).trim(), "reached", "{}", text(&neighbour.stderr));
        for (name, host) in [("c", ip.to_string()), ("d", "server".to_owned())] {
            let spec = RunSpec { networks: vec![other.clone()], ..place.spec(&ask(&host)) };
            let outside = place.output(name, &spec, &BTreeMap::new());
            assert_eq!(text(&outside.stdout), "", "{host} is reached from another network");
        }
        place.run(&found.engine.container_remove(&place.name("a")));
        server.wait().unwrap();
    }
}

#[test]
fn a_container_in_two_networks_has_its_names_and_an_address_in_both_and_may_be_reached_by_one() {
    let podman = |found: &Found| found.engine.kind == EngineKind::Podman;
    for found in skip::unless!(engines_that("is podman", podman)) {
        let place = Place::new(found, "two");
        let inner = place.internal_network("inner");
        let networks = vec![place.name("net"), inner.clone()];
        let address = free_address();
        let aliases = vec!["server".to_owned()];
        let spec = RunSpec { networks, aliases, publish: vec![published(address)], ..place.spec(SERVE) };
        let mut server = place.start("a", &spec);
        eventually("the published port answers", || std::net::TcpStream::connect(address).ok());
        for (name, network) in [("b", place.name("net")), ("c", inner.clone())] {
            let ask = "for i in 1 2 3 4 5; do busybox nc -w 1 server 80 </dev/null && echo reached && exit; done";
            let spec = RunSpec { networks: vec![network.clone()], ..place.spec(ask) };
            let output = place.output(name, &spec, &BTreeMap::new());
            assert_eq!(text(&output.stdout).trim(), "reached", "{network}: {}", text(&output.stderr));
        }
        kill(Pid::from_raw(server.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
        assert_eq!(server.wait().unwrap().code(), Some(7));
        let container = found.engine.container(&place.proc, &place.name("a")).unwrap().unwrap();
        assert_eq!((container.exit_code, container.running), (7, false));
    }
}

#[test]
fn a_command_that_does_not_exist_is_told_by_the_client() {
    for found in skip::unless!(engines()) {
        let place = Place::new(found, "missing");
        let spec = RunSpec { args: vec!["/nope".to_owned()], ..place.spec("") };
        let output = place.output("a", &spec, &BTreeMap::new());
        assert_eq!(output.status.code(), Some(127));
        assert!(text(&output.stderr).contains("/nope"), "{}", text(&output.stderr));
        let container = found.engine.container(&place.proc, &place.name("a")).unwrap().unwrap();
        assert_eq!((container.running, container.state.as_str()), (false, "created"));
    }
}

#[test]
fn what_is_made_is_listed_by_its_label_and_what_is_removed_is_gone() {
    for found in skip::unless!(engines()) {
        let place = Place::new(found, "made");
        let (engine, proc) = (&found.engine, &place.proc);
        let (network, volume) = (place.name("net"), place.name("data"));
        place.run(&engine.volume_create(&volume, &place.labels()));
        assert_eq!(place.list(&engine.networks_with_label(place.label())), std::slice::from_ref(&network));
        assert_eq!(place.list(&engine.volumes_with_label(place.label())), std::slice::from_ref(&volume));
        assert_eq!(engine.network(proc, &network).unwrap().unwrap().labels, place.labels());
        assert_eq!(engine.volume(proc, &volume).unwrap().unwrap().labels, place.labels());
        // The beginning of its name is another name.
        assert_eq!(engine.volume(proc, &volume[..volume.len() - 1]).unwrap(), None);
        for _ in 0..2 {
            remove(proc, &engine.network_remove(&network)).unwrap();
            remove(proc, &engine.volume_remove(&volume)).unwrap();
        }
        assert_eq!((engine.network(proc, &network).unwrap(), engine.volume(proc, &volume).unwrap()), (None, None));
    }
}

#[test]
fn an_image_is_looked_at_named_and_unnamed_and_its_files_are_read() {
    for found in skip::unless!(engines()) {
        let place = Place::new(found, "image");
        let (engine, proc) = (&found.engine, &place.proc);
        let image = engine.image(proc, BUSYBOX).unwrap().unwrap();
        assert_eq!(
            (image.platform, image.platform.map(Platform::as_str)),
            (found.facts.platform, Some(&*image.built_for))
        );
        assert_eq!(image.command, ["sh"]);
        assert!(image.size > 0);
        let name = format!("localhost/{}:1", place.id);
        place.run(&engine.tag(&image.id, &name));
        let both = engine.images(proc, &[BUSYBOX, "localhost/slipway-nobody:1", name.as_str()]).unwrap();
        assert_eq!(both.iter().map(|image| &image.id).collect::<Vec<_>>(), [&image.id, &image.id]);
        for _ in 0..2 {
            remove(proc, &engine.image_remove(&name)).unwrap();
        }
        assert_eq!(engine.image(proc, &name).unwrap(), None);
        assert!(engine.image(proc, BUSYBOX).unwrap().is_some(), "its other name stays");

        place.run(&engine.create(&place.name("a"), &place.labels(), &image.id));
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(&place.id);
        place.run(&engine.copy_out(&place.name("a"), "/bin/busybox", &file));
        assert!(std::fs::read(&file).unwrap().starts_with(b"\x7fELF"));
        std::fs::remove_file(&file).unwrap();
    }
}

/// Every line that is made for docker, with words that no engine would know.
fn docker_lines(engine: &Engine, spec: &RunSpec) -> Vec<CommandLine> {
    let (labels, label) = (BTreeMap::from([("k".to_owned(), "v".to_owned())]), ("k", "v"));
    let steps = vec![engine.command().args(engine.run("x", spec))];
    [
        engine.image_inspect(&["x"]),
        engine.pull("localhost/x:1", Platform::LinuxArm64),
        engine.tag("x", "y"),
        engine.image_remove("x"),
        engine.containers_of_image("x"),
        engine.network_create("x", &labels, false),
        engine.network_inspect("x"),
        engine.network_remove("x"),
        engine.networks_with_label(label),
        engine.volume_create("x", &labels),
        engine.volume_inspect("x"),
        engine.volume_remove("x"),
        engine.volumes_with_label(label),
        engine.containers_with_label(label),
        engine.container_inspect(&["x"]),
        engine.create("x", &labels, "localhost/x:1"),
        engine.copy_out("x", "/x", Path::new("/tmp")),
        engine.exec("x", &["/app", "health"]),
        engine.stop("x", 1),
        engine.container_remove("x"),
        engine.command().args(engine.run("x", spec)),
    ]
    .into_iter()
    .chain(steps)
    .collect()
}

/// Its client checks its arguments before it looks for an engine.
#[test]
fn the_client_of_docker_takes_every_argument() {
    let missing = || skip::Missing::new("docker's client is not on PATH");
    let program = skip::unless!(proc().find("docker").ok_or_else(missing));
    let engine = Engine { kind: EngineKind::Docker, program };
    let spec = RunSpec {
        image: "localhost/x:1".to_owned(),
        labels: BTreeMap::from([("k".to_owned(), "v".to_owned())]),
        networks: vec!["n".to_owned(), "m".to_owned()],
        fixed: BTreeMap::new(),
        hosts: BTreeMap::new(),
        aliases: vec!["a".to_owned()],
        publish: ["127.0.0.1:8000", "[::1]:8000"].map(|at| published(at.parse().unwrap())).into(),
        env: vec!["PATH".to_owned()],
        proxied: false,
        mounts: vec![
            Mount::Volume { name: "v".to_owned(), at: "/v".to_owned(), owned: true },
            Mount::Bind { source: "/etc".into(), at: "/e".to_owned() },
            Mount::Bind { source: "/a:b, \"c\"".into(), at: "/f".to_owned() },
        ],
        user: "1:2".parse().ok(),
        writable: vec!["/tmp".to_owned()],
        memory: "64Mi".parse().unwrap(),
        cpu: "250m".parse().unwrap(),
        low_ports: true,
        writable_root: false,
        capabilities: Vec::new(),
        entrypoint: Vec::new(),
        args: vec!["--flag".to_owned()],
    };
    let nobody = "unix:///nobody/listens";
    for line in docker_lines(&engine, &spec) {
        let output = Command::new(&line.program).args(&line.args).env("DOCKER_HOST", nobody).output().unwrap();
        let said = text(&output.stderr);
        let asked = said.contains("Cannot connect to the Docker daemon") || said.contains("failed to connect");
        assert!(asked, "{line}\n{said}");
    }
}
