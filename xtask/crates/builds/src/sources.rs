//! What a build of a crate sees on this machine.

use anyhow::{Context, Result, anyhow};
use base::ctx::Vars;
use base::error::Fault;
use base::proc::Proc;
use keys::{Input, Kind, Manifest, UnknownCrate, Workspace};
use model::system::{Service, Source};
use std::collections::BTreeMap;
use std::path::Path;
use tools::rustc;

/// Where a build takes its compiler from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compiler {
    /// This machine's, which sees this process' variables.
    Here,
    /// Another one, of which nothing is known here.
    Elsewhere,
}

/// How crates are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manner<'a> {
    pub compiler: Compiler,
    /// The profile, where no other counts.
    pub profile: Option<&'a str>,
}

/// What builds of some crates see at this moment.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    crates: BTreeMap<String, Manifest>,
    /// The compiler of this machine and what it is told.
    here: Vec<Input>,
    /// What the sources read of this machine's variables.
    variables: BTreeMap<String, String>,
}

impl Sources {
    /// # Errors
    /// When the sources cannot be read or the compiler does not say what it is.
    pub fn read(root: &Path, vars: &Vars, proc: &Proc, manner: Manner<'_>, crates: &[&str]) -> Result<Self> {
        if crates.is_empty() {
            return Ok(Self::default());
        }
        let (here, crates) = std::thread::scope(|scope| {
            let here = scope.spawn(|| match manner.compiler {
                Compiler::Here => compiler_inputs(root, vars, proc),
                Compiler::Elsewhere => Ok(Vec::new()),
            });
            let workspace = Workspace::read(root).map(|workspace| match manner.profile {
                Some(profile) => workspace.with_profile(profile),
                None => workspace,
            });
            let crates = workspace.and_then(|workspace| workspace.manifests(crates));
            (here.join(), crates)
        });
        let here = here.map_err(|_| anyhow!("asking rustc for its version panicked"))??;
        let crates = crates.map_err(|error| match error.downcast_ref::<UnknownCrate>() {
            Some(unknown) => no_member(root, &unknown.0).into(),
            None => error.context("read what the services are built from"),
        });
        let crates = crates?;
        let read = crates.values().flat_map(Manifest::variables);
        let variables = read.filter_map(|name| Some((name.clone(), vars.get(name)?.to_owned()))).collect();
        Ok(Self { crates, here, variables })
    }

    /// What a build of this crate sees in the repository.
    pub fn of(&self, name: &str) -> Option<&Manifest> {
        self.crates.get(name)
    }

    /// What a build of this crate by this machine's compiler sees.
    pub fn built_here(&self, name: &str) -> Option<Manifest> {
        let mut manifest = self.of(name)?.clone();
        self.here.iter().for_each(|input| manifest.add(input.clone()));
        let values: Vec<_> =
            manifest.variables().iter().filter_map(|name| self.variables.get_key_value(name)).collect();
        values.iter().for_each(|(name, value)| manifest.add(Input::new(Kind::Argument, name, value)));
        Some(manifest)
    }
}

/// The fault of the file that names a crate which cargo does not know. Its package is there: the spec is checked for that.
fn no_member(root: &Path, name: &str) -> Fault {
    let systems = model::load_readable(root).spec.systems;
    let named_by = systems.iter().find_map(|system| {
        let is_made_of_it = |service: &&Service| service.source == Source::Crate(name.to_owned());
        let service = system.services.iter().find(is_made_of_it)?;
        Some(format!("`deploy/systems/{}.toml`: `services.{}`", system.name, service.name))
    });
    let service = named_by.as_deref().unwrap_or("a service");
    let cause = format!("{service} is built from the crate `{name}`, which is not in the workspace");
    let folder = model::programs(root).remove(name).unwrap_or_else(|| Path::new("app").join(name));
    let hint = format!("add `\"{}\"` to `members` in `Cargo.toml`", folder.display());
    Fault::could_not_run("unknown-crate", cause).hint(hint)
}

fn compiler_inputs(root: &Path, vars: &Vars, proc: &Proc) -> Result<Vec<Input>> {
    let toolchain = Input::toolchain(&proc.read(&rustc::version(vars).dir(root))?);
    let variables = build_variables(vars).into_iter().map(|(name, value)| {
        // A program of the repository is a script as a rule, and what it does may change.
        let program = Some(root.join(&value)).filter(|path| name.contains("RUSTC") && path.starts_with(root));
        let content = program.and_then(|path| std::fs::read(path).ok()).unwrap_or_default();
        Input::new(Kind::Argument, name, [value.as_bytes(), &content].concat())
    });
    let configuration = keys::configuration_outside(root, &vars.cargo_home()).context("read cargo's configuration")?;
    Ok(std::iter::once(toolchain).chain(variables).chain(configuration).collect())
}

/// Variables that change what cargo builds (doc.rust-lang.org/cargo/reference/environment-variables.html), and those
/// that compilers and linkers are called by.
fn build_variables(vars: &Vars) -> Vec<(String, String)> {
    let prefixes = [
        "RUSTC",
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_INCREMENTAL",
        "CARGO_BUILD_",
        "CARGO_PROFILE_",
        "CARGO_TARGET_",
        "CARGO_UNSTABLE_",
        "CFLAGS",
        "CXX",
        "MACOSX_DEPLOYMENT_TARGET",
    ];
    let all = prefixes.iter().flat_map(|prefix| vars.starting_with(prefix));
    // Where the output goes and how many compilers run at once does not change what they make.
    let passing = ["CARGO_BUILD_TARGET_DIR", "CARGO_BUILD_BUILD_DIR", "CARGO_BUILD_JOBS", "CARGO_TARGET_DIR"];
    let compiler = vars.get("CC").map(|compiler| ("CC".to_owned(), compiler.to_owned()));
    all.filter(|(name, value)| !value.is_empty() && !passing.contains(&name.as_str())).chain(compiler).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::error::Exit;
    use base::files;
    use base::proc::Children;
    use base::signal::Interrupts;
    use std::ffi::OsString;

    #[test]
    fn a_crate_that_is_no_member_is_told_with_the_file_that_names_it() {
        let root = std::env::temp_dir().join(format!("xtask-sources-{}", std::process::id()));
        let write = |path: &str, text: &str| files::write_private(&root.join(path), text.as_bytes()).unwrap();
        write("Cargo.toml", "[workspace]\nmembers = []\n");
        write("app/greeter/Cargo.toml", "[package]\nname = 'hello'\n");
        write("app/greeter/src/main.rs", "");
        write("deploy/images.toml", "");
        write("deploy/systems/greeting.toml", "description = 'x'\n[services.hi]\ncrate = 'hello'\nport = 1\n");
        let proc = Proc::new(Children::default(), Interrupts::default(), OsString::new());
        let manner = Manner { compiler: Compiler::Elsewhere, profile: None };
        let fault = Fault::of(&Sources::read(&root, &Vars::default(), &proc, manner, &["hello"]).unwrap_err());
        std::fs::remove_dir_all(&root).unwrap();
        assert_eq!(
            (fault.exit, fault.cause.as_str()),
            (
                Exit::CouldNotRun,
                "`deploy/systems/greeting.toml`: `services.hi` is built from the crate `hello`, which is not in the workspace"
            )
        );
        assert_eq!(fault.hint.unwrap(), "add `\"app/greeter\"` to `members` in `Cargo.toml`");
    }
}
