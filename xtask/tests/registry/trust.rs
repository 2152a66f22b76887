//! Registries over TLS: through `curl`, or by the engine alone, which may trust what `curl` does not.

use super::place::{Door, Own, Scratch, Server, podman, proc, step};
use base::signal::Interrupts;
use images::refusal::Kind;
use images::registry::Client;
use model::container::{EngineKind, Platform};
use skip::{Found, Missing};
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use tools::oci::Engine;

/// Names the registry that the same test, started anew, finds a certificate for in its environment.
const ASKED: &str = "XTASK_TEST_ASKED";

/// An address of this machine that is not loopback. Nothing is sent to learn it.
fn own_address() -> Option<Ipv4Addr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    match socket.local_addr().ok()?.ip() {
        IpAddr::V4(ip) if !ip.is_loopback() && !ip.is_unspecified() => Some(ip),
        _ => None,
    }
}

/// A registry whose certificate nobody trusts, and that certificate.
fn server(scratch: &Scratch) -> Found<(Server, std::path::PathBuf)> {
    let ip = own_address().ok_or_else(|| Missing::new("this machine has no address but loopback"))?;
    let openssl = proc().find("openssl").ok_or_else(|| Missing::new("`openssl` is not on PATH"))?;
    let (key, certificate) = (scratch.0.join("key.pem"), scratch.0.join("cert.pem"));
    let mut command = Command::new(openssl);
    command.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=try", "-keyout"]);
    command.arg(&key).arg("-out").arg(&certificate).args(["-addext", &format!("subjectAltName=IP:{ip}")]);
    assert!(command.output().unwrap().status.success());
    let tls = format!(", tls: {{certificate: {certificate:?}, key: {key:?}}}");
    Ok((Server::start_at(ip, Door::Open, &tls)?, certificate))
}

#[test]
fn https_goes_through_curl_and_its_trust() {
    let client = Client::new(&proc(), &Interrupts::default(), None);
    let repository = |host: &str| format!("{host}/try/x").parse().unwrap();
    if let Ok(host) = std::env::var(ASKED) {
        assert_eq!(client.digest(&repository(&host), "1"), Ok(None));
        return;
    }
    let scratch = Scratch::new("https");
    let (server, certificate) = skip::unless!(server(&scratch));
    let refusal = client.digest(&repository(&server.host()), "1").unwrap_err();
    assert_eq!(refusal.kind, Kind::Untrusted, "{}", refusal.words);
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", "trust::https_goes_through_curl_and_its_trust"]);
    let output = again.env(ASKED, server.host()).env("CURL_CA_BUNDLE", certificate).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

/// podman with settings of its own, as an administrator makes them.
fn with_settings(podman: &Engine, scratch: &Scratch, host: &str) -> Engine {
    let settings = scratch.write("registries.conf", format!("[[registry]]\nlocation = \"{host}\"\ninsecure = true\n"));
    let (settings, real) = (settings.display(), podman.program.display());
    let program =
        scratch.write("podman", format!("#!/bin/sh\nCONTAINERS_REGISTRIES_CONF='{settings}' exec '{real}' \"$@\"\n"));
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    Engine { kind: EngineKind::Podman, program }
}

#[test]
fn what_only_the_engine_trusts_is_asked_through_the_engine() {
    let podman = skip::unless!(podman());
    let scratch = Scratch::new("trust");
    let (server, _) = skip::unless!(server(&scratch));
    let (host, here) = (server.host(), Platform::LinuxAmd64);
    let image = Own::build(&podman, &scratch, &format!("{host}/try/x:key"), here);
    let (publisher, name, plain) = (scratch.publisher(&host, None), image.name.clone(), podman.clone());
    let fault = step(move |cx| publisher.push(cx, &plain, &name, here)).value.unwrap_err();
    assert_eq!(fault.code, "registry-untrusted", "{fault}");

    let engine = with_settings(&podman, &scratch, &host);
    let (publisher, name) = (scratch.publisher(&host, None), image.name.clone());
    let ran = step(move |cx| {
        let find = || Ok(engine.clone());
        let before = publisher.digest(cx, &find, &name, here)?;
        let digest = publisher.push(cx, &engine, &name, here)?;
        Ok((before, digest, publisher.digest(cx, &find, &name, here)?))
    });
    let (before, digest, after) = ran.value.unwrap_or_else(|fault| panic!("{fault}\n{}", ran.journal));
    assert_eq!((before, after), (None, Some(digest)));
}
