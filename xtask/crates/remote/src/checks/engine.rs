//! The engine that builds and runs images: one that answers, what it can do, and whether the images that it will fetch
//! are pinned. Each engine is asked once for all checks.

mod judge;

use doctor::fix::{Fix, Sources};
use doctor::{Check, Finding, Group, Scene};
use model::container::EngineKind;
use model::environment::Environment;
use model::tool::{Program, Tool, VersionRequirement};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tools::oci::{By, Engine, Facts, Found, Here, Mend, Silent, Why, answers_within, candidates, mend};

const TOOL: &str = "engine";
const RUNNING: &str = "engine.running";

/// All of them, for an environment that needs an engine.
pub(super) fn checks(scene: &Scene) -> Vec<Check> {
    let Some(subject) = Subject::of(scene) else { return Vec::new() };
    let mut checks: Vec<Check> = candidates(None).into_iter().map(|kind| subject.each(kind)).collect();
    checks.extend(subject.required());
    checks.push(subject.check("engine.mode", "containers' addresses", |found, _| judge::mode(&found.facts)));
    checks.push(subject.check("engine.builder", "image builder", |found, _| judge::builder(&found.facts)));
    checks.push(Check::new(Group::Repository, "images.pins", "pinned images", judge::pins));
    checks
}

/// Those without which nothing can be built or run.
pub(super) fn required(scene: &Scene) -> Vec<Check> {
    Subject::of(scene).map_or_else(Vec::new, |subject| subject.required())
}

/// What is judged, and what the engines have said so far.
struct Subject {
    environment: Environment,
    tool: Tool,
    answers: Arc<Answers>,
}

impl Subject {
    fn of(scene: &Scene) -> Option<Self> {
        let environment = scene.subject.environment.clone()?;
        let needs = |tool: &&Tool| tool.name == TOOL && tool.needed.contains(&environment.target);
        let tool = scene.subject.tools.iter().find(needs)?.clone();
        Some(Self { answers: Arc::new(Answers::new(environment.engine)), environment, tool })
    }

    fn required(&self) -> Vec<Check> {
        let (tool, answers) = (self.tool.clone(), Arc::clone(&self.answers));
        let running = Check::new(Group::Tools, RUNNING, "engine in use", move |scene| running(scene, &tool, &answers));
        let running = running.within(self.answers.within);
        let environment = self.environment.clone();
        vec![
            running.after("tool.engine").slow(true),
            self.check("engine.platform", "platform of containers", move |found, _| {
                judge::platform(&found.facts, &environment)
            }),
            self.check("engine.cgroups", "limits of containers", |found, _| judge::limits(found)),
            self.check("engine.disk", "room for images", |found, _| judge::disk(found)),
        ]
    }

    /// A check of the engine that is used.
    fn check(&self, id: &str, title: &str, judge: impl Fn(&Found, &Scene) -> Finding + Send + Sync + 'static) -> Check {
        let answers = Arc::clone(&self.answers);
        let ask = move |scene: &Scene| match answers.used(scene) {
            Ok(found) => judge(found, scene),
            // Its parent says why.
            Err(_) => Finding::skip("no engine answers"),
        };
        Check::new(Group::Machine, id, title, ask).after(RUNNING).within(self.answers.within)
    }

    /// What there is to know of one engine. That it is of no use fails only the check of them all.
    fn each(&self, kind: EngineKind) -> Check {
        let (id, title) = (format!("engine.{kind}"), kind.to_string());
        if let Some(other) = self.environment.engine.filter(|wanted| *wanted != kind) {
            let reason = format!("`{}` uses `{other}`", self.environment.name);
            return Check::known(Group::Machine, id, title, Finding::skip(reason));
        }
        let answers = Arc::clone(&self.answers);
        Check::new(Group::Machine, id, title, move |scene| match answers.of(kind, scene) {
            Ok(found) => Finding::pass(format!("{} answers", found.facts.version)),
            Err(silent) => Finding::skip(silent.to_string()),
        })
        .within(self.answers.within)
    }
}

/// What the engines said, each asked when first needed.
struct Answers {
    of_each: Vec<(EngineKind, OnceLock<Result<Found, Silent>>)>,
    /// As long as what uses them waits for one.
    within: Duration,
}

impl Answers {
    fn new(wanted: Option<EngineKind>) -> Self {
        let of_each = candidates(wanted).into_iter().map(|kind| (kind, OnceLock::new())).collect();
        Self { of_each, within: answers_within(wanted) }
    }

    fn of(&self, kind: EngineKind, scene: &Scene) -> Result<&Found, Silent> {
        let missing = Silent { kind, why: Why::Missing };
        let Some((_, answer)) = self.of_each.iter().find(|(candidate, _)| *candidate == kind) else {
            return Err(missing);
        };
        answer.get_or_init(|| ask(kind, scene, self.within)).as_ref().map_err(Clone::clone)
    }

    /// The first that answers. All are asked at once: one that does not answer keeps no other from being asked in time.
    fn used(&self, scene: &Scene) -> Result<&Found, Vec<Silent>> {
        std::thread::scope(|scope| {
            for (kind, _) in &self.of_each {
                scope.spawn(|| self.of(*kind, scene).is_ok());
            }
        });
        let mut silent = Vec::new();
        for (kind, _) in &self.of_each {
            match self.of(*kind, scene) {
                Ok(found) => return Ok(found),
                Err(why) => silent.push(why),
            }
        }
        Err(silent)
    }
}

fn ask(kind: EngineKind, scene: &Scene, within: Duration) -> Result<Found, Silent> {
    let silent = |why| Silent { kind, why };
    let program = scene.find(kind.as_str()).ok_or_else(|| silent(Why::Missing))?;
    let engine = Engine { kind, program };
    let answer = scene.ask_within(&engine.info(), within).map_err(|words| silent(Why::Refused(words)))?;
    engine.found(&answer, &Here::look()).map_err(silent)
}

/// An engine that answers and is recent enough. Its client may be of another version.
fn running(scene: &Scene, tool: &Tool, answers: &Answers) -> Finding {
    match answers.used(scene) {
        Ok(found) => recent(scene, tool, found),
        Err(silent) => {
            let words: Vec<String> = silent.iter().map(Silent::to_string).collect();
            // One that is missing is no matter as long as another one only has to be started.
            let none = silent.iter().all(|silent| silent.why == Why::Missing);
            let fixes = silent.iter().flat_map(|silent| mends(scene, tool, silent, none));
            Finding::fail(words.join("\n")).found("none answers").want(want(answers)).fix(fixes)
        }
    }
}

fn want(answers: &Answers) -> String {
    answers.of_each.iter().map(|(kind, _)| kind.to_string()).collect::<Vec<_>>().join(" or ")
}

fn recent(scene: &Scene, tool: &Tool, found: &Found) -> Finding {
    let (kind, Facts { version, .. }) = (found.engine.kind, &found.facts);
    let shown = format!("{kind} {version}");
    let program = tool.programs.iter().find(|program| program.name == kind.as_str());
    match program.map(|program| (program, &program.wanted)) {
        Some((program, VersionRequirement::Within(range))) if !range.contains(*version) => {
            let fix = install(scene, tool, program);
            Finding::fail(&tool.purpose).found(shown).want(format!("{kind} {range}")).fix(fix)
        }
        Some((_, VersionRequirement::Within(range))) => Finding::pass(shown).want(format!("{kind} {range}")),
        _ => Finding::pass(shown).want(kind.as_str()),
    }
}

/// What mends a silent engine.
fn mends(scene: &Scene, tool: &Tool, silent: &Silent, install_missing: bool) -> Vec<Fix> {
    let has = |program: &str| scene.find(program).is_some();
    match &silent.why {
        Why::Refused(words) => vec![as_fix(mend(silent.kind, words, &has), scene.is_root)],
        Why::Missing if install_missing => {
            let program = tool.programs.iter().find(|program| program.name == silent.kind.as_str());
            program.map_or_else(Vec::new, |program| install(scene, tool, program))
        }
        Why::Missing => Vec::new(),
    }
}

fn as_fix(mend: Mend, is_root: bool) -> Fix {
    match mend.by {
        By::Anyone => Fix::Run(mend.command),
        By::Root if is_root => Fix::Run(mend.command),
        By::Root => Fix::AsRoot(mend.command),
        By::Person => Fix::by_hand(mend.to_string()),
    }
}

fn install(scene: &Scene, tool: &Tool, program: &Program) -> Vec<Fix> {
    let has = |name: &str| scene.find(name).is_some();
    let fixes = Sources { has: &has, is_root: scene.is_root }.install(&[program], None);
    if fixes.is_empty() { vec![Fix::by_hand(format!("see {}", tool.page))] } else { fixes }
}
