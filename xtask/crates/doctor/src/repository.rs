//! The repository: its files are right, and there is room to work in it.

use super::fix::Fix;
use super::scene::GivenSecrets;
use super::{Check, Finding, Group, Outcome, Scene};
use base::os;
use base::proc::CommandLine;
use engine::secrets::MissingSecret;
use model::SpecErrors;
use model::secret::SecretSource;
use model::version::Version;
use nix::errno::Errno;
use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, access};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use toml::de::DeTable;
use tools::cargo;

pub const GIB: u64 = 1 << 30;
/// What a build of everything, its caches and the services' data may come to.
const ROOM: u64 = 5 * GIB;
/// Too little for a build of the services.
const TOO_LITTLE: u64 = 2 * GIB;

pub(super) const SPEC: &str = "repo.spec";

pub(super) fn checks(scene: &Scene) -> Vec<Check> {
    let spec = Check::known(Group::Repository, SPEC, "spec", spec(scene));
    let secrets = Check::new(Group::Repository, "repo.secrets", "secrets", secrets).after(SPEC);
    let lock = Check::new(Group::Repository, "repo.lock", "Cargo.lock", lock).after("tool.cargo").slow(true);
    let mut checks = vec![spec, lock];
    if !given(scene).is_empty() {
        checks.push(secrets);
    }
    checks.extend(required());
    checks
}

/// Those without which nothing can be built.
pub(super) fn required() -> Vec<Check> {
    vec![
        Check::new(Group::Repository, "repo.writable", "write access", writable),
        Check::new(Group::Repository, "repo.disk", "free disk space", disk),
    ]
}

fn spec(scene: &Scene) -> Finding {
    let errors = &scene.subject.errors;
    let want = "no errors";
    let Some(first) = errors.iter().flat_map(SpecErrors::iter).next() else {
        let systems = scene.subject.spec.as_ref().map_or(0, |spec| spec.systems.len());
        return Finding::pass(format!("{systems} systems")).want(want);
    };
    let count: usize = errors.iter().map(|errors| errors.iter().count()).sum();
    let all: Vec<String> = errors.iter().map(ToString::to_string).collect();
    let plural = if count == 1 { "" } else { "s" };
    let edit = Fix::by_hand(format!("edit {}", first.place));
    Finding::fail(all.join("\n")).found(format!("{count} error{plural}")).want(want).fix([edit])
}

/// The secrets that whoever deploys gives by a variable or a file.
fn given(scene: &Scene) -> GivenSecrets<'_> {
    let mut given = scene.subject.given_secrets();
    given.retain(|_, source| matches!(source, SecretSource::Env(_) | SecretSource::File(_)));
    given
}

/// What a deploy would stop for.
fn secrets(scene: &Scene) -> Finding {
    let given = given(scene);
    let lacks = given.iter().filter_map(|((system, key), source)| {
        let lack = engine::secrets::read(&scene.root, &scene.vars, source).err()?;
        Some(MissingSecret { system: (*system).clone(), key: key.clone(), lack })
    });
    let missing: Vec<MissingSecret> = lacks.collect();
    let want = format!("{} given", given.len());
    if missing.is_empty() {
        return Finding::pass("all given").want(want);
    }
    let told: Vec<String> = missing.iter().map(MissingSecret::told).collect();
    let remedies: BTreeSet<&String> = missing.iter().map(|missing| &missing.lack.remedy).collect();
    let fix = remedies.into_iter().map(Fix::by_hand);
    Finding::fail(told.join("\n")).found(format!("{} missing", missing.len())).want(want).fix(fix)
}

/// cargo's own judgement, for this package alone: packages that only others need may not be downloaded yet.
fn lock_question(scene: &Scene) -> CommandLine {
    cargo::command(&scene.vars, &scene.root).args([
        "tree",
        "--locked",
        "--offline",
        "--depth",
        "0",
        "--package",
        "xtask",
    ])
}

fn lock(scene: &Scene) -> Finding {
    let want = "as the manifests say";
    if !scene.root.join("Cargo.lock").is_file() {
        return Finding::fail("the versions of dependencies are not locked").want(want).fix([update()]);
    }
    match scene.ask(&lock_question(scene), 1) {
        Ok(finished) if finished.success => Finding::pass("in sync").want(want),
        Ok(finished) => {
            let why = super::question::complaint(&finished);
            Finding::fail(why).found("out of date").want(want).fix([update()])
        }
        Err(why) => Finding::fail(why).want(want).fix([Fix::by_hand("cargo tree --locked")]),
    }
}

/// Settles what is new in the manifests and leaves everything else as it was.
fn update() -> Fix {
    Fix::Run(CommandLine::new("cargo").args(["update", "--workspace"]))
}

/// The folders that builds and deployments write to, as far as they are there.
fn folders(scene: &Scene) -> Vec<PathBuf> {
    let target =
        scene.vars.get("CARGO_TARGET_DIR").map_or_else(|| scene.root.join("target"), |dir| scene.root.join(dir));
    let all = [scene.root.clone(), target, scene.root.join(".slipway")];
    all.into_iter().filter(|folder| folder.is_dir()).collect()
}

fn writable(scene: &Scene) -> Finding {
    // One that a teardown has just removed is nothing that could not be written to.
    let refused = |folder: &PathBuf| {
        access(folder, AccessFlags::W_OK | AccessFlags::X_OK).err().filter(|error| *error != Errno::ENOENT)
    };
    let folders = folders(scene);
    let made = folders.iter().filter(|folder| **folder != scene.root);
    let foreign: Vec<Foreign> = made.filter_map(|folder| foreign_in(folder)).collect();
    if !foreign.is_empty() {
        return judge_foreign(scene, &foreign);
    }
    if let Some((folder, error)) = folders.iter().find_map(|folder| Some((folder, refused(folder)?))) {
        return judge_refusal(folder, error);
    }
    match folders.iter().find(|folder| !os::runs_programs(folder)) {
        Some(folder) => no_programs(folder),
        None if scene.is_root => as_root(&scene.root),
        None => Finding::pass("yes").want("yes"),
    }
}

fn no_programs(folder: &Path) -> Finding {
    let detail = format!("nothing in `{}` can be run: its file system is mounted `noexec`", folder.display());
    let fix = "use a checkout on another file system; only `target/` may be elsewhere with CARGO_TARGET_DIR";
    Finding::fail(detail).found("no").want("yes").fix([Fix::by_hand(fix)])
}

/// Something in a folder that belongs to somebody else and that this user cannot change.
struct Foreign {
    folder: PathBuf,
    path: PathBuf,
    owner: String,
}

fn foreign_in(folder: &Path) -> Option<Foreign> {
    let (path, owner) = foreign(folder, DEPTH)?;
    Some(Foreign { folder: folder.to_owned(), path, owner })
}

/// How far below a folder files of others are looked for: a run with other rights leaves some near the top.
const DEPTH: usize = 3;

/// The first that belongs to somebody else and that this user cannot change, with its owner.
fn foreign(path: &Path, depth: usize) -> Option<(PathBuf, String)> {
    let is_folder = path.symlink_metadata().ok()?.is_dir();
    let rights = if is_folder { AccessFlags::R_OK | AccessFlags::W_OK | AccessFlags::X_OK } else { AccessFlags::W_OK };
    if let Some(owner) = os::foreign_owner(path).filter(|_| access(path, rights).is_err()) {
        return Some((path.to_owned(), owner));
    }
    let entries = if is_folder && depth > 0 { std::fs::read_dir(path).ok() } else { None };
    entries?.flatten().find_map(|entry| foreign(&entry.path(), depth - 1))
}

/// What was deployed with other rights goes with those, and its files then change hands.
fn judge_foreign(scene: &Scene, foreign: &[Foreign]) -> Finding {
    let state = scene.root.join(".slipway");
    let told = |Foreign { path, owner, .. }: &Foreign| format!("`{}` belongs to `{owner}`", path.display());
    let detail = foreign.iter().map(told).collect::<Vec<_>>().join(", ");
    let teardown = foreign.iter().any(|foreign| foreign.folder == state).then(|| {
        let flag = scene.subject.environment.as_ref().map(|known| super::render::env_flag(known.name.as_str()));
        Fix::by_hand(format!("sudo -E cargo xtask teardown --keep-data{}", flag.unwrap_or_default()))
    });
    let take = foreign.iter().map(|foreign| take_over(&foreign.folder));
    Finding::fail(format!("{detail}, as after a run under sudo"))
        .found("no")
        .want("yes")
        .fix(teardown.into_iter().chain(take))
}

/// What root makes in somebody else's checkout, that person cannot change.
fn as_root(root: &Path) -> Finding {
    match os::foreign_owner(root) {
        None => Finding::pass("yes").want("yes"),
        Some(owner) => Finding::warn(format!("as root, in a checkout of `{owner}`: what is made here will be root's"))
            .found("yes")
            .want("yes")
            .fix([Fix::by_hand(format!("run it as `{owner}`"))]),
    }
}

fn take_over(folder: &Path) -> Fix {
    // Not everywhere is `USER` set.
    Fix::by_hand(format!("sudo chown -R \"$(id -un)\" {}", CommandLine::new(folder)))
}

fn judge_refusal(folder: &Path, error: Errno) -> Finding {
    let shown = folder.display();
    let (detail, fix) = match error {
        // Whoever owns it cannot write to it, either.
        Errno::EROFS => (format!("`{shown}` is on a read-only file system; use a checkout elsewhere"), None),
        _ => (format!("`{shown}` cannot be written to: {}", error.desc().to_lowercase()), Some(take_over(folder))),
    };
    Finding::fail(detail).found("no").want("yes").fix(fix)
}

/// How many bytes are free for us where a folder is.
pub fn free(folder: &Path) -> Option<u64> {
    let stat = statvfs(folder).ok()?;
    // Both are numbers of 32 bits on some systems and of 64 on others.
    #[allow(clippy::useless_conversion, reason = "the types differ between Linux and macOS")]
    Some(u64::from(stat.blocks_available()).saturating_mul(u64::from(stat.fragment_size())))
}

fn disk(scene: &Scene) -> Finding {
    match folders(scene).iter().filter_map(|folder| Some((free(folder)?, folder.clone()))).min() {
        Some((free, folder)) => judge_room(free, &folder),
        None => Finding::warn("the file system does not report it").want(gib(ROOM)).fix([Fix::by_hand("df -h .")]),
    }
}

fn judge_room(free: u64, folder: &Path) -> Finding {
    let detail = format!("builds and services' data in `{}` may fill it", folder.display());
    let finding = match free {
        ROOM.. => Finding { outcome: Outcome::Pass, ..Finding::pass("") },
        TOO_LITTLE.. => Finding::warn(detail).fix([Fix::by_hand("cargo clean")]),
        _ => Finding::fail(detail).fix([Fix::by_hand("cargo clean")]),
    };
    finding.found(gib(free)).want(format!(">={}", gib(ROOM)))
}

pub fn gib(bytes: u64) -> String {
    let tenths = bytes / (GIB / 10);
    format!("{}.{} GiB", tenths / 10, tenths % 10)
}

/// The oldest Rust that the root `Cargo.toml` allows. None when it says nothing that can be read, which cargo reports
/// better than we could.
pub(super) fn rust_version(root: &Path) -> Option<Version> {
    let text = std::fs::read_to_string(root.join("Cargo.toml")).ok()?;
    let manifest = DeTable::parse(&text).ok()?;
    let of = |table: &str| {
        let value = manifest.get_ref().get(table)?.get_ref();
        let value = if table == "workspace" { value.get("package")?.get_ref() } else { value };
        value.get("rust-version")?.get_ref().as_str()?.parse().ok()
    };
    of("workspace").or_else(|| of("package"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_judged_in_three_steps() {
        let judged = |gib: u64| judge_room(gib * GIB, Path::new("/x")).outcome;
        assert_eq!([judged(5), judged(4), judged(1)], [Outcome::Pass, Outcome::Warn, Outcome::Fail]);
        let finding = judge_room(GIB * 3 / 2, Path::new("/x"));
        assert_eq!((finding.found.as_deref(), finding.want.as_deref()), (Some("1.5 GiB"), Some(">=5.0 GiB")));
    }

    #[test]
    fn only_what_an_owner_could_write_to_is_to_be_taken_over() {
        let taken = judge_refusal(Path::new("/shop/target"), Errno::EACCES);
        assert_eq!(taken.detail.as_deref(), Some("`/shop/target` cannot be written to: permission denied"));
        assert_eq!(taken.fix, [Fix::by_hand("sudo chown -R \"$(id -un)\" /shop/target")]);
        let read_only = judge_refusal(Path::new("/shop"), Errno::EROFS);
        let detail = "`/shop` is on a read-only file system; use a checkout elsewhere";
        assert_eq!((read_only.detail.as_deref(), read_only.fix), (Some(detail), Vec::new()));
    }

    #[test]
    fn what_belongs_to_others_is_found_where_it_cannot_be_changed() {
        let folder = std::env::temp_dir().join(format!("doctor-foreign-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("local/logs")).unwrap();
        std::fs::write(folder.join("local/lease.json"), "").unwrap();
        assert_eq!(foreign(&folder, DEPTH), None);
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(foreign(&folder, DEPTH), None, "what is gone belongs to nobody");
    }

    #[test]
    fn our_own_manifest_names_a_rust_version() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
        let found = rust_version(&root).unwrap();
        assert_eq!(Some(found), env!("CARGO_PKG_RUST_VERSION").parse().ok());
    }
}
