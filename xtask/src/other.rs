//! The binary with all backends: found where it is up to date, built by cargo where it is not, and then run in our place.
//!
//! Whether it is up to date is told without cargo, which would take longer than most commands: by the times of the files
//! that cargo itself says it was made of.

use anyhow::{Context, Result};
use base::ctx::Ctx;
use base::terminal;
use base::{files, proc};
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use tools::cargo;

const NAME: &str = "remote";

/// Where this binary was built from, which is where the other one is built from.
const PACKAGE: &str = env!("CARGO_MANIFEST_DIR");

/// Runs the other binary with our arguments, in our place.
///
/// # Errors
/// When it cannot be built or started.
pub(crate) fn become_it(ctx: &Ctx) -> Result<Infallible> {
    let own = Ctx::own_program()?;
    let other = own.with_file_name(NAME);
    let seen = modified(&stamp(&other));
    if !is_newer(seen, &inputs(&other)) {
        terminal::say(
            "building the part of the tool that is for containers, clusters, AWS and checks; this happens once",
        );
        build(ctx, &own, &other)?;
    } else if !is_newer(seen, std::slice::from_ref(&own)) {
        // We were built anew, perhaps by another compiler. As a rule cargo finds nothing to do.
        build(ctx, &own, &other)?;
    }
    proc::exec(&other, std::env::args_os().skip(1))
}

/// A file that is as old as the last look of cargo's.
fn stamp(other: &Path) -> PathBuf {
    other.with_extension("checked")
}

/// What it is made of, as far as cargo has said so, and it itself.
fn inputs(other: &Path) -> Vec<PathBuf> {
    let list = std::fs::read_to_string(other.with_extension("d")).unwrap_or_default();
    let mut inputs = cargo::dependencies(&list);
    inputs.extend([other.to_owned(), Path::new(PACKAGE).join("../Cargo.lock")]);
    inputs
}

/// Whether cargo's last look came after the last change of all of these.
fn is_newer(seen: Option<SystemTime>, inputs: &[PathBuf]) -> bool {
    seen.is_some_and(|seen| inputs.iter().all(|input| modified(input).is_some_and(|time| time <= seen)))
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).ok()?.modified().ok()
}

fn build(ctx: &Ctx, own: &Path, other: &Path) -> Result<()> {
    let place = place(own).context("find the folder that this program was built in")?;
    let manifest = Path::new(PACKAGE).join("crates").join(NAME).join("Cargo.toml");
    let line = cargo::command(&ctx.vars, Path::new(PACKAGE))
        .args(["build", "--quiet", "--locked", "--profile", place.profile, "--manifest-path"])
        .arg(&manifest)
        .arg("--target-dir")
        .arg(place.target)
        .args(if place.is_named { ["--target", "host-tuple"].as_slice() } else { &[] });
    ctx.proc.follow(&line, &|_, _| {})?;
    files::write_with_mode(&stamp(other), b"", 0o644)
}

/// Where cargo has put a program.
struct Place<'p> {
    profile: &'p str,
    /// The folder that cargo keeps all in.
    target: &'p Path,
    /// Whether a target was named, as the alias does. Such builds have a folder of their own.
    is_named: bool,
}

fn place(own: &Path) -> Option<Place<'_>> {
    let folder = own.parent()?;
    let profile = match folder.file_name()?.to_str()? {
        "debug" => "dev",
        other => other,
    };
    let above = folder.parent()?;
    let has = |folder: &Path, file: &str| folder.join(file).is_file();
    // Cargo tags the folder of a target as well; only in that of all does it keep what it knows of the compiler.
    let named = above.parent().filter(|further| !has(above, ".rustc_info.json") && has(further, "CACHEDIR.TAG"));
    Some(Place { profile, target: named.unwrap_or(above), is_named: named.is_some() })
}
