//! An emulator of SNS and SQS of a test's own: a real moto server on a free port.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use skip::Found;

use crate::{Answer, DEADLINE, client, send};

/// The account that moto pretends to be, and the region that the tests use.
const ACCOUNT: &str = "123456789012";
const REGION: &str = "eu-central-1";

/// A server that can be stopped and started again, without its memory. Dropping it stops it.
pub struct Moto {
    program: PathBuf,
    port: u16,
    endpoint: String,
    server: Option<Child>,
}

impl Moto {
    /// Starts `moto_server` from `MOTO_SERVER` or `PATH`.
    ///
    /// # Panics
    /// If there is none and `XTASK_REQUIRE_MOTO` is `1`.
    pub fn start() -> Found<Self> {
        let mut moto = Self::stopped()?;
        moto.resume();
        Ok(moto)
    }

    /// As [`Moto::start`], but does not start the server yet.
    pub fn stopped() -> Found<Self> {
        let named = std::env::var_os("MOTO_SERVER").filter(|named| !named.is_empty()).map(PathBuf::from);
        let program = named.map_or_else(|| skip::program(&["moto_server"], "XTASK_REQUIRE_MOTO"), Ok)?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let endpoint = format!("http://127.0.0.1:{port}");
        Ok(Self { program, port, endpoint, server: None })
    }

    /// The environment of a service that is to use it.
    #[must_use]
    pub fn env(&self) -> Vec<(&str, &str)> {
        vec![
            ("AWS_ENDPOINT_URL", &self.endpoint),
            ("AWS_REGION", REGION),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
        ]
    }

    /// Starts the server and waits until it accepts connections.
    pub fn resume(&mut self) {
        let mut command = Command::new(&self.program);
        command.args(["-H", "127.0.0.1", "-p", &self.port.to_string()]).stdin(Stdio::null());
        self.server = Some(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let started = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            assert!(started.elapsed() < DEADLINE, "`{}` does not listen", self.program.display());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Kills the server; its memory is lost.
    pub fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }

    /// Makes it forget every topic and queue.
    pub async fn forget(&self) {
        let answer = send(client().post(format!("{}/moto-api/reset", self.endpoint))).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// The URL of a queue.
    #[must_use]
    pub fn queue_url(&self, name: &str) -> String {
        format!("{}/{ACCOUNT}/{name}", self.endpoint)
    }

    /// The ARN of a topic.
    #[must_use]
    pub fn topic_arn(name: &str) -> String {
        format!("arn:aws:sns:{REGION}:{ACCOUNT}:{name}")
    }

    /// Calls an operation of SQS and returns its answer.
    pub async fn sqs(&self, operation: &str, parameters: Value) -> Answer {
        let request = client().post(&self.endpoint).header("x-amz-target", format!("AmazonSQS.{operation}"));
        let signature = format!("AWS4-HMAC-SHA256 Credential=test/20260101/{REGION}/sqs/aws4_request");
        let request = request.header("authorization", signature);
        send(request.header("content-type", "application/x-amz-json-1.0").body(parameters.to_string())).await
    }

    /// How many messages a queue holds, delivered and not yet deleted ones included.
    pub async fn messages_in(&self, queue: &str) -> u64 {
        let parameters = json!({"QueueUrl": self.queue_url(queue), "AttributeNames": ["All"]});
        let answer: Value = serde_json::from_str(&self.sqs("GetQueueAttributes", parameters).await.text).unwrap();
        let names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"];
        let number = |name| answer["Attributes"][name].as_str()?.parse::<u64>().ok();
        names.into_iter().map(|name| number(name).unwrap_or_else(|| panic!("no `{name}` in {answer}"))).sum()
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        self.stop();
    }
}
