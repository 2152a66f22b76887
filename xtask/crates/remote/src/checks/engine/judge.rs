//! What an engine's facts mean for an environment.

use doctor::fix::Fix;
use doctor::{Finding, GIB, Scene, free, gib};
use model::container::{EngineKind, Platform};
use model::environment::Environment;
use model::system::TargetKind;
use tools::oci::{Facts, Found};

/// What images, the layers of their builds and services' data may come to.
const ROOM: u64 = 5 * GIB;
/// Too little for the public images.
const TOO_LITTLE: u64 = 2 * GIB;

pub(super) fn platform(facts: &Facts, environment: &Environment) -> Finding {
    let names = |platforms: &[Platform]| platforms.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ");
    let Some(own) = facts.platform else {
        let use_other = Fix::by_hand("use an engine for linux/amd64 or linux/arm64 containers");
        return Finding::fail("it runs containers of another platform").want(names(&Platform::ALL)).fix([use_other]);
    };
    let wanted = &environment.platforms;
    if wanted.is_empty() {
        return Finding::pass(own.as_str()).want(names(&Platform::ALL));
    }
    let finding = if environment.target == TargetKind::Containers && !wanted.contains(&own) {
        Finding::fail("what is built for other platforms does not run here")
            .fix([Fix::by_hand(format!("add `{own}` to `platforms` of `{}`", environment.name))])
    } else {
        Finding::pass("")
    };
    finding.found(own.as_str()).want(names(wanted))
}

pub(super) fn mode(facts: &Facts) -> Finding {
    let around = "services are probed within their containers, which costs more than a request";
    match (facts.remote, facts.rootless) {
        (true, _) => Finding::pass("on another machine, or a virtual one").detail(around),
        (false, true) => Finding::pass("rootless").detail(around),
        (false, false) => Finding::pass("can be reached from here"),
    }
}

/// podman does not start a container with a limit that version 2 cannot hold; everything else starts it without.
pub(super) fn limits(found: &Found) -> Finding {
    let Found { engine, facts } = found;
    let shown = format!("cgroup v{}{}", facts.cgroups, if facts.rootless { ", rootless" } else { "" });
    let want = "memory, cpu and pids";
    if facts.unlimited.is_empty() {
        return Finding::pass(shown).want(want);
    }
    let missing = facts.unlimited.join(" and ");
    let refused = engine.kind == EngineKind::Podman && facts.cgroups == 2;
    let finding = match refused {
        true => Finding::fail(format!("it cannot limit {missing}, so no service with a limit can start")),
        false => Finding::warn(format!(
            "it cannot limit {missing}: a service that uses too much slows down everything else on its machine"
        )),
    };
    let fix = match (facts.rootless, facts.cgroups) {
        (true, 2) => {
            "set `Delegate=cpu cpuset io memory pids` under `[Service]` by `sudo systemctl edit user@.service`, then \
             log in again"
        }
        (true, _) => "start the machine's kernel with `systemd.unified_cgroup_hierarchy=1`, or run the engine as root",
        (false, _) => "start the machine's kernel with `cgroup_enable=memory swapaccount=1`",
    };
    finding.found(shown).want(want).fix([Fix::by_hand(fix)])
}

pub(super) fn disk(found: &Found) -> Finding {
    let facts = &found.facts;
    let room = if facts.remote { facts.free } else { free(&facts.storage).or(facts.free) };
    match room {
        Some(room) => judge_room(room, found),
        None => Finding::skip("the engine does not report the free space on its machine"),
    }
}

fn judge_room(room: u64, found: &Found) -> Finding {
    let kind = found.engine.kind;
    let detail = format!("images and data in `{}` of `{kind}` may fill it", found.facts.storage.display());
    // They remove what others have built: a person has to want that.
    let prune = || Fix::by_hand(format!("{kind} image prune; `{kind} system df` shows what uses the space"));
    let finding = match room {
        ROOM.. => Finding::pass(""),
        TOO_LITTLE.. => Finding::warn(detail).fix([prune()]),
        _ => Finding::fail(detail).fix([prune()]),
    };
    finding.found(gib(room)).want(format!(">={}", gib(ROOM)))
}

pub(super) fn builder(facts: &Facts) -> Finding {
    let want = "cache mounts";
    if facts.cache_mounts {
        return Finding::pass(&facts.builder).want(want);
    }
    let detail = "every build in a container starts from scratch";
    let page = "https://github.com/docker/buildx#installing";
    Finding::warn(detail).found(&facts.builder).want(want).fix([Fix::by_hand(format!("install buildx: see {page}"))])
}

/// A tag may mean another image tomorrow.
pub(super) fn pins(scene: &Scene) -> Finding {
    let Some(spec) = &scene.subject.spec else { return Finding::skip("the spec cannot be read") };
    let open: Vec<String> = spec.images.values().filter(|pin| pin.digest.is_none()).map(ToString::to_string).collect();
    let want = "a digest behind every tag";
    if open.is_empty() {
        return Finding::pass(format!("{} images", spec.images.len())).want(want);
    }
    let detail = format!("these have no digest and can change between two deploys: {}", open.join(", "));
    Finding::warn(detail)
        .found(format!("{} of {} without", open.len(), spec.images.len()))
        .want(want)
        .fix([Fix::by_hand("cargo xtask build --update-pins")])
}
