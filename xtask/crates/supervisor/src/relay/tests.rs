use super::*;
use std::io::{Read, Write};
use std::net::Shutdown;

fn relay() -> (Relay, SocketAddr) {
    let relay = Relay::on(TcpListener::bind("127.0.0.1:0").unwrap()).unwrap();
    let address = relay.listen;
    (relay, address)
}

fn server() -> (TcpListener, SocketAddr) {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    (server, address)
}

fn connect(address: SocketAddr) -> TcpStream {
    let client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    client
}

fn all(mut stream: &TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        thread::yield_now();
    }
}

#[test]
fn each_side_may_close_its_half_first() {
    let ((relay, address), (server, target)) = (relay(), server());
    relay.point(Some(target));
    let mut asks_and_closes = connect(address);
    asks_and_closes.write_all(b"question").unwrap();
    asks_and_closes.shutdown(Shutdown::Write).unwrap();
    let (mut there, _) = server.accept().unwrap();
    assert_eq!(all(&there), "question");
    there.write_all(b"answer").unwrap();
    drop(there);
    assert_eq!(all(&asks_and_closes), "answer");

    let mut says_more = connect(address);
    let (mut there, _) = server.accept().unwrap();
    there.write_all(b"hello").unwrap();
    there.shutdown(Shutdown::Write).unwrap();
    assert_eq!(all(&says_more), "hello");
    says_more.write_all(b"and more").unwrap();
    drop(says_more);
    assert_eq!(all(&there), "and more");
    drop(there);
    eventually("no connection is counted any more", || relay.is_left(target));
}

#[test]
fn an_answer_under_way_is_finished_by_the_version_that_began_it() {
    let ((relay, address), (old, old_at), (new, new_at)) = (relay(), server(), server());
    relay.point(Some(old_at));
    let slow = connect(address);
    let (mut answering, _) = old.accept().unwrap();
    relay.point(Some(new_at));
    let next = connect(address);
    let (mut there, _) = new.accept().unwrap();
    there.write_all(b"new").unwrap();
    drop(there);
    assert_eq!(all(&next), "new");
    assert!(!relay.is_left(old_at));
    answering.write_all(b"old").unwrap();
    drop(answering);
    assert_eq!(all(&slow), "old");
    drop(slow);
    eventually("the old version is left", || relay.is_left(old_at));
}

const REQUEST: &[u8] = b"GET /a?b HTTP/1.1\r\nHost: a\r\n\r\n";

/// Has a client ask on a connection that it keeps, and the server answer.
fn exchange(mut client: &TcpStream, mut server: &TcpStream, question: &[u8]) {
    client.write_all(question).unwrap();
    let mut text = vec![0; question.len()];
    server.read_exact(&mut text).unwrap();
    assert_eq!(text, question);
    server.write_all(b"answer").unwrap();
    client.read_exact(&mut [0; 6]).unwrap();
}

#[test]
fn the_next_request_on_a_connection_that_is_kept_is_new() {
    let ((relay, address), (old, old_at), (new, new_at)) = (relay(), server(), server());
    relay.point(Some(old_at));
    let kept = connect(address);
    let (there, _) = old.accept().unwrap();
    exchange(&kept, &there, REQUEST);
    exchange(&kept, &there, REQUEST);
    relay.point(Some(new_at));
    thread::scope(|scope| {
        // The old version is told that nothing more comes, and closes.
        scope.spawn(|| {
            assert_eq!(all(&there), "");
            drop(there);
        });
        let (mut client, now) = (&kept, scope.spawn(|| new.accept().unwrap().0));
        client.write_all(REQUEST).unwrap();
        let mut now = now.join().unwrap();
        now.read_exact(&mut [0; REQUEST.len()]).unwrap();
        now.write_all(b"newest").unwrap();
        client.read_exact(&mut [0; 6]).unwrap();
        exchange(&kept, &now, REQUEST);
    });
    assert!(relay.is_left(old_at));
}

#[test]
fn what_is_no_request_stays_where_it_is() {
    let ((relay, address), (old, old_at), (_new, new_at)) = (relay(), server(), server());
    relay.point(Some(old_at));
    let kept = connect(address);
    let (there, _) = old.accept().unwrap();
    exchange(&kept, &there, b"PING\r\n");
    relay.point(Some(new_at));
    exchange(&kept, &there, b"PING\r\n");
    assert!(!relay.is_left(old_at));
}

#[test]
fn what_comes_while_nobody_serves_waits() {
    let ((relay, address), (gone, gone_at), (server, target)) = (relay(), server(), server());
    let early = connect(address);
    drop(gone);
    relay.point(Some(gone_at));
    relay.point(Some(target));
    let (mut there, _) = server.accept().unwrap();
    there.write_all(b"late").unwrap();
    drop(there);
    assert_eq!(all(&early), "late");
}

#[test]
fn many_connections_are_served_at_once() {
    let ((relay, address), (server, target)) = (relay(), server());
    relay.point(Some(target));
    let clients: Vec<TcpStream> = (0..100).map(|_| connect(address)).collect();
    let there: Vec<TcpStream> = clients.iter().map(|_| server.accept().unwrap().0).collect();
    clients.iter().enumerate().for_each(|(number, mut client)| write!(client, "{number}").unwrap());
    clients.iter().for_each(|client| client.shutdown(Shutdown::Write).unwrap());
    for mut stream in there {
        let text = all(&stream);
        write!(stream, "{text} again").unwrap();
    }
    for (number, client) in clients.iter().enumerate() {
        assert_eq!(all(client), format!("{number} again"));
    }
}

#[test]
fn the_port_is_free_once_it_is_dropped() {
    let (relay, address) = relay();
    drop(relay);
    drop(TcpListener::bind(address).unwrap());
}
