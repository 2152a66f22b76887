//! What a registry is asked without an engine, and who may ask.

use super::place::{Door, PASSWORD, Scratch, Server, me, proc, step, step_with};
use super::proxy::{MANIFEST, Tokens};
use base::proc::Children;
use base::signal::Interrupts;
use images::auth::Credentials;
use images::refusal::{Kind, Refusal};
use images::registry::Client;
use model::container::Platform;
use model::image::{Digest, Repository};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

fn client(credentials: Option<Credentials>) -> Client {
    Client::new(&proc(), &Interrupts::default(), credentials)
}

fn repository(host: &str) -> Repository {
    format!("{host}/try/x").parse().unwrap()
}

#[test]
fn a_locked_registry_answers_those_it_knows() {
    let server = skip::unless!(Server::start(Door::Locked));
    let (host, x) = (server.host(), repository(&server.host()));
    assert_eq!(client(me(&host, PASSWORD)).digest(&x, "none"), Ok(None));
    for stranger in [None, me(&host, "wrong"), me("other.example", PASSWORD)] {
        let refusal = client(stranger).manifest(&x, "none").unwrap_err();
        let words = format!("{host} answered 401 (unauthorized): authentication required");
        assert_eq!(refusal, Refusal { kind: Kind::Denied, words });
    }
}

#[test]
fn a_token_is_fetched_where_the_registry_says_and_used_again() {
    let tokens = Tokens::start();
    let host = tokens.address.to_string();
    let known = client(me(&host, PASSWORD));
    let digest = Some(Digest::of(MANIFEST.as_bytes()));
    for _ in 0..2 {
        // It does not say the digest of what it is asked for, so the whole is fetched.
        assert_eq!(known.digest(&repository(&host), "1").unwrap(), digest);
    }
    let (head, get) = ("HEAD /v2/try/x/manifests/1 HTTP/1.1", "GET /v2/try/x/manifests/1 HTTP/1.1");
    let token = "GET /token?service=try%2C%20it&scope=repository:try/x:pull HTTP/1.1";
    assert_eq!(tokens.requests(), [head, token, head, get, head, get]);
    let refusal = client(me(&host, "wrong")).digest(&repository(&host), "1").unwrap_err();
    let words = format!("{host} answered 401 (unauthorized): incorrect username or password");
    assert_eq!(refusal, Refusal { kind: Kind::Denied, words });
}

#[test]
fn nobody_there_is_a_refusal_that_may_pass() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refusal = client(None).digest(&repository(&free.to_string()), "1").unwrap_err();
    assert_eq!(refusal.kind, Kind::Passing);
    assert!(refusal.words.contains("connection refused"), "{}", refusal.words);
}

#[test]
fn a_registry_that_stays_away_is_named_with_what_to_do() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let scratch = Scratch::new("away");
    let (publisher, name) = (scratch.publisher(&free.to_string(), None), format!("{free}/try/x:1").parse().unwrap());
    let ran = step(move |cx| publisher.digest(cx, &|| unreachable!(), &name, Platform::LinuxAmd64));
    let fault = ran.value.unwrap_err();
    assert_eq!(fault.code, "registry-unreachable");
    assert!(fault.cause.starts_with(&format!("cannot look up `{free}/try/x:1`: ")), "{fault}");
    assert!(fault.cause.ends_with("connection refused"), "{fault}");
    assert!(fault.hint.unwrap().starts_with("run the same command again"));
    assert_eq!(ran.journal.matches("tries again in").count(), 4, "{}", ran.journal);
}

#[test]
fn a_signal_ends_the_wait_for_another_try() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let scratch = Scratch::new("interrupted");
    let publisher = scratch.publisher(&free.to_string(), None);
    let interrupts = Interrupts::install(Children::default()).unwrap();
    let (name, sent) = (format!("{free}/try/x:1").parse().unwrap(), AtomicBool::new(false));
    let signal = move |text: &str| {
        if text.ends_with("tries again in 4s") && !sent.swap(true, Ordering::SeqCst) {
            nix::sys::signal::kill(nix::unistd::getpid(), nix::sys::signal::Signal::SIGTERM).unwrap();
        }
    };
    let started = Instant::now();
    let ran = step_with(&interrupts, Box::new(signal), move |cx| {
        publisher.digest(cx, &|| unreachable!(), &name, Platform::LinuxAmd64)
    });
    assert_eq!(ran.value.unwrap_err().code, "interrupted");
    assert!(started.elapsed() < Duration::from_secs(7), "it went on waiting: {:?}", started.elapsed());
}
