//! How a supervisor begins and ends, and whom it listens to.

use crate::scratch::{Scratch, eventually, free_address, program, service};
use base::{os, socket};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use supervisor::{Client, Connection};

#[expect(clippy::disallowed_methods, reason = "the program under test, as nobody is meant to start it")]
fn supervise(scratch: &Scratch) -> Command {
    let mut command = Command::new(program());
    command.arg("__supervise").arg(&scratch.dir).stdin(Stdio::null()).envs(scratch.marks());
    command
}

fn contact(scratch: &Scratch) -> Value {
    let text = std::fs::read_to_string(scratch.dir.join("supervisor.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn socket_of(scratch: &Scratch) -> PathBuf {
    contact(scratch)["socket"].as_str().unwrap().into()
}

#[test]
fn a_folder_has_one_supervisor() {
    let scratch = Scratch::new("one");
    let client = scratch.supervisor();
    assert_eq!(scratch.supervisor().process(), client.process());

    #[expect(clippy::disallowed_methods, reason = "see `supervise`")]
    let second = supervise(&scratch).output().unwrap();
    assert!(!second.status.success());
    let words = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(words.contains(&format!("a supervisor of `{}` runs already", scratch.dir.display())), "{words}");
    assert_eq!(scratch.supervisor().process(), client.process());
}

#[test]
fn of_supervisors_started_at_once_one_stays() {
    let scratch = Scratch::new("race");
    #[expect(clippy::disallowed_methods, reason = "see `supervise`")]
    let mut started: Vec<_> = (0..4).map(|_| supervise(&scratch).stderr(Stdio::null()).spawn().unwrap()).collect();
    let client = eventually("all others have ended", || {
        started.retain_mut(|child| child.try_wait().unwrap().is_none());
        match Client::connect(&scratch.dir) {
            Connection::Live(client) if started.len() == 1 => Some(client),
            _ => None,
        }
    });
    assert_eq!(client.process().pid, started[0].id());
    client.status().unwrap();
    os::signal(client.process(), Signal::SIGTERM);
    assert!(started[0].wait().unwrap().success());
}

#[test]
fn only_the_owner_is_listened_to() {
    let scratch = Scratch::new("token");
    let client = scratch.supervisor();
    scratch.deploy(&client, &scratch.spec("v1"));
    let file = scratch.dir.join("supervisor.json");
    assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);

    let folder = socket_of(&scratch);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&folder), mode(&folder.join("socket"))), (0o700, 0o600));
    let ask = |line: &str| {
        let mut stream = socket::connect(&folder).unwrap();
        writeln!(stream, "{line}").unwrap();
        let mut reply = String::new();
        BufReader::new(stream).read_line(&mut reply).unwrap();
        reply
    };
    let shutdown = json!({"token": "0".repeat(64), "request": "shutdown", "order": []});
    assert_eq!(ask(&shutdown.to_string()).trim(), r#"{"error":"wrong token","ok":false}"#);
    assert_eq!(ask("POST / HTTP/1.1").trim(), r#"{"error":"not a request","ok":false}"#);
    assert_eq!(scratch.get().unwrap(), "v1");
}

#[test]
fn there_is_room_for_as_many_as_come() {
    let scratch = Scratch::new("many");
    let client = scratch.supervisor();
    let folder = socket_of(&scratch);
    let silent: Vec<_> = (0..200).map(|_| socket::connect(&folder).unwrap()).collect();
    client.status().unwrap();
    drop(silent);
}

#[test]
fn a_supervisor_whose_socket_was_cleaned_away_listens_again() {
    let scratch = Scratch::new("cleaned");
    let client = scratch.supervisor();
    let folder = socket_of(&scratch);
    socket::remove(&folder);
    assert!(client.status().is_err());
    let again = eventually("it listens again", || match Client::connect(&scratch.dir) {
        Connection::Live(client) => client.status().ok().map(|_| client),
        _ => None,
    });
    assert_eq!(again.process(), client.process());
    let folder = socket_of(&scratch);
    again.shutdown(&[]).unwrap();
    assert!(!folder.exists());
}

#[test]
fn the_socket_of_one_that_was_killed_is_removed() {
    let scratch = Scratch::new("socket");
    let client = scratch.supervisor();
    scratch.deploy(&client, &scratch.spec("v1"));
    let folder = socket_of(&scratch);
    scratch.kill(&client);
    supervisor::end_orphans(&scratch.dir);
    assert!(!folder.exists());
}

#[test]
fn a_supervisor_removes_the_socket_of_one_whose_folder_is_gone() {
    let (lost, scratch) = (Scratch::new("lost"), Scratch::new("sweep"));
    let client = lost.supervisor();
    let folder = socket_of(&lost);
    os::signal(client.process(), Signal::SIGKILL);
    assert!(os::wait_gone(client.process(), Instant::now() + Duration::from_secs(10)));
    std::fs::remove_dir_all(&lost.dir).unwrap();
    scratch.supervisor();
    assert!(!folder.exists() && socket_of(&scratch).exists());
}

#[test]
fn a_supervisor_is_found_however_deep_its_folder_is() {
    let mut scratch = Scratch::new("deep");
    let outer = scratch.dir.clone();
    scratch.dir = outer.join("d".repeat(100)).join("e".repeat(100));
    std::fs::create_dir_all(&scratch.dir).unwrap();
    let client = scratch.supervisor();
    scratch.deploy(&client, &scratch.spec("v1"));
    assert_eq!(client.status().unwrap().len(), 1);
    client.shutdown(&[]).unwrap();
    scratch.dir = outer;
}

#[test]
fn the_supervisor_of_a_version_that_listens_on_a_port_is_talked_to() {
    let scratch = Scratch::new("port");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let contact = json!({
        "schema": 1, "protocol": 2, "process": os::identity(std::process::id()).unwrap().to_json(),
        "port": listener.local_addr().unwrap().port(), "token": "its-own",
    });
    std::fs::write(scratch.dir.join("supervisor.json"), contact.to_string()).unwrap();
    let earlier = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut line = String::new();
        BufReader::new(stream.try_clone().unwrap()).read_line(&mut line).unwrap();
        writeln!(stream, "{}", json!({"ok": true, "services": []})).unwrap();
        serde_json::from_str::<Value>(&line).unwrap()
    });
    let Connection::Live(client) = Client::connect(&scratch.dir) else { panic!("not found") };
    assert_eq!(client.status().unwrap(), []);
    assert_eq!(earlier.join().unwrap()["token"], "its-own");
    std::fs::remove_file(scratch.dir.join("supervisor.json")).unwrap();
}

#[test]
fn a_signal_ends_all_services_in_order() {
    let scratch = Scratch::new("signal");
    let client = scratch.supervisor();
    for name in ["first", "second"] {
        let mut spec = scratch.spec(name);
        spec.service = name.parse().unwrap();
        spec.listen = free_address();
        let number = client.start(&spec).unwrap();
        eventually("it is ready", || client.promote(&spec.service, number).ok());
    }
    assert_eq!(scratch.processes().len(), 3);
    os::signal(client.process(), Signal::SIGTERM);
    assert!(os::wait_gone(client.process(), Instant::now() + Duration::from_secs(20)));
    assert_eq!(scratch.processes(), []);
    assert!(matches!(Client::connect(&scratch.dir), Connection::Absent));
    let stopped: Vec<_> = scratch.log_lines().into_iter().filter(|line| line.ends_with(" stopped")).collect();
    assert!(stopped[0].starts_with("second ") && stopped[1].starts_with("first "), "{stopped:?}");
}

#[test]
fn a_shutdown_answers_when_everything_has_ended() {
    let scratch = Scratch::new("shutdown");
    let client = scratch.supervisor();
    scratch.deploy(&client, &scratch.spec("v1"));
    client.stop(&"unknown".parse().unwrap()).unwrap();
    client.shutdown(&[service()]).unwrap();
    assert_eq!(scratch.processes(), []);
    let refused = client.status().unwrap_err().to_string();
    assert!(refused.contains("does not answer"), "{refused}");
}

#[test]
fn a_stopped_service_no_longer_takes_connections() {
    let scratch = Scratch::new("stopped");
    let client = scratch.supervisor();
    scratch.deploy(&client, &scratch.spec("v1"));
    client.stop(&service()).unwrap();
    assert_eq!(client.status().unwrap(), []);
    assert_eq!(scratch.get().unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
    scratch.deploy(&client, &scratch.spec("v2"));
    assert_eq!(scratch.get().unwrap(), "v2");
}

#[test]
fn a_supervisor_whose_folder_is_removed_ends_with_its_services() {
    let scratch = Scratch::new("removed");
    let client = scratch.supervisor();
    scratch.deploy(&client, &scratch.spec("v1"));
    // The supervisor may write a file in there while it is being emptied.
    eventually("the folder can be removed", || std::fs::remove_dir_all(&scratch.dir).ok());
    eventually("all have ended", || scratch.processes().is_empty().then_some(()));
    assert!(!scratch.dir.exists(), "nothing is made again");
}

#[test]
fn a_supervisor_that_cannot_start_says_why() {
    let scratch = Scratch::new("broken");
    std::fs::create_dir(scratch.dir.join("supervisor.lock")).unwrap();
    let error = supervisor::ensure(&scratch.dir, program(), &scratch.marks()).unwrap_err();
    let words = format!("{error:#}");
    assert!(words.contains("the supervisor did not come up: it ended with"), "{words}");
    assert!(words.contains("supervisor.lock`: Is a directory"), "{words}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_supervisor_survives_that_its_log_cannot_be_written() {
    let scratch = Scratch::new("mute");
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    #[expect(clippy::disallowed_methods, reason = "see `supervise`")]
    let mut child = supervise(&scratch).stderr(full).spawn().unwrap();
    let client = eventually("it answers", || match Client::connect(&scratch.dir) {
        Connection::Live(client) => Some(client),
        _ => None,
    });
    scratch.deploy(&client, &scratch.spec("v1"));
    assert_eq!(scratch.get().unwrap(), "v1");
    os::signal(client.process(), Signal::SIGTERM);
    assert!(child.wait().unwrap().success());
}

#[test]
fn the_supervisor_of_another_version_is_replaced_with_its_services() {
    let scratch = Scratch::new("version");
    let client = scratch.supervisor();
    scratch.deploy(&client, &scratch.spec("v1"));
    let mut document = contact(&scratch);
    document["protocol"] = json!(9999);
    std::fs::write(scratch.dir.join("supervisor.json"), document.to_string()).unwrap();
    let Connection::Foreign(foreign) = Client::connect(&scratch.dir) else { panic!("taken for our own") };
    assert_eq!((&foreign.process, foreign.protocol), (client.process(), 9999));

    let ensured = scratch.ensure();
    assert_eq!(ensured.replaced, Some(foreign));
    assert_ne!(ensured.client.process(), client.process());
    assert_eq!(scratch.processes().len(), 1);
}

#[cfg(target_os = "linux")]
#[test]
fn a_supervisor_holds_nothing_of_whoever_started_it() {
    let scratch = Scratch::new("held");
    let (mut reader, writer) = std::io::pipe().unwrap();
    // Copies without the close-on-exec flag, as a careless parent would leave them.
    let copy = nix::fcntl::fcntl(&writer, nix::fcntl::FcntlArg::F_DUPFD(100)).unwrap();
    let client = scratch.supervisor();
    nix::unistd::close(copy).unwrap();
    drop(writer);
    let (sender, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(std::io::copy(&mut reader, &mut std::io::sink()).is_ok()));
    let read = ended.recv_timeout(Duration::from_secs(10));
    assert_eq!(read, Ok(true), "the pipe of {:?} stays open", client.process());
}
