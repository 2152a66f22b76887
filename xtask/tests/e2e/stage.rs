//! A tiny repository made for one test, whose services do what no service of this repository does.

use super::sandbox::{Sandbox, scratch};
use std::path::PathBuf;

/// A service that answers every request with one word, and with what it is told by a variable. It needs no other crate, so
/// that building it takes a moment.
const SOURCE: &str = r#"use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::FromRawFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

const ANSWER: &str = "${answer}";

unsafe extern "C" {
    fn signal(number: i32, handler: usize) -> usize;
}

fn main() {
    match std::env::var("BEHAVIOUR").unwrap_or_default().as_str() {
        // SIGTERM is ignored.
        "deaf" => drop(unsafe { signal(15, 1) }),
        // One child in the service's own process group, one that has left it.
        "forks" => {
            Command::new("sleep").arg("1000").spawn().unwrap();
            Command::new("sleep").arg("1000").process_group(0).spawn().unwrap();
        }
        "crashes" => std::process::exit(7),
        _ => {}
    }
    let [http, admin] = [3, 4].map(|fd| unsafe { TcpListener::from_raw_fd(fd) });
    std::thread::spawn(move || serve(&admin));
    serve(&http);
}

fn serve(listener: &TcpListener) {
    for stream in listener.incoming().flatten() {
        std::thread::spawn(move || answer(stream));
    }
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let answer: &str = &ANSWER;
    let answer = format!("{answer}{}", std::env::var("TOLD").unwrap_or_default());
    let length = answer.len();
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{answer}")
}
"#;

/// The repository, and an environment in it.
pub(crate) struct Stage {
    pub(crate) sandbox: Sandbox,
}

impl Stage {
    /// Each service is a system of its own, whose contract is that it answers `one`.
    pub(crate) fn new(name: &str, services: &[&str]) -> Self {
        let root = scratch().join(format!("stage-{name}"));
        // A test that was killed may have left something.
        let _ = std::fs::remove_dir_all(&root);
        let members = "[workspace]\nmembers = [\"app/*\"]\nresolver = \"3\"\n";
        let locked =
            services.iter().map(|service| format!("\n[[package]]\nname = \"{service}\"\nversion = \"0.0.0\"\n"));
        write(root.join("Cargo.toml"), members);
        write(root.join("Cargo.lock"), &format!("version = 4\n{}", locked.collect::<String>()));
        std::fs::create_dir_all(root.join("deploy/environments")).unwrap();
        for (port, service) in (1..).zip(services) {
            let manifest = format!("[package]\nname = \"{service}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n");
            write(root.join(format!("app/{service}/Cargo.toml")), &manifest);
            write(source(&root, service), &SOURCE.replace("${answer}", "one"));
            write(system(&root, service), &contract(service, port, ""));
        }
        Self { sandbox: Sandbox::in_own_repository(root, name) }
    }

    /// Makes a service answer something else from the next deploy on.
    pub(crate) fn answer(&self, service: &str, answer: &str) {
        write(source(&self.sandbox.root, service), &SOURCE.replace("${answer}", answer));
    }

    /// Makes a service answer what an expression comes to when it is asked first.
    pub(crate) fn answer_by(&self, service: &str, expression: &str) {
        let by =
            format!("static ANSWER: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {{ {expression} }});");
        write(source(&self.sandbox.root, service), &SOURCE.replace("const ANSWER: &str = \"${answer}\";", &by));
    }

    /// Replaces the source of a service.
    pub(crate) fn source(&self, service: &str, text: &str) {
        write(source(&self.sandbox.root, service), text);
    }

    /// Declares a service anew: its port, and more keys of its table.
    pub(crate) fn declare(&self, service: &str, port: u16, keys: &str) {
        write(system(&self.sandbox.root, service), &contract(service, port, keys));
    }
}

fn source(root: &std::path::Path, service: &str) -> PathBuf {
    root.join(format!("app/{service}/src/main.rs"))
}

fn system(root: &std::path::Path, service: &str) -> PathBuf {
    root.join(format!("deploy/systems/{service}.toml"))
}

fn contract(service: &str, port: u16, keys: &str) -> String {
    format!(
        "description = \"A test's own\"\n\n[services.{service}]\ncrate = \"{service}\"\nport = {port}\npublic = true\n\
         ready_within = \"5s\"\n{keys}\n\n\
         [[smoke]]\nname = \"it says one\"\nrequest = \"GET /\"\nstatus = 200\ncontains = \"one\"\nwithin = \"200ms\"\n"
    )
}

fn write(path: PathBuf, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}
