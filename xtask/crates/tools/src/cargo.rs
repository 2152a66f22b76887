//! cargo: builds the services, all in one invocation, and says where each binary is or why it is not.

use base::ctx::Vars;
use base::proc::CommandLine;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A nested cargo that sees the same toolchain and settings as we do, and nothing of what `cargo run` set for us.
pub fn command(vars: &Vars, root: &Path) -> CommandLine {
    let command = CommandLine::new(vars.cargo()).dir(root);
    vars.set_by_cargo_run().into_iter().fold(command, CommandLine::env_remove)
}

/// Builds the binaries of these crates and puts them into `out`, where no other cargo replaces them; what they are
/// built from stays `between`, where the checkout's own builds have it. One that does not compile keeps no other from
/// being built.
pub fn build(cargo: CommandLine, crates: &[String], out: &Path, between: Option<&Path>) -> CommandLine {
    let packages = crates.iter().flat_map(|name| ["--package", name.as_str()]);
    // A string of JSON is one of TOML as well.
    let config = between.map(|folder| format!("build.build-dir={}", Value::from(folder.to_string_lossy())));
    let config = config.into_iter().flat_map(|setting| ["--config".to_owned(), setting]);
    let cargo = cargo.args(["build", "--keep-going", "--message-format=json", "--bins"]).args(packages);
    cargo.arg("--target-dir").arg(out).args(config)
}

/// Where the checkout's own builds keep what they are made from, as its variables have it
/// (doc.rust-lang.org/cargo/reference/build-cache.html). `None` when one of them says just that, since the build sees
/// it as well.
pub fn build_directory(vars: &Vars) -> Option<PathBuf> {
    if vars.get("CARGO_BUILD_BUILD_DIR").is_some() {
        return None;
    }
    let target = vars.get("CARGO_TARGET_DIR").or(vars.get("CARGO_BUILD_TARGET_DIR"));
    Some(PathBuf::from(target.unwrap_or("target")))
}

/// What cargo's messages say of a build.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Build {
    /// Of each package its binaries, by their names.
    binaries: BTreeMap<String, BTreeMap<String, PathBuf>>,
    /// Each error as the compiler rendered it, with the crate it is in.
    pub errors: Vec<(String, String)>,
}

impl Build {
    /// Takes in one line of `--message-format=json`; anything else is passed over.
    pub fn take(&mut self, line: &str) {
        let Ok(message) = serde_json::from_str::<Value>(line) else { return };
        let target = message.pointer("/target/name").and_then(Value::as_str).unwrap_or_default();
        match message["reason"].as_str() {
            Some("compiler-artifact") => {
                if let Some(executable) = message["executable"].as_str() {
                    let of_package = self.binaries.entry(package(&message).to_owned()).or_default();
                    of_package.insert(target.to_owned(), PathBuf::from(executable));
                }
            }
            Some("compiler-message") if message.pointer("/message/level").is_some_and(|level| level == "error") => {
                let rendered = message.pointer("/message/rendered").and_then(Value::as_str);
                self.errors.push((target.to_owned(), rendered.unwrap_or_default().trim_end().to_owned()));
            }
            _ => {}
        }
    }

    /// The binary of a package that has its name, or the only one there is.
    ///
    /// # Errors
    /// Why there is none: what did not compile, or that several could be meant.
    pub fn binary(&self, name: &str) -> Result<&Path, Option<String>> {
        let Some(all) = self.binaries.get(name) else { return Err(self.first_error(name).map(str::to_owned)) };
        let mut paths = all.values();
        let only = paths.next().filter(|_| paths.next().is_none());
        all.get(name).or(only).map(PathBuf::as_path).ok_or_else(|| {
            let names: Vec<String> = all.keys().map(|name| format!("`{name}`")).collect();
            Some(format!("package `{name}` has the binaries {}; name one of them `{name}`", names.join(", ")))
        })
    }

    /// Why a crate has no binary: its own first error, or else the first of anything it may depend on.
    fn first_error(&self, name: &str) -> Option<&str> {
        // Targets are named with underscores where they are libraries.
        let own = self.errors.iter().find(|(target, _)| target.replace('_', "-") == name);
        own.or(self.errors.first()).map(|(_, rendered)| rendered.as_str())
    }
}

/// The name of the package that a message is of, as cargo writes it in its ID: the last folder of its source, or before
/// an `@` where that is another one (doc.rust-lang.org/cargo/reference/pkgid-spec.html).
fn package(message: &Value) -> &str {
    let id = message["package_id"].as_str().unwrap_or_default();
    let (source, version) = id.rsplit_once('#').unwrap_or((id, ""));
    match version.rsplit_once('@') {
        Some((name, _)) => name,
        None => source.rsplit('/').next().unwrap_or_default(),
    }
}

/// The files that something was built from, as cargo writes them beside it: behind the colon of a rule, where a space of a
/// name has a backslash before it (doc.rust-lang.org/cargo/reference/build-cache.html#dep-info-files).
pub fn dependencies(list: &str) -> Vec<PathBuf> {
    let Some((_, behind)) = list.lines().next().and_then(|line| line.split_once(": ")) else { return Vec::new() };
    let mut names = vec![String::new()];
    let mut letters = behind.chars().peekable();
    while let Some(letter) = letters.next() {
        match (letter, letters.peek(), names.last_mut()) {
            ('\\', Some(' '), Some(name)) => name.extend(letters.next()),
            (' ', _, _) => names.push(String::new()),
            (_, _, Some(name)) => name.push(letter),
            (_, _, None) => {}
        }
    }
    names.into_iter().filter(|name| !name.is_empty()).map(PathBuf::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_a_rule_may_have_spaces() {
        let list = "/t/remote: /a/b.rs /with\\ space/c.rs\n\nother: x\n";
        assert_eq!(dependencies(list), [PathBuf::from("/a/b.rs"), PathBuf::from("/with space/c.rs")]);
        assert_eq!(dependencies(""), Vec::<PathBuf>::new());
    }

    #[test]
    fn all_crates_are_built_in_one_go() {
        let crates = ["epoch".to_owned(), "shortener".to_owned()];
        let line = |between| build(CommandLine::new("cargo"), &crates, Path::new("out"), between).to_string();
        let plain = "cargo build --keep-going '--message-format=json' --bins --package epoch --package shortener \
                     --target-dir out";
        assert_eq!(line(None), plain);
        assert_eq!(line(Some(Path::new("a b"))), format!("{plain} --config 'build.build-dir=\"a b\"'"));
    }

    #[test]
    fn binaries_and_errors_are_told_apart() {
        let mut build = Build::default();
        let mut made = |id: &str, target: &str| {
            let executable = format!("/t/debug/{target}");
            build.take(
                &serde_json::json!({
                    "reason": "compiler-artifact", "package_id": id, "target": {"name": target}, "executable": executable,
                })
                .to_string(),
            );
        };
        made("path+file:///r/app/epoch#0.1.0", "epoch");
        made("path+file:///r/app/epoch#0.1.0", "extra");
        made("path+file:///r/app/clock#tick@0.1.0", "tickd");
        made("path+file:///r/app/two#0.1.0", "one");
        made("path+file:///r/app/two#0.1.0", "other");
        build.take(r#"{"reason":"compiler-artifact","target":{"name":"kit"},"executable":null}"#);
        build.take(
            r#"{"reason":"compiler-message","target":{"name":"shortener"},"message":{"level":"error","rendered":"error: no\n"}}"#,
        );
        build.take("warning: not json");
        assert_eq!(build.binary("epoch"), Ok(Path::new("/t/debug/epoch")), "the one of its name");
        assert_eq!(build.binary("tick"), Ok(Path::new("/t/debug/tickd")), "the only one");
        let several = "package `two` has the binaries `one`, `other`; name one of them `two`";
        assert_eq!(build.binary("two"), Err(Some(several.to_owned())));
        assert_eq!(build.binary("shortener"), Err(Some("error: no".to_owned())));
        assert_eq!(Build::default().binary("epoch"), Err(None), "cargo itself has failed");
    }
}
