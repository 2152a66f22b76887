//! The outside programs of `deploy/tools.toml`: is one of those that would do here, and recent enough?

use super::fix::{Fix, Sources};
use super::question::{Question, complaint};
use super::{Check, Finding, Group, Scene};
use model::system::TargetKind;
use model::tool::{Program, Tool, VersionRequirement};
use model::version::{Range, Version};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What makes clusters.
const CLUSTER: &str = "cluster";

/// How much an environment depends on a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    Required,
    Useful,
    None,
}

pub(super) fn checks(scene: &Scene) -> Vec<Check> {
    scene.subject.tools.iter().map(|tool| check(scene, tool)).collect()
}

/// Those that the environment cannot do without.
pub(super) fn required(scene: &Scene) -> Vec<Check> {
    let required = |tool: &&Tool| need(scene, tool) == Need::Required;
    scene.subject.tools.iter().filter(required).map(|tool| check(scene, tool)).collect()
}

/// What is found of one of them, whether the environment needs it or not; `None` when there is none of this name.
pub fn tool(scene: &Scene, name: &str) -> Option<Finding> {
    let tool = scene.subject.tools.iter().find(|tool| tool.name == name)?;
    Some(judge(scene, tool, false))
}

/// An environment that could not be read needs at least what all do.
fn need(scene: &Scene, tool: &Tool) -> Need {
    // Whoever has a cluster need not make one.
    let has_cluster = scene.subject.environment.as_ref().is_some_and(|named| named.cluster.context.is_some());
    if tool.name == CLUSTER && has_cluster {
        return Need::None;
    }
    let holds = |targets: &BTreeSet<TargetKind>| match scene.subject.target() {
        Some(target) => targets.contains(&target),
        None => targets.len() == TargetKind::ALL.len(),
    };
    match (holds(&tool.needed), holds(&tool.useful)) {
        (true, _) => Need::Required,
        (false, true) => Need::Useful,
        (false, false) => Need::None,
    }
}

fn check(scene: &Scene, tool: &Tool) -> Check {
    let id = format!("tool.{}", tool.name);
    let need = need(scene, tool);
    if need == Need::None {
        let environment = scene.subject.environment.as_ref();
        let reason = match environment {
            Some(environment) => format!("not needed for `{}`", environment.name),
            None => "whether it is needed is unknown until the environment can be read".to_owned(),
        };
        return Check::known(Group::Tools, id, &tool.name, Finding::skip(reason).want(wanted(scene, tool)));
    }
    let slow = tool.programs.iter().any(|program| Question::of(&program.name).slow);
    let title = tool.name.clone();
    let tool = tool.clone();
    Check::new(Group::Tools, id, title, move |scene| judge(scene, &tool, need == Need::Required)).slow(slow)
}

/// What is known of a program that is here.
#[derive(Debug, Clone, PartialEq)]
enum Seen {
    Good(Version),
    /// Not in the range.
    Outside(Version, PathBuf),
    /// Says no version that we can read.
    Unreadable(PathBuf),
    /// Does not run; a sentence part.
    Broken(String),
}

fn judge(scene: &Scene, tool: &Tool, required: bool) -> Finding {
    let found: Vec<(&Program, PathBuf)> =
        tool.programs.iter().filter_map(|program| Some((program, locate(scene, &program.name)?))).collect();
    let share = u32::try_from(found.len()).unwrap_or(1).max(1);
    let mut seen = Vec::new();
    // In the order of the file, and no further than the first that will do.
    for (program, path) in &found {
        let this = look(scene, program, path, share);
        let good = matches!(this, Seen::Good(_));
        seen.push((*program, this));
        if good {
            break;
        }
    }
    let has = |name: &str| scene.find(name).is_some();
    let sources = Sources { has: &has, is_root: scene.is_root };
    verdict(tool, &seen, required, &sources).want(wanted(scene, tool))
}

/// Where a program is. The cargo that runs us is the one that counts.
fn locate(scene: &Scene, program: &str) -> Option<PathBuf> {
    let named = match program {
        "cargo" => scene.vars.cargo(),
        "rustc" => scene.vars.rustc(),
        _ => PathBuf::from(program),
    };
    if named.is_absolute() { named.is_file().then_some(named) } else { scene.find(&named.to_string_lossy()) }
}

fn look(scene: &Scene, program: &Program, path: &Path, share: u32) -> Seen {
    let question = Question::of(&program.name);
    let finished = match scene.ask(&question.command(path).dir(&scene.root), share) {
        Ok(finished) => finished,
        Err(why) => return Seen::Broken(why),
    };
    if !finished.success {
        return Seen::Broken(format!("`{}` ended with {}", program.name, complaint(&finished)));
    }
    match (question.read(&finished.stdout), range(scene, program)) {
        (None, _) => Seen::Unreadable(path.to_owned()),
        (Some(version), Some(range)) if !range.contains(version) => Seen::Outside(version, path.to_owned()),
        (Some(version), _) => Seen::Good(version),
    }
}

fn range(scene: &Scene, program: &Program) -> Option<Range> {
    match &program.wanted {
        VersionRequirement::Any => None,
        VersionRequirement::RustVersion => super::repository::rust_version(&scene.root).map(Range::at_least),
        VersionRequirement::Within(range) => Some(range.clone()),
    }
}

/// ">=1.91", or "docker >=20.10 or podman >=4.4" where any of several will do.
fn wanted(scene: &Scene, tool: &Tool) -> String {
    let wanted = |program: &Program| match (range(scene, program), tool.programs.len()) {
        (Some(range), 1) => range.to_string(),
        (Some(range), _) => format!("{} {range}", program.name),
        (None, 1) => "any".to_owned(),
        (None, _) => program.name.clone(),
    };
    tool.programs.iter().map(wanted).collect::<Vec<_>>().join(" or ")
}

/// The first of the programs that will do, or else what is wrong with the first that is here at all.
fn verdict(tool: &Tool, seen: &[(&Program, Seen)], required: bool, sources: &Sources<'_>) -> Finding {
    let named = |program: &Program, version: &Version| {
        if tool.programs.len() == 1 { version.to_string() } else { format!("{} {version}", program.name) }
    };
    let miss = |detail: &str| if required { Finding::fail(detail) } else { Finding::warn(detail) };
    let best = seen.iter().find(|(_, seen)| matches!(seen, Seen::Good(_))).or(seen.first());
    let Some((program, seen)) = best else {
        return miss(&tool.purpose).fix(mend(tool, &tool.programs.iter().collect::<Vec<_>>(), None, sources));
    };
    match seen {
        Seen::Good(version) => Finding::pass(named(program, version)),
        Seen::Outside(version, path) => {
            miss(&tool.purpose).found(named(program, version)).fix(mend(tool, &[program], Some(path), sources))
        }
        Seen::Unreadable(path) => {
            let look = format!("`{} --version` prints no version", path.display());
            Finding::warn("its version could not be read").found(&program.name).fix([Fix::by_hand(look)])
        }
        Seen::Broken(why) => miss(why).fix(mend(tool, &[program], None, sources)),
    }
}

/// What installs one of these programs, or where to read how.
fn mend(tool: &Tool, programs: &[&Program], outdated: Option<&Path>, sources: &Sources<'_>) -> Vec<Fix> {
    let commands = sources.install(programs, outdated);
    if commands.is_empty() { vec![Fix::by_hand(format!("see {}", tool.page))] } else { commands }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Outcome;
    use model::tool::PackageSource;
    use std::collections::BTreeMap;

    fn program(name: &str) -> Program {
        let packages = BTreeMap::from([(PackageSource::Brew, name.to_owned())]);
        Program { name: name.to_owned(), wanted: VersionRequirement::Any, packages }
    }

    fn engine() -> Tool {
        Tool {
            name: "engine".to_owned(),
            needed: BTreeSet::new(),
            useful: BTreeSet::new(),
            purpose: "containers run in it".to_owned(),
            page: "https://example.com/install".to_owned(),
            programs: vec![program("docker"), program("podman")],
        }
    }

    fn judged(seen: &[(&Program, Seen)], required: bool, has_brew: bool) -> Finding {
        let has = |name: &str| has_brew && name == "brew";
        verdict(&engine(), seen, required, &Sources { has: &has, is_root: false })
    }

    fn fixes(finding: &Finding) -> Vec<String> {
        finding.fix.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn any_program_that_will_do_is_enough() {
        let (docker, podman) = (program("docker"), program("podman"));
        let old = Seen::Outside(Version::new(19, 3, 0), "/bin/docker".into());
        let finding = judged(&[(&docker, old), (&podman, Seen::Good(Version::new(5, 0, 0)))], true, true);
        assert_eq!((finding.outcome, finding.found.as_deref()), (Outcome::Pass, Some("podman 5.0.0")));
    }

    #[test]
    fn what_is_needed_fails_and_what_is_useful_warns() {
        for (required, outcome) in [(true, Outcome::Fail), (false, Outcome::Warn)] {
            let finding = judged(&[], required, true);
            assert_eq!((finding.outcome, finding.found.as_deref()), (outcome, None));
            assert_eq!(fixes(&finding), ["brew install docker"]);
            assert_eq!(finding.detail.as_deref(), Some("containers run in it"));
        }
    }

    #[test]
    fn an_old_program_is_named_and_itself_replaced() {
        let podman = program("podman");
        let finding = judged(&[(&podman, Seen::Outside(Version::new(3, 0, 0), "/bin/podman".into()))], true, true);
        assert_eq!((finding.outcome, finding.found.as_deref()), (Outcome::Fail, Some("podman 3.0.0")));
        assert_eq!(fixes(&finding), ["brew install podman"]);
    }

    #[test]
    fn a_program_that_does_not_run_says_why() {
        let docker = program("docker");
        let finding = judged(&[(&docker, Seen::Broken("`docker` ended with signal: 11".to_owned()))], true, false);
        assert_eq!(finding.detail.as_deref(), Some("`docker` ended with signal: 11"));
        assert_eq!(fixes(&finding), ["see https://example.com/install"]);
    }

    #[test]
    fn an_unreadable_version_is_no_failure() {
        let docker = program("docker");
        assert_eq!(judged(&[(&docker, Seen::Unreadable("/bin/docker".into()))], true, false).outcome, Outcome::Warn);
    }
}
