//! An engine that needs nothing installed: a script that runs a "container" as a process of its own group and knows just
//! the commands that a shim has for it. What it keeps is in the folder `FAKE_DIR`.

use crate::scratch::{Scratch, eventually, free_address};
use model::container::EngineKind;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use supervisor::container::{NAME, Place, Reach};
use supervisor::{LaunchSpec, LaunchStrategy};

/// `NAME.pid` is there for as long as a container is, `NAME.code` once it has ended. While there is a file `linger`, a
/// client does not end with its container.
const ENGINE: &str = r#"#!/bin/sh
cd "$FAKE_DIR" || exit 125
for last; do :; done
case "$1 $2" in
'container inspect')
    [ -f "$last.pid" ] || { echo '[]'; echo "Error: no such container $last" >&2; exit 125; }
    status=running running=true code=0
    [ ! -f "$last.code" ] || { status=exited running=false; code=$(cat "$last.code"); }
    [ "$code" != never ] || { status=created code=0; }
    echo '[{"Id": "6b2a-none", "Name": "'"$last"'", "Image": "1f", "Path": "/nope", "Config": {"Image": "busybox"},
        "State": {"Status": "'$status'", "Running": '$running', "Pid": '"$(cat "$last.pid")"', "ExitCode": '$code'},
        "NetworkSettings": {"Networks": {"net": {"IPAddress": "127.0.0.1"}}}}]' ;;
'image inspect')
    echo '[{"Id": "1f", "Config": {"Cmd": ["sh"]}}]' ;;
'rm --force')
    if [ -f "$last.pid" ]; then
        [ -f "$last.code" ] || kill -s KILL -- "-$(cat "$last.pid")"
        rm -f "$last.pid" "$last.code"
    fi ;;
'run --name')
    name=$3 && shift 3
    case "$1" in
    /nope) echo 1 > "$name.pid" && echo never > "$name.code"
        echo 'Error: exec: "/nope": no such file or directory' >&2; exit 127 ;;
    --network) echo "Error: unable to find network $2: network not found" >&2; exit 125 ;;
    esac
    # Either way the container has a process group of its own.
    if command -v setsid >/dev/null; then setsid "$@" & else set -m; "$@" & fi
    child=$!
    echo $child > "$name.pid"
    trap 'kill -s TERM -- "-$child"' TERM
    wait $child
    code=$?
    # A signal to this client ends the wait as well.
    while kill -s 0 $child 2>/dev/null; do wait $child; code=$?; done
    [ ! -f "$name.pid" ] || echo $code > "$name.code"
    while [ -f linger ]; do sleep 0.05; done
    exit $code ;;
'kill --signal')
    echo "$3 $last" >> signals ;;
'exec '*)
    shift 2
    case "$1" in
    cat) cat tables ;;
    *) cat health; [ "$(cat health)" = well ] ;;
    esac ;;
*)
    echo "Error: unknown command $*" >&2; exit 125 ;;
esac
"#;

pub(crate) struct Fake {
    pub(crate) scratch: Scratch,
    program: PathBuf,
}

impl Fake {
    pub(crate) fn new(name: &str) -> Self {
        let scratch = Scratch::new(name);
        let program = scratch.dir.join("engine");
        std::fs::write(&program, ENGINE).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
        Self { scratch, program }
    }

    /// A version of the fixture in a container, listening on a port of its own.
    pub(crate) fn spec(&self, version: &str) -> LaunchSpec {
        let spec = self.scratch.spec(version);
        let command = std::iter::once(spec.program.to_string_lossy().into_owned()).chain(spec.args.clone());
        self.listening(&command.collect::<Vec<_>>(), version, free_address())
    }

    fn listening(&self, command: &[String], version: &str, address: SocketAddr) -> LaunchSpec {
        let mut spec = self.running(command, version);
        spec.env.insert("FIXTURE_LISTEN".to_owned(), address.to_string());
        spec.style = LaunchStrategy::Container {
            place: Place { port: address.port(), ..place(Reach::Address) },
            overlaps: true,
            route: None,
        };
        spec
    }

    /// Any command in a container; that it runs is enough.
    pub(crate) fn running(&self, command: &[impl AsRef<str>], version: &str) -> LaunchSpec {
        let mut spec = self.scratch.spec(version);
        spec.env.insert("FAKE_DIR".to_owned(), self.scratch.dir.to_string_lossy().into_owned());
        spec.env.insert("PATH".to_owned(), "/usr/bin:/bin".to_owned());
        let run = ["run", "--name", NAME].map(str::to_owned);
        let args = run.into_iter().chain(command.iter().map(|word| word.as_ref().to_owned())).collect();
        let style = LaunchStrategy::Container { place: place(Reach::Exec(Vec::new())), overlaps: true, route: None };
        LaunchSpec { program: self.program.clone(), args, style, ..spec }
    }

    /// The number of the process that stands for a container.
    pub(crate) fn pid(&self, name: &str) -> Option<u32> {
        std::fs::read_to_string(self.scratch.dir.join(format!("{name}.pid"))).ok()?.trim().parse().ok()
    }

    /// Whether clients go on for a while after their containers have ended.
    pub(crate) fn linger(&self, linger: bool) {
        let file = self.scratch.dir.join("linger");
        if linger { std::fs::write(file, "").unwrap() } else { std::fs::remove_file(file).unwrap() }
    }

    /// The signals that the engine was to send, each with its container.
    pub(crate) fn signals(&self) -> String {
        std::fs::read_to_string(self.scratch.dir.join("signals")).unwrap_or_default()
    }

    /// What the engine has of containers.
    pub(crate) fn containers(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.scratch.dir).unwrap().flatten();
        let names = entries.filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".pid")?.to_owned()));
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    /// Of all that was started, only the supervisor is left.
    pub(crate) fn assert_nothing_left(&self) {
        assert_eq!(self.containers(), [""; 0]);
        eventually("only the supervisor is left", || (self.scratch.processes().len() == 1).then_some(()));
    }
}

pub(crate) fn place(reach: Reach) -> Place {
    Place {
        engine: EngineKind::Podman,
        prefix: "fixture".to_owned(),
        network: "net".to_owned(),
        port: 80,
        reach,
        relays: Vec::new(),
    }
}

/// Changes the place of a container.
pub(crate) fn placed(spec: LaunchSpec, change: impl Fn(&mut Place)) -> LaunchSpec {
    let LaunchStrategy::Container { mut place, overlaps, route } = spec.style else { panic!("not a container") };
    change(&mut place);
    LaunchSpec { style: LaunchStrategy::Container { place, overlaps, route }, ..spec }
}
