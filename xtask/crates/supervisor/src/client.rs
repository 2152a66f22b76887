//! A command's end of the conversation with a supervisor.

use super::job::{JobSpec, JobStatus};
use super::launch::LaunchSpec;
use super::protocol::{LONGEST_LINE, PROTOCOL, Reply, Request, UNREADABLE};
use super::records::{self, Contact, Listens};
use super::status::ServiceStatus;
use anyhow::{Result, bail};
use base::error::Fault;
use base::os;
use base::os::ProcessId;
use base::socket;
use model::name::{JobName, ServiceName, SystemName};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a supervisor may take to accept a connection and to answer what it need not wait for.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The same for answers that come only when services have ended. Each of them is killed after its own time.
const LONG_TIMEOUT: Duration = Duration::from_secs(600);
/// A supervisor looks after its contact more often than this.
const CONTACT_WITHIN: Duration = Duration::from_secs(4);
/// How long the process of one that was killed may be there after it has closed its connections.
const GONE_WITHIN: Duration = Duration::from_secs(2);
/// How often it is looked for meanwhile.
const POLL: Duration = Duration::from_millis(10);

/// Who looks after a state folder.
#[derive(Debug)]
pub enum Connection {
    /// No supervisor runs.
    Absent,
    Live(Client),
    /// The supervisor of another version of this program.
    Foreign(Foreign),
}

/// A supervisor that this program cannot talk to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    pub process: ProcessId,
    pub protocol: u64,
}

impl Foreign {
    /// Ends it and its services in order, which a signal does in every version. `false` when it still runs after
    /// `within`.
    pub fn end(&self, within: Duration) -> bool {
        os::signal(&self.process, Signal::SIGTERM);
        os::wait_gone(&self.process, Instant::now() + within)
    }
}

/// The way to a live supervisor. Every request is a connection of its own, so a client can be kept and shared.
///
/// Errors of its methods carry the supervisor's words, or say that it does not answer.
#[derive(Debug, Clone)]
pub struct Client {
    contact: Contact,
}

impl Client {
    /// Finds the supervisor of a state folder. One that has the folder and cannot be found is just starting, or writes
    /// its damaged contact again, and is waited for a little.
    pub fn connect(state_dir: &Path) -> Connection {
        let deadline = Instant::now() + CONTACT_WITHIN;
        let mut contact = Contact::of_live(state_dir);
        while contact.is_none() && Instant::now() < deadline && records::is_held(state_dir) {
            std::thread::sleep(POLL);
            contact = Contact::of_live(state_dir);
        }
        match contact {
            None => Connection::Absent,
            Some(contact) if contact.protocol == PROTOCOL => Connection::Live(Self { contact }),
            Some(Contact { process, protocol, .. }) => Connection::Foreign(Foreign { process, protocol }),
        }
    }

    /// Whether it is one that was just killed: its process was still there when it was found, and does not answer any more.
    pub fn has_ended(&self) -> bool {
        self.status().is_err() && self.is_ending()
    }

    /// Whether one that did not answer is on its way out: a process that is killed closes its connections first, and is
    /// gone a moment later.
    pub fn is_ending(&self) -> bool {
        os::wait_gone(self.process(), Instant::now() + GONE_WITHIN)
    }

    /// The supervisor's own process.
    pub fn process(&self) -> &ProcessId {
        &self.contact.process
    }

    /// All services, by name.
    ///
    /// # Errors
    /// See [`Client`].
    pub fn status(&self) -> Result<Vec<ServiceStatus>> {
        self.status_of(&[])
    }

    /// One service; `None` when there is nothing of it.
    ///
    /// # Errors
    /// See [`Client`].
    pub fn service(&self, service: &ServiceName) -> Result<Option<ServiceStatus>> {
        let services = self.status_of(std::slice::from_ref(service))?;
        Ok(services.into_iter().find(|status| status.service == *service))
    }

    /// Those of these services of which there is something; all services when none is named.
    ///
    /// # Errors
    /// See [`Client`].
    pub fn status_of(&self, services: &[ServiceName]) -> Result<Vec<ServiceStatus>> {
        match self.request(&Request::Status(services.to_vec()), TIMEOUT)? {
            Reply::Status(mut found) => {
                found.retain(|status| services.is_empty() || services.contains(&status.service));
                Ok(found)
            }
            other => unexpected(&other),
        }
    }

    /// Starts a candidate and returns its number at once. An earlier candidate of the service is ended first, and so
    /// is the current instance unless both have handover; [`Client::status`] tells how the candidate fares.
    ///
    /// # Errors
    /// See [`Client`].
    pub fn start(&self, spec: &LaunchSpec) -> Result<u64> {
        let reply = self.request(&Request::Start(Box::new(spec.clone())), TIMEOUT);
        match reply.map_err(if_outdated)? {
            Reply::Started(number) => Ok(number),
            other => unexpected(&other),
        }
    }

    /// Makes a candidate that is ready the current instance; returns when the old one has ended.
    ///
    /// # Errors
    /// When the candidate is not ready, in which case nothing changes; see [`Client`].
    pub fn promote(&self, service: &ServiceName, instance: u64) -> Result<()> {
        self.done(&Request::Promote { service: service.clone(), instance })
    }

    /// Ends a candidate and returns when it has ended. The current instance serves on, or is started again when it
    /// had to make room. Without such a candidate there is nothing to do.
    ///
    /// # Errors
    /// See [`Client`].
    pub fn discard(&self, service: &ServiceName, instance: u64) -> Result<()> {
        self.done(&Request::Discard { service: service.clone(), instance })
    }

    /// Ends a service and returns when it has ended. Without such a service there is nothing to do.
    ///
    /// # Errors
    /// See [`Client`].
    pub fn stop(&self, service: &ServiceName) -> Result<()> {
        self.done(&Request::Stop(service.clone()))
    }

    /// Ends these services one after the other, then all others (the last started first), then the supervisor, and
    /// returns when all have ended.
    ///
    /// # Errors
    /// When the supervisor still runs after it said that it ends; see [`Client`].
    pub fn shutdown(&self, order: &[ServiceName]) -> Result<()> {
        self.done(&Request::Shutdown(order.to_vec()))?;
        if !os::wait_gone(self.process(), Instant::now() + TIMEOUT) {
            bail!("the supervisor (process {}) does not end", self.process().pid);
        }
        Ok(())
    }

    /// Runs a job by the clock from now on, in the place of what it was.
    ///
    /// # Errors
    /// See [`Client`].
    pub fn schedule(&self, spec: &JobSpec) -> Result<()> {
        self.done(&Request::Schedule(Box::new(spec.clone()))).map_err(if_outdated)
    }

    /// Forgets a job, or all of a system, and returns when those that run have ended.
    ///
    /// # Errors
    /// See [`Client`].
    pub fn unschedule(&self, system: &SystemName, job: Option<&JobName>) -> Result<()> {
        match self.done(&Request::Unschedule { system: system.clone(), job: job.cloned() }) {
            // An earlier version's has none.
            Err(error) if error.to_string() == UNREADABLE => Ok(()),
            done => done,
        }
    }

    /// The jobs that it runs by the clock.
    ///
    /// # Errors
    /// See [`Client`].
    pub fn jobs(&self) -> Result<Vec<JobStatus>> {
        match self.request(&Request::Jobs, TIMEOUT) {
            Ok(Reply::Jobs(jobs)) => Ok(jobs),
            Ok(other) => unexpected(&other),
            Err(error) if error.to_string() == UNREADABLE => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    fn done(&self, request: &Request) -> Result<()> {
        match self.request(request, LONG_TIMEOUT)? {
            Reply::Done => Ok(()),
            other => unexpected(&other),
        }
    }

    fn request(&self, request: &Request, timeout: Duration) -> Result<Reply> {
        let line = self.exchange(request, timeout).map_err(|error| self.silent(&error.to_string()))?;
        let reply = serde_json::from_str(&line).ok().as_ref().and_then(Reply::from_json);
        match reply.ok_or_else(|| self.silent("its answer broke off"))? {
            Reply::Refused(error) => bail!(error),
            reply => Ok(reply),
        }
    }

    fn silent(&self, why: &str) -> Fault {
        let why = if os::is_alive(self.process()) { why } else { "it has ended" };
        let cause = format!("the supervisor (process {}) does not answer: {why}", self.process().pid);
        Fault::failed("supervisor-gone", cause).hint("the next deploy starts another one")
    }

    fn exchange(&self, request: &Request, timeout: Duration) -> std::io::Result<String> {
        let mut document = request.to_json();
        document["token"] = self.contact.token.as_str().into();
        match &self.contact.listens {
            Listens::Socket(folder) => {
                let stream = socket::connect(folder)?;
                stream.set_read_timeout(Some(timeout))?;
                stream.set_write_timeout(Some(TIMEOUT))?;
                talk(stream, &document)
            }
            Listens::Port(port) => {
                let stream = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, *port)), TIMEOUT)?;
                stream.set_read_timeout(Some(timeout))?;
                stream.set_write_timeout(Some(TIMEOUT))?;
                talk(stream, &document)
            }
        }
    }
}

fn talk(mut stream: impl Read + Write, document: &Value) -> std::io::Result<String> {
    stream.write_all(format!("{document}\n").as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream.take(LONGEST_LINE)).read_line(&mut line)?;
    Ok(line)
}

fn if_outdated(error: anyhow::Error) -> anyhow::Error {
    if error.to_string() == UNREADABLE { outdated().into() } else { error }
}

/// It was started before there was such a way to start a service.
fn outdated() -> Fault {
    let cause = "the supervisor that runs is an earlier version's and cannot start this";
    Fault::failed("supervisor-outdated", cause)
        .hint("`teardown --keep-data` ends it, and the next deploy starts another")
}

fn unexpected<T>(reply: &Reply) -> Result<T> {
    bail!("the supervisor's answer does not fit the question: {reply:?}")
}
