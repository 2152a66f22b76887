//! A real Redis (or Valkey) server of a test's own: free port, password, scratch directory, TLS if asked for.

use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use skip::Found;
use tempfile::TempDir;

use crate::DEADLINE;

const PASSWORD: &str = "only-for-this-test";
/// The files of a server with TLS.
const CERTIFICATE: &str = "certificate.pem";
const KEY: &str = "key.pem";

/// A server that can be stopped and started again with its data. Dropping it stops it and removes them.
pub struct Redis {
    program: PathBuf,
    port: u16,
    data: TempDir,
    server: Option<Child>,
    tls: bool,
}

impl Redis {
    /// Starts a server, where there is a program for it.
    ///
    /// # Panics
    /// If there is no program and `XTASK_REQUIRE_REDIS` is `1`.
    pub fn start() -> Found<Self> {
        let mut redis = Self::stopped()?;
        redis.resume();
        Ok(redis)
    }

    /// As [`Redis::start`], but does not start the server yet.
    pub fn stopped() -> Found<Self> {
        let program = skip::program(&["redis-server", "valkey-server"], "XTASK_REQUIRE_REDIS")?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        Ok(Self { program, port, data: TempDir::new().unwrap(), server: None, tls: false })
    }

    /// As [`Redis::start`], but the server speaks TLS, with a certificate for `localhost` that nobody trusts yet.
    pub fn start_with_tls() -> Found<Self> {
        let mut redis = Self::stopped()?;
        redis.tls = true;
        let openssl = skip::program(&["openssl"], "XTASK_REQUIRE_REDIS")?;
        let mut command = Command::new(openssl);
        command.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]);
        command.args(["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"]);
        command.args(["-keyout", KEY, "-out", CERTIFICATE]).current_dir(redis.data.path());
        assert!(command.output().unwrap().status.success());
        redis.resume();
        Ok(redis)
    }

    /// The server's certificate, for those who are to trust it.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.data.path().join(CERTIFICATE)
    }

    /// What goes into `REDIS_URL`.
    #[must_use]
    pub fn url(&self) -> String {
        let (scheme, host) = if self.tls { ("rediss", "localhost") } else { ("redis", "127.0.0.1") };
        format!("{scheme}://:{PASSWORD}@{host}:{}/0", self.port)
    }

    /// Starts the server and waits until it accepts connections.
    pub fn resume(&mut self) {
        let mut command = Command::new(&self.program);
        command.arg("-").current_dir(self.data.path());
        let mut server = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let port = match self.tls {
            true => format!("port 0\ntls-cert-file {CERTIFICATE}\ntls-key-file {KEY}\ntls-auth-clients no\ntls-port"),
            false => "port".to_owned(),
        };
        let settings = format!(
            "{port} {}\nbind 127.0.0.1\nrequirepass {PASSWORD}\nappendonly yes\nappendfsync always\nsave \"\"\n",
            self.port
        );
        server.stdin.take().unwrap().write_all(settings.as_bytes()).unwrap();
        self.server = Some(server);
        let started = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            assert!(started.elapsed() < DEADLINE, "`{}` does not listen", self.program.display());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Kills the server, as a crash would.
    pub fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.stop();
    }
}
