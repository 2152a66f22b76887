//! Runs an image once, confined as the tool's containers are: read-only, without capabilities, in a network of its own that
//! leads nowhere. What it is refused and ends for is given it, and it is run again, until it listens or nothing helps.

use crate::confinement::OF_ROOT;
use crate::known;
use crate::look::{Fetched, LABEL, Looked};
use anyhow::{Context, Result};
use base::error::Fault;
use base::http::{self, Request, Url};
use base::proc::{CommandLine, Proc};
use base::signal::Interrupts;
use model::container::{Cpu, Memory, User};
use model::image::ImagePin;
use shim::ports::{sockets, tables};
use shim::{Run, RunSpec};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};
use tools::oci::{Container, Engine, Labels, remove};

/// How long a program may take until it listens.
const LISTENS_WITHIN: Duration = Duration::from_secs(20);
/// How long it has to stay as it is then, so that what comes late is seen, too.
const SETTLES: Duration = Duration::from_secs(2);
const BETWEEN: Duration = Duration::from_millis(250);
/// How often it is run at most.
const TIMES: usize = 10;
/// The user that images of this repository have.
const NOBODY: &str = "65532:65532";
/// The user that web servers of Debian's family have, and the folders that these write to.
const OF_SERVERS: &str = "www-data";
/// Folders that hold programs and what configures them, and not what they write.
const FIXED: [&str; 11] = ["/", "/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/sbin", "/sys", "/usr"];

/// What the trial of an image showed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trial {
    /// Where it listens on addresses that others can reach; none when it never came to that.
    pub(crate) ports: BTreeSet<u16>,
    /// As whom it ran; `None` for the user that its image names.
    pub(crate) user: Option<User>,
    /// Folders that it has to be able to write to.
    pub(crate) writable: Vec<String>,
    /// The status of its answer to `GET /`.
    pub(crate) answer: Option<u16>,
    /// It was given what it has elsewhere: root, its root file system, the capabilities of `OF_ROOT`.
    pub(crate) loose: bool,
    /// The last that it said, where it did not come to listen while it was confined.
    pub(crate) words: String,
}

impl Trial {
    pub(crate) fn serves(&self) -> bool {
        !self.ports.is_empty()
    }

    /// The port that it is for, of those that it listens on: one that it declares, if it can.
    pub(crate) fn port(&self, declared: &BTreeSet<u16>) -> Option<u16> {
        self.ports.intersection(declared).next().or(self.ports.first()).copied()
    }
}

/// Where a trial is: a network and a container, which go with it.
struct Scene<'a> {
    fetched: &'a Fetched<'a>,
    name: String,
    labels: Labels,
    /// Variables without which it would not run.
    env: Vec<(&'static str, String)>,
}

/// The command lines of a trial, for those who only want to see them.
pub fn shown(engine: &Engine, reference: &str) -> Vec<String> {
    let name = "slipway-look";
    let labels = Labels::from([(LABEL.to_owned(), name.to_owned())]);
    let spec = spec(reference.to_owned(), name, &labels, None, &[]);
    [
        engine.network_create(name, &labels, true),
        run(engine, name, &spec),
        engine.container_remove(name),
        engine.network_remove(name),
    ]
    .iter()
    .map(ToString::to_string)
    .collect()
}

/// Runs an image. `mark` tells whose trials these are: those that were killed are removed first.
///
/// # Errors
/// When the engine refuses to run it, or the run is interrupted.
pub fn run_once(
    fetched: &Fetched<'_>,
    pin: &ImagePin,
    mark: &str,
    looked: &Looked,
    interrupts: &Interrupts,
) -> Result<Trial> {
    let name = format!("slipway-look-{}", std::process::id());
    let labels = Labels::from([(LABEL.to_owned(), mark.to_owned())]);
    let repository = pin.repository.as_str();
    let below = looked.volumes.iter().filter_map(|folder| known::below_volume(repository, folder));
    let env = known::variables(repository, "of-a-trial").into_iter().chain(below).collect();
    let scene = Scene { fetched, labels, name, env };
    scene.sweep(mark)?;
    let (engine, proc) = (&fetched.found.engine, fetched.proc);
    proc.read(&engine.network_create(&scene.name, &scene.labels, true)).context("make the network of its trial")?;
    let mut last = Trial::default();
    for user in candidates(&fetched.image.user, fetched.name(), &looked.users) {
        let tried = scene.as_user(user, interrupts)?;
        if tried.serves() {
            return Ok(tried);
        }
        last = tried;
    }
    let loose = scene.loosely(interrupts)?;
    Ok(if loose.serves() { Trial { words: last.words, ..loose } } else { last })
}

/// As whom it may run, the likeliest first: never root.
fn candidates(said: &str, image: &str, users: &BTreeMap<String, User>) -> Vec<Option<User>> {
    if said.parse::<User>().is_ok() {
        return vec![None];
    }
    let name = said.split(':').next().unwrap_or_default();
    let known = |name: &str| users.get(name).copied().filter(|user| user.uid != 0);
    let nobody: Option<User> = NOBODY.parse().ok();
    let mut found: Vec<Option<User>> =
        [known(name), known(image), known(OF_SERVERS), nobody].into_iter().filter(Option::is_some).collect();
    found.dedup();
    found
}

impl Scene<'_> {
    /// Runs it as one user, with more folders each time, until it listens or says nothing that helps.
    fn as_user(&self, user: Option<User>, interrupts: &Interrupts) -> Result<Trial> {
        let image = &self.fetched.image;
        // The engine itself makes a volume of each that the image declares.
        let volumes: Vec<String> = image.volumes.iter().cloned().collect();
        let mut writable = Vec::new();
        let mut words = String::new();
        for _ in 0..TIMES {
            let spec = self.spec(user, &writable);
            let (ports, address, said) = self.once(&spec, interrupts)?;
            if !ports.is_empty() {
                let answer = self.answer(&ports, address, interrupts);
                return Ok(Trial { ports, user, writable, answer, ..Trial::default() });
            }
            words = said;
            let more = refused(&words, &[&volumes[..], &writable].concat());
            if more.is_empty() {
                break;
            }
            writable.extend(more);
        }
        Ok(Trial { user, writable, words, ..Trial::default() })
    }

    /// Runs it as its image has it, the last resort.
    fn loosely(&self, interrupts: &Interrupts) -> Result<Trial> {
        let capabilities = OF_ROOT.map(str::to_owned).into();
        let spec = RunSpec { writable_root: true, capabilities, ..self.spec(None, &[]) };
        let (ports, address, words) = self.once(&spec, interrupts)?;
        let answer = self.answer(&ports, address, interrupts);
        Ok(Trial { ports, answer, words, loose: true, ..Trial::default() })
    }

    fn spec(&self, user: Option<User>, writable: &[String]) -> RunSpec {
        let env = self.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        RunSpec { env, ..spec(self.fetched.image.id.clone(), &self.name, &self.labels, user, writable) }
    }

    fn answer(&self, ports: &BTreeSet<u16>, address: Option<IpAddr>, interrupts: &Interrupts) -> Option<u16> {
        let port = ports.intersection(&self.fetched.image.ports).next().or(ports.first()).copied();
        address.zip(port).and_then(|(address, port)| answer(address, port, interrupts))
    }

    /// Runs it once: where it listens, at which address, and what it said.
    fn once(&self, spec: &RunSpec, interrupts: &Interrupts) -> Result<(BTreeSet<u16>, Option<IpAddr>, String)> {
        let (engine, proc) = (&self.fetched.found.engine, self.fetched.proc);
        let started = proc.try_read(&run(engine, &self.name, spec)).context("run it for a trial")?;
        if !started.success {
            remove(proc, &engine.container_remove(&self.name))?;
            return Ok((BTreeSet::new(), None, started.stderr.trim().to_owned()));
        }
        let deadline = Instant::now() + LISTENS_WITHIN;
        let mut seen: Option<(BTreeSet<u16>, Instant)> = None;
        let mut at = None;
        while Instant::now() < deadline {
            let Some(container) = engine.container(proc, &self.name)?.filter(|container| container.running) else {
                break;
            };
            at = container.addresses.values().next().copied();
            let ports = listening(engine, proc, &container);
            match &seen {
                Some((same, since)) if *same == ports && !ports.is_empty() => {
                    if since.elapsed() >= SETTLES {
                        break;
                    }
                }
                _ => seen = Some((ports, Instant::now())),
            }
            if interrupts.pause(BETWEEN) {
                return Err(Fault::interrupted(interrupts.first().unwrap_or_default()).into());
            }
        }
        let runs = engine.container(proc, &self.name)?.is_some_and(|container| container.running);
        let ports = seen.map(|(ports, _)| ports).filter(|_| runs).unwrap_or_default();
        // What it answers has to be asked while it runs; the next run or the end of the scene removes it.
        let said = proc.try_read(&engine.logs(&self.name))?;
        if ports.is_empty() {
            remove(proc, &engine.container_remove(&self.name))?;
        }
        Ok((ports, at, format!("{}{}", said.stdout, said.stderr).trim().to_owned()))
    }

    /// Removes what killed trials have left.
    fn sweep(&self, mark: &str) -> Result<()> {
        let (engine, proc) = (&self.fetched.found.engine, self.fetched.proc);
        for id in tools::oci::lines(&proc.read(&engine.containers_with_label((LABEL, mark)))?) {
            remove(proc, &engine.container_remove(&id))?;
        }
        for network in tools::oci::lines(&proc.read(&engine.networks_with_label((LABEL, mark)))?) {
            remove(proc, &engine.network_remove(&network))?;
        }
        Ok(())
    }
}

impl Drop for Scene<'_> {
    fn drop(&mut self) {
        let (engine, proc) = (&self.fetched.found.engine, self.fetched.proc);
        // The next trial removes what could not be removed now.
        let _ = remove(proc, &engine.container_remove(&self.name));
        let _ = remove(proc, &engine.network_remove(&self.name));
    }
}

fn spec(image: String, network: &str, labels: &Labels, user: Option<User>, writable: &[String]) -> RunSpec {
    RunSpec {
        user,
        writable: writable.to_vec(),
        memory: Memory(1 << 30),
        cpu: Cpu(1000),
        low_ports: true,
        ..RunSpec::bare(image, network, labels.clone())
    }
}

/// The same as for a service, but that nobody waits for it.
fn run(engine: &Engine, name: &str, spec: &RunSpec) -> CommandLine {
    let args = engine.run(name, spec);
    engine.command().args(["run", "--detach"]).args(args.iter().skip(1))
}

/// Where a container listens, on addresses that others can reach. Where its processes are on another machine, as behind
/// Docker Desktop, the image has to have a `cat`.
fn listening(engine: &Engine, proc: &Proc, container: &Container) -> BTreeSet<u16> {
    let within = || {
        let said = proc.try_read(&engine.exec(&container.id, &["cat", "/proc/net/tcp", "/proc/net/tcp6"])).ok()?;
        Some(said.stdout)
    };
    tables(container).or_else(within).map(|tables| sockets(&tables).open).unwrap_or_default()
}

fn answer(address: IpAddr, port: u16, interrupts: &Interrupts) -> Option<u16> {
    let url = Url { endpoint: SocketAddr::new(address, port).into(), path: "/".to_owned() };
    let response = http::send(&Request::get(url, Duration::from_secs(5)), &|| interrupts.stopping());
    response.ok().map(|response| response.status)
}

/// Whether a folder is in one of these.
fn covers(folders: &[String], path: &str) -> bool {
    folders
        .iter()
        .any(|folder| path.strip_prefix(folder.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

/// The folders in which a program could not write, by its own words. `given` are those that it had: where that did not
/// help, since a folder keeps its owner, it is what it wanted to make there.
fn refused(words: &str, given: &[String]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let is_refusal = |line: &&str| {
        let line = line.to_lowercase();
        ["read-only file system", "permission denied", "erofs", "eacces"].iter().any(|words| line.contains(words))
    };
    for line in words.lines().filter(is_refusal) {
        let edges = |c: char| !c.is_ascii_alphanumeric() && c != '/' && c != '.';
        let words = line.split(|c: char| c.is_whitespace() || "\"'`(),=".contains(c));
        for path in words.map(|word| word.trim_matches(edges)).filter(|path| path.starts_with('/')) {
            let path = path.trim_end_matches(['.', '/']);
            let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
            let is_file = path.rsplit('/').next().is_some_and(|last| last.contains('.'));
            // A folder of the root itself is one that the program made or wanted to.
            let folder = if parent.is_empty() || covers(given, parent) { path } else { parent };
            let is_fixed = FIXED.contains(&folder)
                || folder == path && is_file
                || ["/etc/", "/usr/"].iter().any(|fixed| folder.starts_with(fixed));
            if !is_fixed && !given.iter().any(|given| given == folder) && !covers(&found, folder) {
                found.push(folder.to_owned());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_could_not_write_to_is_found_in_its_words() {
        let words = "10-listen-on-ipv6: info: can not modify /etc/nginx/conf.d/default.conf (read-only file system?)\n\
            nginx: [emerg] mkdir() \"/var/cache/nginx/client_temp\" failed (30: Read-only file system)\n\
            open() \"/run/nginx.pid\" failed (13: Permission denied)\nmkdir: cannot create directory '/data': Permission denied\n\
            Error: EROFS: read-only file system, open '/app/cache/x.json'\nreading /fine/file\n";
        let given = |folders: &[&str]| -> Vec<String> { folders.iter().map(|folder| (*folder).to_owned()).collect() };
        assert_eq!(refused(words, &[]), ["/var/cache/nginx", "/run", "/data", "/app/cache"]);
        assert_eq!(
            refused(words, &given(&["/var/cache/nginx", "/data", "/app"])),
            ["/var/cache/nginx/client_temp", "/run"]
        );
        assert_eq!(refused(words, &given(&["/var/cache/nginx", "/var/cache/nginx/client_temp"]))[0], "/run");
    }

    #[test]
    fn nothing_is_tried_as_root() {
        let users = BTreeMap::from([
            ("root".to_owned(), User { uid: 0, gid: 0 }),
            ("nginx".to_owned(), "101:102".parse().unwrap()),
            ("app".to_owned(), "5".parse().unwrap()),
        ]);
        let tried = |said: &str| -> Vec<String> {
            let users = candidates(said, "nginx", &users);
            users.into_iter().map(|user| user.map_or_else(|| "its own".to_owned(), |user| user.to_string())).collect()
        };
        assert_eq!(tried(""), ["101:102", NOBODY]);
        assert_eq!(tried("root"), ["101:102", NOBODY]);
        assert_eq!(tried("app"), ["5:5", "101:102", NOBODY]);
        assert_eq!(tried("1000"), ["its own"]);
    }
}
