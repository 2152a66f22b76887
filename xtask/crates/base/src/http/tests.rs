//! The client against servers that say exactly this.

use super::*;
use std::io::Read;
use std::io::Write as _;
use std::net::TcpListener;
use std::thread::JoinHandle;

const LONG: Duration = Duration::from_secs(30);

fn never() -> bool {
    false
}

/// Answers one request with these bytes and hangs up; the handle returns the request.
fn serve(answer: impl Into<Vec<u8>>) -> (Url, JoinHandle<String>) {
    let answer = answer.into();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = url_of(&listener, "/");
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let request = read_request(&mut stream);
        // A client that has read enough may be gone.
        drop(stream.write_all(&answer));
        request
    });
    (url, server)
}

fn url_of(listener: &TcpListener, path: &str) -> Url {
    Url { endpoint: listener.local_addr().unwrap().into(), path: path.to_owned() }
}

fn read_request(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    let mut byte = [0];
    let complete = |request: &[u8]| {
        let text = String::from_utf8_lossy(request).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            return false;
        };
        let mut lengths = head.lines().filter_map(|line| line.strip_prefix("Content-Length: "));
        let length = lengths.next().map_or(0, |length| length.parse().unwrap());
        body.len() >= length
    };
    while !complete(&request) && stream.read(&mut byte).unwrap_or(0) == 1 {
        request.push(byte[0]);
    }
    String::from_utf8_lossy(&request).into_owned()
}

fn get(answer: impl Into<Vec<u8>>) -> Result<Response, String> {
    let (url, server) = serve(answer);
    let result = send(&Request::get(url, LONG), &never);
    server.join().unwrap();
    result.map_err(|error| error.to_string())
}

fn body(answer: &str) -> Result<String, String> {
    get(answer).map(|response| String::from_utf8(response.body).unwrap())
}

#[test]
fn a_request_carries_what_it_was_given() {
    let (mut url, server) = serve("HTTP/1.1 201 Created\r\nContent-Length: 2\r\nX-A: b\r\n\r\nok");
    url.endpoint.host = "go.example".to_owned();
    url.path = "/a?b=c".to_owned();
    let port = url.endpoint.port;
    let request = Request {
        method: "POST",
        headers: vec![("x-one".to_owned(), "two".to_owned())],
        body: Some(b"{}".to_vec()),
        ..Request::get(url, LONG)
    };
    let response = send(&request, &never).unwrap();
    assert_eq!((response.status, response.body.as_slice()), (201, b"ok".as_slice()));
    assert_eq!((response.header("x-a"), response.header("x-b")), (Some("b"), None));
    assert!(response.is_success());
    assert_eq!(
        server.join().unwrap(),
        format!(
            "POST /a?b=c HTTP/1.1\r\nHost: go.example:{port}\r\nConnection: close\r\nx-one: two\r\nContent-Length: 2\r\n\r\n{{}}"
        )
    );
}

#[test]
fn a_body_ends_where_its_answer_says() {
    let with = |head: &str| body(&format!("HTTP/1.1 200 OK\r\n{head}"));
    assert_eq!(with("Content-Length: 3\r\n\r\nabcdef").as_deref(), Ok("abc"));
    assert_eq!(with("\r\nuntil the end").as_deref(), Ok("until the end"));
    assert_eq!(with("Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n").as_deref(), Ok("abcde"));
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na";
    assert_eq!(body(interim).as_deref(), Ok("a"));
    let none = "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n";
    assert_eq!(body(none).as_deref(), Ok(""));
}

#[test]
fn the_answer_to_head_has_no_body_whatever_its_length() {
    let (url, server) = serve("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    let request = Request { method: "HEAD", ..Request::get(url, LONG) };
    assert_eq!(send(&request, &never).unwrap().body, b"");
    server.join().unwrap();
}

#[test]
fn redirects_are_answers_like_any_other() {
    let answer = "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n";
    let response = get(answer).unwrap();
    assert_eq!(response.status, 307);
    assert_eq!(response.header("location"), Some("http://127.0.0.1:1/"));
    assert!(!response.is_success());
}

#[test]
fn a_probe_passes_from_200_to_399() {
    let passes = |status| Response { status, headers: Vec::new(), body: Vec::new() }.passes_probe();
    assert_eq!([199, 200, 299, 300, 399, 400].map(passes), [false, true, true, true, true, false]);
}

#[test]
fn an_answer_that_is_cut_off_or_none_says_so() {
    for (answer, expected) in [
        ("", "the connection was closed without an answer"),
        ("HTTP/1.1 200", "the connection was closed in the middle of the answer"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", "the connection was closed in the middle of the answer"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc",
            "the connection was closed in the middle of the answer",
        ),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "malformed chunk in the answer"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc", "malformed chunk in the answer"),
        ("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "malformed `content-length` in the answer: `-1`"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", "the answer is larger than 16 MiB"),
        (
            "-NOAUTH Authentication required.\r\n",
            "the answer is not HTTP: invalid HTTP version (it starts with `-NOAUTH Authentication required.\\r\\n`)",
        ),
    ] {
        assert_eq!(body(answer), Err(expected.to_owned()));
    }
    let endless = format!("HTTP/1.1 200 OK\r\nx: {}", "a".repeat(100_000));
    assert_eq!(body(&endless), Err("the head of the answer does not end".to_owned()));
}

#[test]
fn whatever_is_answered_nothing_panics() {
    // A head as long as the limits of other clients, with bare line feeds, and bytes that are no text.
    let header = format!("HTTP/1.1 200 OK\nx: {}\n\nok", "a".repeat(8188));
    assert_eq!(body(&header).as_deref(), Ok("ok"));
    let mut bytes = b"HTTP/1.1 200 \xff\r\nx: \xfe\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n".to_vec();
    for end in 0..bytes.len() {
        drop(get(&bytes[..end]));
    }
    for at in 0..bytes.len() {
        bytes[at] ^= 0x15;
        drop(get(bytes.as_slice()));
    }
}

#[test]
fn nobody_there_is_said_in_the_words_of_the_system() {
    // A port that programs without privileges cannot take.
    let url: Url = "http://127.0.0.1:1/".parse().unwrap();
    let error = send(&Request::get(url, LONG), &never).unwrap_err();
    assert_eq!(error.to_string(), "connect to 127.0.0.1:1: connection refused");
}

#[test]
fn a_server_that_keeps_silent_is_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let timeout = Duration::from_millis(100);
    let error = send(&Request::get(url_of(&listener, "/"), timeout), &never).unwrap_err();
    assert_eq!(error.to_string(), "no answer within 100ms");
}

#[test]
fn a_timeout_may_be_longer_than_the_clock_can_express() {
    let (url, server) = serve("HTTP/1.1 200 OK\r\n\r\nok");
    assert_eq!(send(&Request::get(url, Duration::MAX), &never).unwrap().body, b"ok");
    server.join().unwrap();
}

#[test]
fn a_wait_ends_when_it_should_stop() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let started = Instant::now();
    let stop = || started.elapsed() > Duration::from_millis(100);
    let error = send(&Request::get(url_of(&listener, "/"), LONG), &stop).unwrap_err();
    assert_eq!(error.to_string(), "interrupted");
    assert!(started.elapsed() < LONG);
}

#[test]
fn nothing_can_be_smuggled_into_a_request() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    for path in ["", "a", "/a b", "/\r\nx: y"] {
        let request = Request::get(url_of(&listener, path), LONG);
        assert!(send(&request, &never).unwrap_err().to_string().contains("cannot be the path"));
    }
    for (name, value) in [("a", "b\r\nc: d"), ("a\n", "b"), ("a: b", "c")] {
        let mut request = Request::get(url_of(&listener, "/"), LONG);
        request.headers.push((name.to_owned(), value.to_owned()));
        assert!(send(&request, &never).unwrap_err().to_string().contains("cannot be sent"));
    }
}

#[test]
fn an_address_is_asked_for_in_the_form_of_its_family() {
    let Ok(listener) = TcpListener::bind("[::1]:0") else {
        // A machine without IPv6.
        return;
    };
    let url = url_of(&listener, "/");
    let port = url.endpoint.port;
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let request = read_request(&mut stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        request
    });
    assert_eq!(send(&Request::get(url.to_string().parse().unwrap(), LONG), &never).unwrap().status, 200);
    assert!(server.join().unwrap().contains(&format!("Host: [::1]:{port}\r\n")));
}

#[test]
fn a_body_is_handed_on_as_it_comes() {
    let streamed = |answer: &str| {
        let (url, server) = serve(answer);
        let mut parts = Vec::new();
        let mut sink = |bytes: &[u8]| {
            parts.push(String::from_utf8_lossy(bytes).into_owned());
            parts.len() < 3
        };
        let response = stream(&Request::get(url, LONG), &never, &mut sink).map(|response| response.body);
        server.join().unwrap();
        (response.map_err(|error| error.to_string()), parts)
    };
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let both = streamed(&format!("{chunked}3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"));
    assert_eq!(both, (Ok(Vec::new()), vec!["abc".to_owned(), "de".to_owned()]));
    // Whoever wants no more is given no more, though there is.
    let (_, parts) = streamed(&format!("{chunked}1\r\na\r\n1\r\nb\r\n1\r\nc\r\n1\r\nd\r\n0\r\n\r\n"));
    assert_eq!(parts, ["a", "b", "c"]);
    let (cut, parts) = streamed(&format!("{chunked}1\r\na\r\n"));
    assert_eq!((cut.is_err(), parts), (true, vec!["a".to_owned()]));
    assert_eq!(streamed("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").1, ["ok"]);
    let refused = streamed("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno");
    assert_eq!(refused, (Ok(b"no".to_vec()), Vec::new()));
}

/// A proxy that sees who is to be connected to, and answers in its place.
#[test]
fn a_public_name_is_asked_by_way_of_the_proxy() {
    let (proxy, server) = serve("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let request = Request::get("http://epoch.shop.example/now".parse().unwrap(), LONG);
    let vars = || Vars::of([("HTTP_PROXY", &*proxy.to_string())]);
    let answer = secure::send(&request, curl::proxy(&request.url.endpoint, vars), &never).unwrap();
    assert_eq!((answer.status, &*answer.body), (200, &b"ok"[..]));
    assert!(server.join().unwrap().starts_with("GET http://epoch.shop.example/now HTTP/1.1\r\n"));
}

/// What goes over TLS is tunnelled, and the name is the proxy's to resolve.
#[test]
fn a_public_name_over_tls_is_asked_for_a_tunnel() {
    let (proxy, server) = serve("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n");
    let request = Request::get("https://epoch.shop.example/now".parse().unwrap(), LONG);
    let command = curl::request(&request).unwrap().env("HTTPS_PROXY", proxy.to_string());
    let output = crate::proc::brief(&command, LONG, &never).unwrap().unwrap();
    assert!(curl::complaint(&String::from_utf8_lossy(&output.stderr)).contains("502"));
    assert!(server.join().unwrap().starts_with("CONNECT epoch.shop.example:443 HTTP/1.1\r\n"));
}
