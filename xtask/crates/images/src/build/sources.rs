//! What a build of a crate sees on this machine.

use anyhow::{Context, Result, anyhow};
use base::ctx::Vars;
use base::proc::Proc;
use keys::{Input, Kind, Manifest, Workspace};
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
                Compiler::Here => compiler_inputs(vars, proc),
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
        Ok(Self { crates: crates.context("read what the services are built from")?, here })
    }

    /// What a build of this crate sees in the repository.
    pub fn of(&self, name: &str) -> Option<&Manifest> {
        self.crates.get(name)
    }

    /// What a build of this crate by this machine's compiler sees.
    pub fn built_here(&self, name: &str) -> Option<Manifest> {
        let mut manifest = self.of(name)?.clone();
        self.here.iter().for_each(|input| manifest.add(input.clone()));
        Some(manifest)
    }
}

fn compiler_inputs(vars: &Vars, proc: &Proc) -> Result<Vec<Input>> {
    let toolchain = Input::toolchain(&proc.read(&rustc::version(vars))?);
    let variables = build_variables(vars).into_iter().map(|(name, value)| Input::new(Kind::Argument, name, value));
    Ok(std::iter::once(toolchain).chain(variables).collect())
}

/// Variables that change what cargo builds (doc.rust-lang.org/cargo/reference/environment-variables.html), and those
/// that the C compiler is called by.
fn build_variables(vars: &Vars) -> Vec<(String, String)> {
    let prefixes =
        ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_", "CARGO_PROFILE_", "CARGO_TARGET_", "CFLAGS"];
    let all = prefixes.iter().flat_map(|prefix| vars.starting_with(prefix));
    // Where the output goes and how many compilers run at once does not change what they make.
    let passing = ["CARGO_BUILD_TARGET_DIR", "CARGO_BUILD_BUILD_DIR", "CARGO_BUILD_JOBS", "CARGO_TARGET_DIR"];
    let compiler = vars.get("CC").map(|compiler| ("CC".to_owned(), compiler.to_owned()));
    all.filter(|(name, _)| !passing.contains(&name.as_str())).chain(compiler).collect()
}
