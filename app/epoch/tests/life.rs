//! How a service comes, stays and goes: sockets that are passed to it, replacement, signals, faults.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use command_fds::{CommandFdExt as _, FdMapping};
use testkit::reqwest::Client;
use testkit::{Running, client, eventually, get, refused};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const EPOCH: &str = env!("CARGO_BIN_EXE_epoch");

/// Not a test: a process of its own that becomes the service, because only the process itself knows the id that has to
/// be in `LISTEN_PID`.
#[test]
#[ignore = "the other tests run it"]
fn become_the_service() {
    if std::env::var_os("LISTEN_FDNAMES").is_some() {
        let error = Command::new(EPOCH).env("LISTEN_PID", std::process::id().to_string()).exec();
        panic!("{error}");
    }
}

/// Starts the service with these sockets, as a supervisor would.
fn supervised(sockets: &[(&str, &TcpListener)], env: &[(&str, &str)]) -> Running {
    let names: Vec<&str> = sockets.iter().map(|(name, _)| *name).collect();
    let mappings = sockets.iter().zip(3..).map(|((_, socket), child_fd)| {
        let parent_fd = socket.try_clone().unwrap().into();
        FdMapping { parent_fd, child_fd }
    });
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "become_the_service", "--ignored", "--nocapture"]);
    command.env_clear().env("PORT", "0").env("LISTEN_ADDRESS", "127.0.0.1").envs(env.iter().copied());
    command.env("LISTEN_FDS", sockets.len().to_string()).env("LISTEN_FDNAMES", names.join(":"));
    command.fd_mappings(mappings.collect()).unwrap();
    Running::spawn(command)
}

fn socket() -> (TcpListener, SocketAddr) {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// Sends a request and leaves the answer for later.
async fn ask(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    stream
}

async fn answer(mut stream: TcpStream) -> String {
    let mut text = String::new();
    tokio::time::timeout(testkit::DEADLINE, stream.read_to_string(&mut text)).await.unwrap().unwrap();
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn it_serves_on_the_sockets_it_is_given() {
    let ((http, public), (admin, private)) = (socket(), socket());
    for sockets in [[("http", &http), ("admin", &admin)], [("admin", &admin), ("http", &http)]] {
        let mut epoch = supervised(&sockets, &[]);
        assert_eq!((epoch.address("http"), epoch.address("admin")), (public, private));
        for path in ["livez", "readyz", "metrics"] {
            assert_eq!(get(&format!("http://{private}/{path}")).await.status, 200);
            assert_eq!(get(&format!("http://{public}/{path}")).await.status, 200);
        }
        assert_eq!(get(&format!("http://{public}/")).await.status, 200);
        assert_eq!(get(&format!("http://{private}/")).await.status, 404);
        epoch.terminate();
        assert_eq!(epoch.exit_code().await, Some(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_not_ready_takes_no_request() {
    let ((http, public), (admin, private), (other_admin, _)) = (socket(), socket(), socket());
    let mut never = supervised(&[("http", &http), ("admin", &admin)], &[("FAULT", "never-ready")]);
    never.address("http");
    let not_ready = get(&format!("http://{private}/readyz")).await;
    assert_eq!((not_ready.status, not_ready.json()["status"].as_str()), (503, Some("not ready")));
    assert!(not_ready.json()["reason"].as_str().unwrap().contains("never-ready"));
    assert_eq!(get(&format!("http://{private}/livez")).await.status, 200);

    // Asked while only the first one holds the socket, answered by the second: the first took none.
    let mut asked = Vec::new();
    for _ in 0..20 {
        asked.push(ask(public).await);
    }
    let ready = supervised(&[("http", &http), ("admin", &other_admin)], &[]);
    for stream in asked {
        assert!(answer(stream).await.starts_with("HTTP/1.1 200 OK"));
    }
    assert!(!never.has_logged(|line| line["message"] == "request"));
    drop(ready);
    never.terminate();
    assert_eq!(never.exit_code().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn replaced_without_a_gap() {
    let ((http, public), (one, _), (two, _)) = (socket(), socket(), socket());
    let mut old = supervised(&[("http", &http), ("admin", &one)], &[]);
    let url = format!("http://{public}/");
    let (running, answered) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU32::new(0)));
    // Two that keep their connection and two that make a new one each time.
    let clients = [Client::new(), Client::new(), client(), client()].map(|client| {
        let (url, running, answered) = (url.clone(), Arc::clone(&running), Arc::clone(&answered));
        tokio::spawn(async move {
            while running.load(Ordering::Relaxed) {
                assert_eq!(client.get(&url).send().await.unwrap().status(), 200);
                answered.fetch_add(1, Ordering::Relaxed);
            }
        })
    });
    let more = async |wanted: u32| {
        let until = answered.load(Ordering::Relaxed) + wanted;
        eventually("requests", || async { (answered.load(Ordering::Relaxed) >= until).then_some(()) }).await;
    };
    for _ in 0..3 {
        more(100).await;
        let new = supervised(&[("http", &http), ("admin", &two)], &[]);
        new.logged("a request", |line| line["message"] == "request");
        old.terminate();
        assert_eq!(old.exit_code().await, Some(0));
        more(100).await;
        old = new;
    }
    running.store(false, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_that_are_meant_for_another_process_are_left_alone() {
    let env = [("LISTEN_FDS", "1"), ("LISTEN_FDNAMES", "http"), ("LISTEN_PID", "1")];
    let epoch = Running::start_ready(EPOCH, &env).await;
    assert_eq!(get(&epoch.url("/")).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_of_the_port_moves_it_elsewhere() {
    let ((http, public), (admin, private)) = (socket(), socket());
    let epoch = supervised(&[("http", &http), ("admin", &admin)], &[("FAULT", "wrong-port")]);
    let elsewhere = epoch.address("http");
    assert!(elsewhere != public && elsewhere != private);
    assert_eq!(get(&format!("http://{elsewhere}/readyz")).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_admin_socket_it_answers_before_it_is_ready() {
    let epoch = Running::start(EPOCH, &[("FAULT", "never-ready")]);
    assert_eq!(get(&epoch.url("/readyz")).await.status, 503);
    assert_eq!(get(&epoch.url("/livez")).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn unhealthy_after_a_while() {
    let epoch = Running::start(EPOCH, &[("FAULT", "unhealthy-after=1")]);
    let livez = epoch.url("/livez");
    let sick = eventually("unhealthy", || async { Some(get(&livez).await).filter(|answer| answer.status == 500) });
    assert_eq!(sick.await.json()["status"], "unhealthy");
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_end_it_with_0_and_free_the_port() {
    use testkit::Signal;
    for signal in [Signal::TERM, Signal::INT] {
        let mut epoch = Running::start_ready(EPOCH, &[]).await;
        let address = epoch.address("http");
        // An idle connection does not keep it.
        let idle = TcpStream::connect(address).await.unwrap();
        epoch.signal(signal);
        assert_eq!(epoch.exit_code().await, Some(0));
        assert!(answer(idle).await.is_empty());
        TcpListener::bind(address).unwrap();
    }
}

#[test]
fn what_keeps_it_from_starting_is_said_in_a_line() {
    let (_taken, address) = socket();
    let port = address.port().to_string();
    let taken = [("LISTEN_ADDRESS", "127.0.0.1"), ("PORT", port.as_str())];
    for (arguments, env, code, said) in [
        (&[][..], &[("FAULT", "slow")][..], 2, "`FAULT` is `slow`; valid is `never-ready`"),
        (&[], &[("PORT", "http")], 2, "`PORT` is `http`; valid is a port number"),
        (&[], &[("LOG", "loud")], 2, "`LOG` is `loud`"),
        (&["serve"], &[], 2, "`serve` is not understood"),
        (&[], &[("FAULT", "crash-at-start")], 1, "`FAULT` is `crash-at-start`"),
        (&[], &taken, 1, "cannot listen on `127.0.0.1:"),
    ] {
        let output = refused(EPOCH, arguments, env);
        let all = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert_eq!(output.status.code(), Some(code), "{all}");
        assert!(all.contains(said), "{all}");
    }
    let version = refused(EPOCH, &["--version"], &[("FAULT", "crash-at-start")]);
    assert_eq!(version.stdout, concat!("epoch ", env!("CARGO_PKG_VERSION"), "\n").as_bytes());
}

/// Logs that cannot be written must not take the service down.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_behind_the_logs_does_no_harm() {
    let full = || Stdio::from(std::fs::File::options().write(true).open("/dev/full").unwrap());
    let (free, address) = socket();
    drop(free);
    let mut command = Command::new(EPOCH);
    command.env_clear().env("LISTEN_ADDRESS", "127.0.0.1").env("PORT", address.port().to_string());
    let mut child = command.stdout(full()).stderr(full()).spawn().unwrap();
    let listens = || async { TcpStream::connect(address).await.ok() };
    eventually("a listening service", listens).await;
    let answers = [answer(ask(address).await).await, answer(ask(address).await).await];
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(answers.iter().all(|answer| answer.starts_with("HTTP/1.1 200 OK")), "{answers:?}");
}
