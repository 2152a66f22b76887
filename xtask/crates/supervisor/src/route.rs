//! Writes where an edge proxy reads it which instance is to serve, and waits until the edge goes by it. That may take
//! seconds, so it is done beside everything else, one route at a time.

use super::launch_strategy::{Confirm, LaunchStrategy};
use super::note;
use super::probe::{self, Seen};
use crate::container;
use crate::container::RELOAD;
use base::http;
use base::http::{Endpoint, Request, Url};
use model::container::EngineKind;
use model::name::ServiceName;
use std::fs::{OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long an edge may take to go by what was written.
const CONFIRM_WITHIN: Duration = Duration::from_secs(5);
/// From when on it is told to look: some file systems do not tell those that watch them.
const NUDGE_AFTER: Duration = Duration::from_secs(1);
const NUDGE_WITHIN: Duration = Duration::from_secs(10);
/// Stands for how an edge gets to a container.
const HOST: &str = "{host}";
const POLL: Duration = Duration::from_millis(10);

/// A route to one instance, to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Switch {
    file: PathBuf,
    text: String,
    confirm: Option<Confirm>,
    /// The socket of the instance's shim.
    shim: Option<PathBuf>,
}

/// A route that was written, and what it replaced.
pub(super) struct Made {
    file: PathBuf,
    before: Option<Vec<u8>>,
}

impl Switch {
    /// The route to an instance of this style, if it has one; `shim` is its socket.
    pub(super) fn of(style: &LaunchStrategy, instance: u64, shim: Option<PathBuf>) -> Option<Self> {
        let LaunchStrategy::Container { place, route: Some(route), .. } = style else { return None };
        let number = instance.to_string();
        let name = place.name(instance);
        let fill = |text: &str| text.replace("{container}", &name).replace("{instance}", &number);
        let confirm = route.confirm.as_ref();
        let confirm = confirm.map(|Confirm { edge, path }| Confirm { edge: edge.clone(), path: fill(path) });
        let text = match place.engine {
            // It answers for names at all times, and gives an address that becomes free to the next who comes.
            EngineKind::Docker => fill(&route.text).replace(HOST, &name),
            // It may answer that a name does not exist while containers come and go, and gives addresses in turn.
            EngineKind::Podman => fill(&route.text),
        };
        Some(Self { file: route.file.clone(), text, confirm, shim })
    }

    /// Writes the route and returns once it is in force. `shim` tells that of a service; it may change meanwhile.
    ///
    /// # Errors
    /// When it cannot be written, or is not in force in time; it is then as it was before.
    pub(super) fn make(self, shim: impl Fn(&ServiceName) -> Option<PathBuf>) -> Result<Made, String> {
        let made = self.write()?;
        if let Some(confirm) = &self.confirm
            && let Err(seen) = await_force(confirm, &shim)
        {
            let seconds = CONFIRM_WITHIN.as_secs();
            let why = format!(
                "`{}` does not use the route `{}` within {seconds} s: {seen}",
                confirm.edge,
                made.file.display()
            );
            made.undo();
            return Err(why);
        }
        Ok(made)
    }

    /// Writes the route of an instance that was started again: it may have another address.
    pub(super) fn renew(&self) {
        if let Err(error) = self.write() {
            note(&error);
        }
    }

    fn write(&self) -> Result<Made, String> {
        let file = &self.file;
        let failed = |error: io::Error| format!("cannot write the route `{}`: {error}", file.display());
        let text = self.addressed()?;
        let before = match std::fs::read(file) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(failed(error)),
        };
        replace(file, text.as_bytes()).map_err(failed)?;
        Ok(Made { file: file.clone(), before })
    }

    /// The text with the container's address.
    fn addressed(&self) -> Result<String, String> {
        if !self.text.contains(HOST) {
            return Ok(self.text.clone());
        }
        match self.shim.as_deref().and_then(container::explain).and_then(|explained| explained.address) {
            Some(IpAddr::V4(address)) => Ok(self.text.replace(HOST, &address.to_string())),
            Some(IpAddr::V6(address)) => Ok(self.text.replace(HOST, &format!("[{address}]"))),
            None => Err(format!("the route `{}` cannot be written: the container has no address", self.file.display())),
        }
    }
}

impl Made {
    /// Writes what was there before.
    pub(super) fn undo(self) {
        match self.before {
            Some(text) => {
                if let Err(error) = replace(&self.file, &text) {
                    note(&format!("cannot write the route `{}` as it was: {error}", self.file.display()));
                }
            }
            None => remove(&self.file),
        }
    }
}

/// Removes the route of an instance that goes, unless the one that follows has written its own over it.
pub(super) fn leave(gone: &LaunchStrategy, follows: Option<&LaunchStrategy>) {
    if let Some(file) = file_of(gone).filter(|file| follows.and_then(file_of) != Some(file)) {
        remove(file);
    }
}

fn file_of(style: &LaunchStrategy) -> Option<&Path> {
    match style {
        LaunchStrategy::Container { route: Some(route), .. } => Some(&route.file),
        _ => None,
    }
}

/// Asks until the answer is good; else returns the last one.
fn await_force(confirm: &Confirm, shim: &dyn Fn(&ServiceName) -> Option<PathBuf>) -> Result<(), String> {
    let started = Instant::now();
    let mut nudged = false;
    loop {
        let shim = shim(&confirm.edge);
        let seen = match &shim {
            Some(shim) => probe::ask_shim(&confirm.path, shim),
            None => Err(format!("`{}` does not run", confirm.edge)),
        };
        let Seen { ok, text } = seen.unwrap_or_else(|text| Seen { ok: false, text });
        if ok {
            return Ok(());
        }
        if started.elapsed() >= CONFIRM_WITHIN {
            return Err(text);
        }
        if let Some(shim) = shim.filter(|_| !nudged && started.elapsed() >= NUDGE_AFTER) {
            nudged = true;
            nudge(&shim);
        }
        std::thread::sleep(POLL);
    }
}

/// Whether that helps shows in the next answer.
fn nudge(shim: &Path) {
    let url = Url { endpoint: Endpoint::socket(shim), path: RELOAD.to_owned() };
    let request = Request { method: "POST", ..Request::get(url, NUDGE_WITHIN) };
    let _ = http::send(&request, &|| false);
}

/// Writes a file whole or not at all, readable for the edge, which is another user. Its new name is not one that an edge
/// would read.
fn replace(file: &Path, text: &[u8]) -> io::Result<()> {
    let beside = file.with_extension("tmp");
    let mut out = OpenOptions::new().write(true).create(true).truncate(true).open(&beside)?;
    out.set_permissions(Permissions::from_mode(0o644))?;
    out.write_all(text)?;
    std::fs::rename(&beside, file)
}

fn remove(file: &Path) {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            note(&format!("cannot remove the route `{}`: {error}", file.display()));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::launch_strategy::tests::container;
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("xtask-route-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        dir
    }

    #[test]
    fn a_route_names_its_container() {
        let switch = Switch::of(&container(true), 7, None).unwrap();
        assert_eq!(switch.text, r#"{"container":"d-epoch-7"}"#);
        assert_eq!(switch.confirm.unwrap().path, "/slipway/epoch/7");
        assert_eq!(Switch::of(&LaunchStrategy::Handover, 7, None), None);
    }

    #[test]
    fn an_edge_gets_to_a_container_by_what_its_engine_is_good_at() {
        let text = |engine: EngineKind| {
            let LaunchStrategy::Container { mut place, overlaps, route: Some(mut route) } = container(true) else {
                panic!()
            };
            place.engine = engine;
            route.text = "http://{host}:80".to_owned();
            let switch = Switch::of(&LaunchStrategy::Container { place, overlaps, route: Some(route) }, 7, None);
            switch.unwrap().addressed()
        };
        assert_eq!(text(EngineKind::Docker).unwrap(), "http://d-epoch-7:80");
        let refused = text(EngineKind::Podman).unwrap_err();
        assert_eq!(refused, "the route `/x/routes/epoch.yml` cannot be written: the container has no address");
    }

    #[test]
    fn what_was_written_can_be_undone() {
        let dir = scratch("undo");
        let file = dir.join("epoch.yml");
        let make = |text: &str| {
            let switch = Switch { file: file.clone(), text: text.to_owned(), confirm: None, shim: None };
            switch.make(|_| None).unwrap()
        };
        let read = || std::fs::read_to_string(&file).ok();
        let first = make("1");
        let second = make("2");
        assert_eq!(read().as_deref(), Some("2"));
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
        second.undo();
        assert_eq!(read().as_deref(), Some("1"));
        first.undo();
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0);
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_route_that_the_successor_has_written_stays() {
        let dir = scratch("leave");
        let with = |name: &str| {
            let LaunchStrategy::Container { place, overlaps, route: Some(route) } = container(true) else {
                panic!("no route")
            };
            LaunchStrategy::Container {
                place,
                overlaps,
                route: Some(super::super::Route { file: dir.join(name), ..route }),
            }
        };
        let write = || std::fs::write(dir.join("a.yml"), "x").unwrap();
        let there = || dir.join("a.yml").exists();
        write();
        leave(&with("a.yml"), Some(&with("a.yml")));
        assert!(there());
        for follows in [None, Some(LaunchStrategy::Plain), Some(with("b.yml"))] {
            write();
            leave(&with("a.yml"), follows.as_ref());
            assert!(!there(), "{follows:?}");
        }
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
