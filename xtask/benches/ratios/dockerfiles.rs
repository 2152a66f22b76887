//! Ten services with Dockerfiles of their own, each with thousands of files that its build sees: when nothing changed, beside
//! git's look at the same files; and from a changed file until the new container answers, beside the engine told by hand.

use crate::measure::{command, millis, once, ratio, turns};
use crate::place::{Copy, Engine, Lazy, said};
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

const SERVICES: usize = 10;
const FILES: usize = 5_000;
const FILES_IN_A_FOLDER: usize = 100;
const RUNS: usize = 9;
/// Each builds an image twice.
const CHANGES: usize = 3;
/// Longer than any start takes.
const DEADLINE: Duration = Duration::from_secs(60);
/// What runs in them.
const BASE: &str = "redis";
const BY_HAND: &str = "by-hand";

pub(crate) fn run(engine: &Lazy) {
    let Some(engine) = engine.with(&[BASE, "edge"]) else { return };
    let copy = Copy::new("dockerfiles", engine);
    let base = engine.provide(BASE).expect("it was provided before");
    declare(&copy.root, &base);
    commit(&copy.root);
    assert_eq!(copy.document(&["deploy"])["result"], "deployed");
    let git = || once(command("git").args(["status", "--porcelain"]).current_dir(&copy.root));
    for verb in ["build", "deploy"] {
        let idle = || once(&mut copy.cargo_xtask(&[verb, "--dry-run", "--env", "containers"]));
        let (idle, git) = turns(RUNS, idle, git);
        println!("  `{verb} --dry-run` of {SERVICES} × {FILES} files {}, `git status` {}", millis(idle), millis(git));
        println!("  `{verb} --dry-run` / `git status`: {}", ratio(idle, git));
    }
    let (ours, hand) = turns(CHANGES, || changed(&copy), || by_hand(engine, &copy.root));
    println!("  a changed file until the new container is proven {}, by hand {}", millis(ours), millis(hand));
    println!("  with `deploy` / `build` and `run` by hand: {}", ratio(ours, hand));
    let _ = said(&mut engine.command(["image", "rm", "--force", &name(BY_HAND)]));
}

fn name(of: &str) -> String {
    crate::place::unique(&format!("dockerfiles-{of}"))
}

/// Replaces all systems by one of Dockerfiles.
fn declare(root: &Path, base: &str) {
    let folder = root.join("deploy/systems");
    fs::remove_dir_all(&folder).expect("remove the systems");
    fs::create_dir(&folder).expect("make a folder");
    let mut text = "description = \"Ten of a kind\"\n".to_owned();
    for service in 0..SERVICES {
        text.push_str(&format!(
            "[services.s{service}]\ndockerfile = \"ten/s{service}\"\nport = 6379\nhost_port = {}\n\
             ready = {{ tcp = {{ send = \"PING\\r\\n\", expect = \"+PONG\" }} }}\n",
            12_000 + service
        ));
        let folder = root.join(format!("ten/s{service}"));
        for file in 0..FILES {
            let part = folder.join(format!("part_{}", file / FILES_IN_A_FOLDER));
            fs::create_dir_all(&part).expect("make a folder");
            let line = format!("file {file} of service {service}\n");
            fs::write(part.join(format!("{file}.txt")), line.repeat(50)).expect("write a file");
        }
        let recipe =
            format!("FROM {base}\nCOPY . /site\nUSER 999\nCMD [\"redis-server\", \"--protected-mode\", \"no\"]\n");
        fs::write(folder.join("Dockerfile"), recipe).expect("write a Dockerfile");
    }
    fs::write(folder.join("ten.toml"), text).expect("write a system");
}

/// Has git know the files, as it would in a repository.
fn commit(root: &Path) {
    let who = ["-c", "user.name=bench", "-c", "user.email=bench@localhost"];
    for args in [&["init", "--quiet"][..], &["add", "--all"], &["commit", "--quiet", "--message", "all"]] {
        once(command("git").args(who).args(args).current_dir(root));
    }
}

fn change(root: &Path) {
    let mut file = fs::File::options().append(true).open(root.join("ten/s0/part_0/0.txt")).expect("open a file");
    writeln!(file, "changed").expect("change a file");
}

fn changed(copy: &Copy) -> Duration {
    change(&copy.root);
    let started = Instant::now();
    assert_eq!(copy.document(&["deploy"])["result"], "deployed");
    started.elapsed()
}

fn by_hand(engine: &Engine, root: &Path) -> Duration {
    change(root);
    let (image, port) = (name(BY_HAND), free_port());
    let started = Instant::now();
    once(engine.command(["build", "--tag", &image, "ten/s0"]).current_dir(root));
    once(&mut engine.command([
        "run",
        "--detach",
        "--name",
        &image,
        "--publish",
        &format!("127.0.0.1:{port}:6379"),
        &image,
    ]));
    while !answers(port) {
        assert!(started.elapsed() < DEADLINE, "the container does not answer");
        sleep(Duration::from_millis(20));
    }
    let took = started.elapsed();
    once(&mut engine.command(["rm", "--force", &image]));
    took
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("take a free port");
    listener.local_addr().expect("it has an address").port()
}

fn answers(port: u16) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
        stream.write_all(b"PING\r\n").ok()?;
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).ok()?;
        Some(&answer == b"+PONG")
    };
    ask().unwrap_or(false)
}
