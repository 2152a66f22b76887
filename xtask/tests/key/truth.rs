//! The key against the truth: whenever cargo would make another binary, the tool has another key for it.
//!
//! Every change is made to a checkout at the same path, and built from nothing by plain cargo with the same variables.

use super::sample::fresh_folder;
use keys::Digest;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::SystemTime;
use tools::cargo::Build;

/// What a change does to the binary, and so to the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Makes {
    Another,
    TheSame,
    /// The binary stays as it is, or differs from one compiler to the next; the key may differ all the same.
    Perhaps,
}
use Makes::{Another, Perhaps, TheSame};

type Change<'a> = (&'a str, Makes, &'a (dyn Fn(&mut Checkout) + Sync));

const FILES: [(&str, &str); 28] = [
    ("Cargo.lock", LOCK),
    (
        "Cargo.toml",
        "[workspace]\nmembers = ['app/*']\nresolver = '3'\n[workspace.package]\nversion = '0.1.0'\nedition = '2021'\n\
        [workspace.dependencies]\nkit = { path = 'app/kit' }\n[profile.dev]\ndebug = 0\n",
    ),
    (
        "app/web/Cargo.toml",
        "[package]\nname = 'web'\nversion.workspace = true\nedition.workspace = true\n\
        [features]\ndefault = []\nloud = []\n[dependencies]\nkit.workspace = true\n[dev-dependencies]\n",
    ),
    ("app/web/src/main.rs", MAIN),
    ("app/web/src/page.rs", "pub const WORD: &str = \"page\";"),
    ("app/web/build.rs", SCRIPT),
    ("app/web/silent.txt", "silent"),
    ("app/web/unread.txt", "unread"),
    ("app/web/.gitignore", "*.made\n"),
    ("app/web/src/read.made", "made and read"),
    ("app/web/src/unread.made", "made"),
    (
        "app/kit/Cargo.toml",
        "[package]\nname = 'kit'\nversion.workspace = true\nedition = '2024'\n[features]\nloud = []\n",
    ),
    ("app/kit/src/lib.rs", "pub const WORD: &str = if cfg!(feature = \"loud\") { \"KIT\" } else { \"kit\" };"),
    ("app/other/Cargo.toml", "[package]\nname = 'other'\nversion = '0.1.0'\n"),
    ("app/other/src/lib.rs", ""),
    ("lib/kit/Cargo.toml", "[package]\nname = 'kit'\nversion = '0.1.0'\n"),
    ("lib/kit/src/lib.rs", "pub const WORD: &str = \"another kit\";"),
    ("common/clock.rs", "pub const TICK: &str = include_str!(\"tick.txt\");"),
    ("common/tick.txt", "tick"),
    ("notes/label.txt", "label"),
    ("notes/data.bin", "data"),
    ("notes/list.in", "[1, 2]"),
    ("notes/docs.txt", "docs"),
    ("notes/one.txt", "one"),
    ("notes/two.txt", "two"),
    ("proto/web.proto", "proto"),
    (".cargo/config.toml", "[build]\nrustc-workspace-wrapper = 'tools/wrap'\n[env]\nSET_BY_CONFIG = 'once'\n"),
    ("README.md", "A checkout."),
];

/// Configuration that sets what a source looks at.
const FLAGS: &str = "[build]\nrustflags = ['--cfg', 'extra']\n";

/// As cargo would write it.
const LOCK: &str = "version = 4\n\n[[package]]\nname = \"kit\"\nversion = \"0.1.0\"\n\n[[package]]\nname = \"other\"\n\
    version = \"0.1.0\"\n\n[[package]]\nname = \"web\"\nversion = \"0.1.0\"\ndependencies = [\n \"kit\",\n]\n";

const MAIN: &str = r#"
#[path = "../../../common/clock.rs"]
mod clock;
mod page;

fn main() {
    let files = [
        include_str!("../../../notes/label.txt"),
        include_str!("read.made"),
        include_str!("../word"),
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../notes/docs.txt")),
        page::WORD, clock::TICK, kit::WORD,
    ];
    let bytes: &[u8] = include_bytes!("../../../notes/data.bin");
    let list: [u8; 2] = include!("../../../notes/list.in");
    let variables = [option_env!("BUILD_LABEL"), option_env!("CARGO_LABEL"), option_env!("SET_BY_CONFIG")];
    let flags = [cfg!(feature = "loud"), cfg!(extra), cfg!(debug_assertions)];
    println!("{files:?}{bytes:?}{list:?}{variables:?}{flags:?}{}{}", env!("SCRIPT"), env!("CARGO_PKG_VERSION"));
}
"#;

const SCRIPT: &str = r#"
fn main() {
    println!("cargo:rerun-if-changed=../../proto/web.proto");
    println!("cargo:rerun-if-env-changed=SCRIPT_LABEL");
    let read = |path| std::fs::read_to_string(path).unwrap();
    let variables = [std::env::var("SCRIPT_LABEL").ok(), std::env::var("SILENT_LABEL").ok()];
    println!("cargo:rustc-env=SCRIPT={}{}{variables:?}", read("../../proto/web.proto"), read("silent.txt"));
}
"#;

/// Calls the compiler with what is behind it; as a wrapper, which is given the compiler, or in its place.
fn wrapper(more: &str) -> String {
    format!(
        "#!/bin/sh\ncase \"$1\" in -*) compiler=rustc ;; *) compiler=$1; shift ;; esac\nexec \"$compiler\" \"$@\"{more}\n"
    )
}

/// A checkout below a folder with configuration of its own, and what commands in it are given.
struct Checkout {
    top: PathBuf,
    root: PathBuf,
    variables: BTreeMap<String, OsString>,
}

impl Checkout {
    fn new(top: &Path) -> Self {
        let _ = fs::remove_dir_all(top);
        let root = top.join("above/checkout");
        let kept = |name: &str| Some((name.to_owned(), std::env::var_os(name)?));
        let mut variables: BTreeMap<_, _> = ["PATH", "HOME", "RUSTUP_HOME"].into_iter().filter_map(kept).collect();
        variables.insert("CARGO_HOME".to_owned(), top.join("home").into());
        variables.insert("CARGO_INCREMENTAL".to_owned(), "0".into());
        let checkout = Self { top: top.to_path_buf(), root, variables };
        for (path, text) in FILES {
            checkout.write(path, text);
        }
        for (path, more) in [("tools/wrap", ""), ("tools/extra", " --cfg extra")] {
            checkout.write(path, &wrapper(more));
            checkout.chmod(path, 0o755);
        }
        checkout.link("../../notes/one.txt", "app/web/word");
        checkout.write(".git/HEAD", "ref: refs/heads/main");
        checkout.write("deploy/images.toml", "");
        checkout.write("deploy/environments/local.toml", "target = 'host'\n");
        checkout.write("deploy/systems/web.toml", "description = 'd'\n[services.web]\ncrate = 'web'\nport = 1001\n");
        checkout
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn edit(&self, path: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.root.join(path)).unwrap();
        assert!(text.contains(from), "`{path}` has no `{from}`");
        self.write(path, &text.replacen(from, to, 1));
    }

    fn append(&self, path: &str, text: &str) {
        let before = fs::read_to_string(self.root.join(path)).unwrap();
        self.write(path, &format!("{before}{text}"));
    }

    fn link(&self, target: &str, path: &str) {
        let _ = fs::remove_file(self.root.join(path));
        symlink(target, self.root.join(path)).unwrap();
    }

    fn chmod(&self, path: &str, mode: u32) {
        fs::set_permissions(self.root.join(path), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn set(&mut self, name: &str, value: impl Into<OsString>) {
        self.variables.insert(name.to_owned(), value.into());
    }

    fn run(&self, program: &Path, args: &[&str]) -> String {
        let mut command = Command::new(program);
        command.args(args).current_dir(&self.root).stdin(Stdio::null()).env_clear().envs(&self.variables);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{} {args:?}: {said}", program.display());
        String::from_utf8(output.stdout).unwrap() + &said
    }

    /// The key, as the tool names what it would start.
    fn key(&self) -> String {
        let said = self.run(Path::new(env!("CARGO_BIN_EXE_xtask")), &["deploy", "--dry-run"]);
        let (_, key) = said.split_once("/artifacts/web/").unwrap_or_else(|| panic!("no artifact in {said}"));
        key.split('/').next().unwrap().to_owned()
    }

    /// What plain cargo makes of it.
    fn binary(&self) -> Digest {
        let mut build = Build::default();
        let messages = self.run(Path::new("cargo"), &["build", "--package", "web", "--message-format=json"]);
        messages.lines().for_each(|line| build.take(line));
        Digest::of(fs::read(build.binary("web").unwrap()).unwrap())
    }
}

fn toolchains() -> Vec<String> {
    let Ok(output) = Command::new("rustup").args(["toolchain", "list"]).output() else { return Vec::new() };
    let list = String::from_utf8(output.stdout).unwrap_or_default();
    list.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

/// Makes each change, and says of all of them at once which ones the key does not fit.
fn check(changes: &[Change<'_>]) {
    let (next, wrong) = (Mutex::new(changes.iter()), Mutex::new(Vec::new()));
    let folder = fresh_folder();
    let work = |top: PathBuf| {
        let before = Checkout::new(&top);
        let (key, binary) = (before.key(), before.binary());
        loop {
            let Some((title, makes, change)) = next.lock().unwrap().next() else { return };
            let mut checkout = Checkout::new(&top);
            change(&mut checkout);
            let is_another = (checkout.key() != key, checkout.binary() != binary);
            let fits = match makes {
                Another => is_another == (true, true),
                TheSame => is_another == (false, false),
                Perhaps => is_another != (false, true),
            };
            // What a build leaves is nothing that it reads.
            let is_kept = *makes != TheSame || checkout.key() == key;
            if !fits || !is_kept {
                wrong.lock().unwrap().push(format!(
                    "{title}: makes {makes:?}, (key, binary) changed: {is_another:?}, key kept: {is_kept}"
                ));
            }
        }
    };
    std::thread::scope(|scope| {
        for slot in 0..2 {
            let (top, work) = (folder.join(slot.to_string()), &work);
            scope.spawn(move || work(top));
        }
    });
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(wrong.into_inner().unwrap(), Vec::<String>::new());
}

#[test]
fn another_binary_has_another_key() {
    check(&[
        ("a source", Another, &|c| c.append("app/web/src/main.rs", "#[used] static X: u8 = 1;")),
        ("a module", Another, &|c| c.edit("app/web/src/page.rs", "page", "sheet")),
        ("a crate that it uses", Another, &|c| c.edit("app/kit/src/lib.rs", "\"kit\"", "\"set\"")),
        ("a source from elsewhere", Another, &|c| c.write("common/clock.rs", "pub const TICK: &str = \"tock\";")),
        ("what a source from elsewhere includes", Another, &|c| c.write("common/tick.txt", "tock")),
        ("an included text", Another, &|c| c.write("notes/label.txt", "other")),
        ("included bytes", Another, &|c| c.write("notes/data.bin", "other")),
        ("an included expression", Another, &|c| c.write("notes/list.in", "[2, 1]")),
        ("what is named from the crate's folder", Another, &|c| c.write("notes/docs.txt", "other")),
        ("what git ignores and a source includes", Another, &|c| c.write("app/web/src/read.made", "other")),
        ("where an included link leads", Another, &|c| c.link("../../notes/two.txt", "app/web/word")),
        ("what an included link leads to", Another, &|c| c.write("notes/one.txt", "other")),
        ("what a build script watches", Another, &|c| c.write("proto/web.proto", "other")),
        ("what it reads without a word", Another, &|c| c.write("app/web/silent.txt", "other")),
        ("a build script", Another, &|c| c.edit("app/web/build.rs", "SCRIPT={}", "SCRIPT=x{}")),
        ("a feature", Another, &|c| c.edit("app/web/Cargo.toml", "default = []", "default = ['loud']")),
        ("a feature of an inherited dependency", Another, &|c| {
            c.edit("Cargo.toml", "'app/kit' }", "'app/kit', features = ['loud'] }");
        }),
        ("another dependency of that name", Another, &|c| {
            c.edit("Cargo.toml", "'app/kit' }", "'lib/kit' }");
            c.edit("Cargo.toml", "['app/*']", "['app/o*', 'app/w*', 'lib/*']");
        }),
        ("a version", Another, &|c| c.edit("Cargo.toml", "version = '0.1.0'", "version = '0.2.0'")),
        ("a profile", Another, &|c| c.append("Cargo.toml", "opt-level = 1\n")),
        ("the edition", Perhaps, &|c| c.edit("Cargo.toml", "'2021'", "'2024'")),
        ("a main file from elsewhere", Another, &|c| {
            c.write("common/main.rs", "fn main() { println!(\"{}\", env!(\"SCRIPT\")) }");
            c.append("app/web/Cargo.toml", "[[bin]]\nname = 'web'\npath = '../../common/main.rs'\n");
        }),
        ("the mode of a file", Perhaps, &|c| c.chmod("app/web/silent.txt", 0o755)),
        ("a comment", Perhaps, &|c| c.append("app/web/src/page.rs", "// Why.")),
        ("a file that nobody reads", Perhaps, &|c| c.write("app/web/unread.txt", "other")),
        ("the lock", Perhaps, &|c| fs::remove_file(c.root.join("Cargo.lock")).unwrap()),
    ]);
}

#[test]
fn another_binary_by_variables_and_configuration_has_another_key() {
    let mut changes: Vec<Change<'_>> = vec![
        ("a variable that a source reads", Another, &|c| c.set("BUILD_LABEL", "x")),
        ("one that begins as cargo's do", Another, &|c| c.set("CARGO_LABEL", "x")),
        ("one that a build script watches", Another, &|c| c.set("SCRIPT_LABEL", "x")),
        ("one that it reads without a word", Another, &|c| c.set("SILENT_LABEL", "x")),
        ("one that configuration sets", Another, &|c| c.edit(".cargo/config.toml", "once", "twice")),
        ("one that configuration sets if nobody else does", Another, &|c| c.set("SET_BY_CONFIG", "x")),
        ("RUSTFLAGS", Another, &|c| c.set("RUSTFLAGS", "--cfg extra")),
        ("CARGO_ENCODED_RUSTFLAGS", Another, &|c| c.set("CARGO_ENCODED_RUSTFLAGS", "--cfg\u{1f}extra")),
        ("CARGO_BUILD_RUSTFLAGS", Another, &|c| c.set("CARGO_BUILD_RUSTFLAGS", "--cfg extra")),
        ("CARGO_PROFILE", Another, &|c| c.set("CARGO_PROFILE_DEV_DEBUG_ASSERTIONS", "false")),
        ("CARGO_INCREMENTAL", Perhaps, &|c| c.set("CARGO_INCREMENTAL", "1")),
        ("RUSTC", Another, &|c| c.set("RUSTC", c.root.join("tools/extra"))),
        ("RUSTC_WRAPPER", Another, &|c| c.set("RUSTC_WRAPPER", c.root.join("tools/extra"))),
        ("RUSTC_WORKSPACE_WRAPPER", Another, &|c| c.set("RUSTC_WORKSPACE_WRAPPER", c.root.join("tools/extra"))),
        ("CARGO_BUILD_RUSTC_WRAPPER", Another, &|c| c.set("CARGO_BUILD_RUSTC_WRAPPER", c.root.join("tools/extra"))),
        ("what a wrapper does", Another, &|c| c.write("tools/wrap", &wrapper(" --cfg extra"))),
        ("a wrapper in the configuration", Another, &|c| c.edit(".cargo/config.toml", "tools/wrap", "tools/extra")),
        ("configuration", Another, &|c| c.edit(".cargo/config.toml", "[build]\n", FLAGS)),
        ("a profile in it", Another, &|c| c.append(".cargo/config.toml", "[profile.dev]\nopt-level = 1\n")),
        ("flags of a target", Another, &|c| {
            c.append(".cargo/config.toml", "[target.'cfg(all())']\nrustflags = ['--cfg', 'extra']\n");
        }),
        ("configuration in a file of the old name", Another, &|c| {
            fs::remove_file(c.root.join(".cargo/config.toml")).unwrap();
            c.write(".cargo/config", FLAGS);
        }),
        ("configuration above", Another, &|c| c.write("../.cargo/config.toml", FLAGS)),
        ("the user's", Another, &|c| c.write("../../home/config.toml", FLAGS)),
        ("the target that is the usual one", Perhaps, &|c| c.set("CARGO_BUILD_TARGET", "host-tuple")),
    ];
    let nightly = |c: &mut Checkout| c.write("rust-toolchain.toml", "[toolchain]\nchannel = 'nightly'\n");
    let nightly_of_old = |c: &mut Checkout| c.write("rust-toolchain", "nightly\n");
    if toolchains().iter().any(|name| name.starts_with("nightly")) {
        changes.push(("the toolchain", Another, &nightly));
        changes.push(("the toolchain, in a file of the old name", Another, &nightly_of_old));
        changes.push(("the toolchain by a variable", Another, &|c| c.set("RUSTUP_TOOLCHAIN", "nightly")));
    } else {
        skip::part("other toolchains: rustup has no `nightly`");
    }
    check(&changes);
}

#[test]
fn the_same_binary_has_the_same_key_whatever_lies_beside_its_sources() {
    let cache = "Signature: 8a477f597d28d172789f06886806bc55\n";
    check(&[
        ("nothing", TheSame, &|_| {}),
        ("the time of a file", TheSame, &|c| {
            let file = fs::File::options().append(true).open(c.root.join("app/web/src/main.rs")).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        }),
        ("what the Finder leaves", TheSame, &|c| c.write("app/web/.DS_Store", "x")),
        ("what editors leave", TheSame, &|c| {
            ["src/.main.rs.swp", "src/main.rs~", "4913"]
                .iter()
                .for_each(|name| c.write(&format!("app/web/{name}"), "x"));
        }),
        ("what git ignores", TheSame, &|c| c.write("app/web/src/unread.made", "other")),
        ("a target folder in the crate", TheSame, &|c| {
            c.write("app/web/target/CACHEDIR.TAG", cache);
            c.write("app/web/target/debug/web", "x");
        }),
        ("CARGO_TARGET_DIR in the crate", TheSame, &|c| c.set("CARGO_TARGET_DIR", c.root.join("app/web/out"))),
        ("CARGO_BUILD_TARGET_DIR", TheSame, &|c| c.set("CARGO_BUILD_TARGET_DIR", c.top.join("out"))),
        ("how it is shown and how fast it goes", TheSame, &|c| {
            ["CARGO_TERM_COLOR", "CARGO_BUILD_JOBS"]
                .into_iter()
                .zip(["never", "1"])
                .for_each(|(name, value)| c.set(name, value));
            c.write("../../home/config.toml", "[net]\noffline = true\n[term]\nverbose = false\n[build]\njobs = 1\n");
        }),
        ("variables of others", TheSame, &|c| {
            ["EDITOR", "SSH_AUTH_SOCK", "PORT"].iter().for_each(|name| c.set(name, "x"));
        }),
        ("another crate", TheSame, &|c| c.write("app/other/src/lib.rs", "pub fn f() {}")),
        ("a page", TheSame, &|c| c.write("README.md", "Another.")),
        ("a comment on all", TheSame, &|c| c.append("Cargo.toml", "# Why.\n")),
        ("what tests need", TheSame, &|c| c.append("Cargo.toml", "[workspace.metadata.x]\na = 1\n")),
        ("an empty folder", TheSame, &|c| fs::create_dir(c.root.join("app/web/empty")).unwrap()),
        ("what an umask decides", TheSame, &|c| c.chmod("app/web/src/main.rs", 0o600)),
    ]);
}
