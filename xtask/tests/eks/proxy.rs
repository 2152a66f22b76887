//! A proxy in front of AWS that answers for it as it does on a bad day: too many requests, keys that have expired, an
//! answer that is lost on its way.

use super::head::Head;
use std::io::{BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::{Arc, Mutex};

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Passes,
    /// AWS refuses it with this status and code.
    Refused(u16, &'static str),
    /// AWS does it, and the answer does not arrive.
    Lost,
}

/// Judges a request by its service (`s3`, `ec2`, …) and its text, head and body.
type Judge = Box<dyn FnMut(&str, &str) -> Fate + Send>;

pub(crate) struct Proxy {
    address: SocketAddr,
    judge: Arc<Mutex<Judge>>,
}

impl Proxy {
    /// In front of `AWS_ENDPOINT_URL`.
    pub(crate) fn start(judge: impl FnMut(&str, &str) -> Fate + Send + 'static) -> Self {
        let endpoint = std::env::var("AWS_ENDPOINT_URL").unwrap();
        let host = endpoint.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let upstream = host.to_socket_addrs().unwrap().next().unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let judge: Arc<Mutex<Judge>> = Arc::new(Mutex::new(Box::new(judge)));
        let shared = Arc::clone(&judge);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let judge = Arc::clone(&shared);
                std::thread::spawn(move || {
                    // Whatever breaks here is a connection that is over.
                    let _ = serve(&client, upstream, &judge);
                    let _ = client.shutdown(Shutdown::Both);
                });
            }
        });
        Self { address, judge }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on.
    pub(crate) fn judge(&self, judge: impl FnMut(&str, &str) -> Fate + Send + 'static) {
        *self.judge.lock().unwrap() = Box::new(judge);
    }
}

/// One request to a connection: clients are told that it closes, and make another.
fn serve(mut client: &TcpStream, upstream: SocketAddr, judge: &Mutex<Judge>) -> std::io::Result<()> {
    let mut reader = BufReader::new(client);
    let Some(head) = Head::read(&mut reader)? else { return Ok(()) };
    let waits = head.header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue"));
    if waits {
        client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let mut body = Vec::new();
    reader.take(head.length()).read_to_end(&mut body)?;
    let head = head.without(&["connection", "expect"]);
    let service = service(&head);
    let fate = judge.lock().unwrap()(&service, &format!("{head}\n{}", String::from_utf8_lossy(&body)));
    if let Fate::Refused(status, code) = fate {
        return refuse(client, &service, status, code);
    }
    let mut server = TcpStream::connect(upstream)?;
    server.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes())?;
    server.write_all(&body)?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    if fate == Fate::Lost { Ok(()) } else { client.write_all(&answer) }
}

/// The service that a request is signed for: `Credential=KEY/DATE/REGION/SERVICE/aws4_request`.
fn service(head: &str) -> String {
    let scope = head.split("Credential=").nth(1).and_then(|rest| rest.split([',', ' ']).next()).unwrap_or_default();
    scope.split('/').nth(3).unwrap_or_default().to_owned()
}

/// Each protocol says it in its own way.
fn refuse(mut client: &TcpStream, service: &str, status: u16, code: &str) -> std::io::Result<()> {
    let words = "said by the proxy";
    let (kind, body) = match service {
        "s3" => ("application/xml", format!("<Error><Code>{code}</Code><Message>{words}</Message></Error>")),
        "ec2" => (
            "text/xml",
            format!(
                "<Response><Errors><Error><Code>{code}</Code><Message>{words}</Message></Error></Errors></Response>"
            ),
        ),
        "sts" | "iam" | "sns" | "elasticloadbalancing" | "monitoring" => (
            "text/xml",
            format!(
                "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{words}</Message></Error></ErrorResponse>"
            ),
        ),
        _ => ("application/x-amz-json-1.1", format!("{{\"__type\":\"{code}\",\"message\":\"{words}\"}}")),
    };
    let length = body.len();
    write!(
        client,
        "HTTP/1.1 {status} Refused\r\nContent-Type: {kind}\r\nx-amzn-ErrorType: {code}\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    )
}
