//! What a service's binary does besides serving: it stands in for the tools that its container does not have.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::TcpListener;

use testkit::{Running, refused};

const EPOCH: &str = env!("CARGO_BIN_EXE_epoch");

/// Runs a command to its end: exit code, standard output, standard error.
fn run(arguments: &[&str], port: &str) -> (Option<i32>, String, String) {
    let output = refused(EPOCH, arguments, &[("PORT", port)]);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// A port on which nothing listens.
fn closed() -> String {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap().port().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn healthcheck_asks_the_running_service() {
    let epoch = Running::start_ready(EPOCH, &[]).await;
    let port = epoch.address("http").port().to_string();
    assert_eq!(run(&["healthcheck"], &port), (Some(0), String::new(), String::new()));

    let sick = Running::start_ready(EPOCH, &[("FAULT", "unhealthy-after=0")]).await;
    let port = sick.address("http").port().to_string();
    let (code, _, said) = run(&["healthcheck"], &port);
    assert_eq!(code, Some(1));
    assert!(said.contains("500"), "{said}");
    drop(sick);
    let (code, _, said) = run(&["healthcheck"], &port);
    assert_eq!(code, Some(1));
    assert!(said.contains("refused"), "{said}");
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn healthcheck_says_which_ports_are_listened_on_instead() {
    let wanted = closed();
    let epoch = Running::start_ready(EPOCH, &[("FAULT", "wrong-port"), ("PORT", &wanted)]).await;
    let real = epoch.address("http").port().to_string();
    let (code, _, said) = run(&["healthcheck"], &wanted);
    assert_eq!(code, Some(1));
    // Other programs of this machine listen, too; in a container there are none.
    let (_, found) =
        said.split_once(&format!("; nothing listens on {wanted}; port")).unwrap_or_else(|| panic!("{said}"));
    assert!(found.split([' ', ',']).any(|port| port == real), "no {real} in {said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn reach_tells_a_port_that_is_within_reach_from_one_that_is_not() {
    let epoch = Running::start_ready(EPOCH, &[]).await;
    let address = epoch.address("http");
    let connected = (Some(0), format!("connected to {address}\n"), String::new());
    assert_eq!(run(&["reach", &address.to_string()], "0"), connected);
    // By name, with an address for IPv6 that nothing listens on where the machine has one.
    assert_eq!(run(&["reach", &format!("localhost:{}", address.port())], "0"), connected);

    let nowhere = format!("127.0.0.1:{}", closed());
    let refused = (Some(1), format!("cannot connect to {nowhere}: connection refused\n"), String::new());
    assert_eq!(run(&["reach", &nowhere], "0"), refused);
    let (code, said, _) = run(&["reach", "nobody.invalid:80"], "0");
    assert_eq!((code, said.lines().count()), (Some(1), 1));
    assert!(said.starts_with("cannot resolve `nobody.invalid`: "), "{said}");
}

#[test]
fn reach_tries_again_where_that_is_wanted() {
    let address = format!("127.0.0.1:{}", closed());
    let opens = std::thread::spawn({
        let address = address.clone();
        move || {
            std::thread::sleep(std::time::Duration::from_millis(300));
            TcpListener::bind(address).unwrap()
        }
    });
    let (code, said, _) = run(&["reach", "--again", &address], "0");
    assert_eq!((code, said), (Some(0), format!("connected to {address}\n")));
    opens.join().unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn sockets_are_told_as_the_kernel_has_them() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let (code, said, complaint) = run(&["sockets"], "0");
    assert_eq!((code, complaint.as_str()), (Some(0), ""));
    assert!(said.lines().next().is_some_and(|head| head.contains("local_address")), "{said}");
    let listener = format!("0100007F:{:04X} 00000000:0000 0A", socket.local_addr().unwrap().port());
    assert!(said.contains(&listener), "no {listener} in {said}");
}

/// A listener whose queue is full answers nothing at all.
#[cfg(target_os = "linux")]
#[test]
fn reach_gives_up_on_what_does_not_answer() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let within = std::time::Duration::from_millis(100);
    let connect = || std::net::TcpStream::connect_timeout(&address, within).ok();
    let queued: Vec<_> = std::iter::from_fn(connect).collect();
    let (code, said, _) = run(&["reach", &address.to_string()], "0");
    assert_eq!((code, said), (Some(1), format!("cannot connect to {address}: no answer within 3 s\n")));
    drop(queued);
}

#[test]
fn reach_wants_a_host_and_a_port() {
    for destination in ["redis", "redis:", ":80", "redis:0"] {
        let (code, _, said) = run(&["reach", destination], "0");
        assert_eq!(code, Some(2));
        assert!(said.contains(&format!("`{destination}` is not understood")) && said.contains("HOST:PORT"), "{said}");
    }
}
