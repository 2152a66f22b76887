//! How a recipe becomes a process of this machine.

use crate::supervised::addresses::{public_url, reachable};
use crate::supervised::recipe::{Program, Recipe};
use crate::supervised::start::Secrets;
use crate::supervised::{Supervised, assets};
use anyhow::Result;
use base::{os, ports};
use engine::home::Home;
use model::asset::{Asset, Content, Mode};
use model::name::ServiceName;
use model::system::{Reference, Service};
use std::borrow::Cow;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use supervisor::{InstanceStatus, LaunchSpec, LaunchStrategy, State};

/// The recipe with addresses, secrets and paths filled in; `None` while one of them is not known yet.
pub(super) fn spec(core: &Supervised, recipe: &Recipe, secrets: Secrets) -> Result<Option<LaunchSpec>> {
    let service = &recipe.service;
    let known = core.addresses()?.get(service).copied();
    let Some(listen) = known.or(recipe.worker.then_some(supervisor::NOWHERE)) else { return Ok(None) };
    let is_relayed = recipe.is_relayed();
    let (address, port) = match is_relayed {
        true => (Ipv4Addr::LOCALHOST.to_string(), supervisor::PORT.to_owned()),
        false => (listen.ip().to_string(), listen.port().to_string()),
    };
    let recipe = if is_relayed { Cow::Owned(recipe.told(&address, &port)) } else { Cow::Borrowed(recipe) };
    let recipe = recipe.as_ref();
    let Some(filled) = core.fill(recipe, secrets)? else { return Ok(None) };
    let (program, prefix) = invocation(core, recipe);
    let release = filled.release(recipe);
    let mut env = core.surroundings();
    env.extend(filled.env);
    if !recipe.worker {
        env.entry("PORT".to_owned()).or_insert(port);
        env.entry("LISTEN_ADDRESS".to_owned()).or_insert(address);
    }
    Ok(Some(LaunchSpec {
        service: service.clone(),
        release,
        program,
        args: prefix.into_iter().chain(filled.args).collect(),
        dir: match &recipe.program {
            Program::Folder(folder) => core.deployment.root.join(&folder.dir),
            _ => core.home().data(service),
        },
        env,
        log: core.home().log(service),
        listen,
        style: match (recipe.handover, is_relayed) {
            (true, _) => LaunchStrategy::Handover,
            (_, true) => LaunchStrategy::Relay,
            _ if recipe.worker && !recipe.keeps_data() => LaunchStrategy::Worker,
            _ => LaunchStrategy::Plain,
        },
        ready: recipe.ready.clone(),
        live: recipe.live.clone(),
        ready_within: recipe.ready_within,
        stop_within: recipe.stop_within,
        probe_every: LaunchSpec::PROBE_EVERY,
        promote_within: LaunchSpec::PROMOTE_WITHIN,
    }))
}

/// The same for a job, for which nothing stands in front of its service's port.
pub(super) fn job(core: &Supervised, recipe: &Recipe, secrets: Secrets) -> Result<Option<LaunchSpec>> {
    let Some(spec) = spec(core, recipe, secrets)? else { return Ok(None) };
    let port = spec.listen.port().to_string();
    let told = |text: &String| text.replace(supervisor::PORT, &port);
    let args = spec.args.iter().map(told).collect();
    let env = spec.env.iter().map(|(name, value)| (name.clone(), told(value))).collect();
    Ok(Some(LaunchSpec { args, env, style: LaunchStrategy::Plain, release: String::new(), ..spec }))
}

/// The program's file and the arguments that go before the service's own.
pub(super) fn invocation(core: &Supervised, recipe: &Recipe) -> (PathBuf, Vec<String>) {
    match &recipe.program {
        Program::Artifact { key } => {
            let folder = core.home().artifacts(&recipe.service).join(key);
            (folder.join(recipe.service.as_str()), Vec::new())
        }
        Program::Native { path, prefix } => (path.clone(), prefix.clone()),
        Program::Folder(folder) => (core.deployment.root.join(&folder.path), Vec::new()),
        // A deployment keeps its target, so no revision of it names an image.
        Program::Image(image) => (PathBuf::from(&image.reference), Vec::new()),
    }
}

/// Whether somebody else listens where a service that has failed did: it cannot come back there by itself.
pub(super) fn has_lost_port(core: &Supervised, current: &InstanceStatus) -> bool {
    let is_ours = |pid| supervisor::processes(core.home().dir()).contains(&pid);
    let by_others = || os::port_holder(current.listen).is_none_or(|holder| !holder.pid.is_some_and(is_ours));
    current.state == State::Failed && ports::answers(current.listen) && by_others()
}

pub(super) fn refer(core: &Supervised, service: &Service, reference: &Reference) -> Result<Option<String>> {
    let address = || -> Result<_> { Ok(core.addresses()?.get(&service.name).copied()) };
    Ok(match reference {
        Reference::Address => address()?.map(|address| address.ip().to_string()),
        Reference::Host => address()?.map(|address| reachable(address).ip().to_string()),
        Reference::Port => address()?.map(|address| address.port().to_string()),
        Reference::FurtherPort(name) => core.addresses()?.get(&service.name.port(name)).map(|at| at.port().to_string()),
        Reference::PublicUrl => address()?.map(|address| public_url(address, service)),
        Reference::Data => Some(core.home().data(&service.name).to_string_lossy().into_owned()),
        Reference::Commit | Reference::File(_) | Reference::Secret(_) | Reference::Provided { .. } => None,
    })
}

/// The path of what a service is given: below the folder that it works in where it says so.
pub(super) fn file(home: &Home, service: &ServiceName, name: &str, asset: &Asset) -> PathBuf {
    match asset.beside() {
        Some(at) => home.data(service).join(at),
        None => assets::path(home, service, name, asset),
    }
}

/// Texts may hold secrets. What lies in the repository is none, and only its own folder keeps others out.
pub(super) fn mode_of(asset: &Asset, executable: bool) -> Mode {
    match (&asset.content, asset.mode) {
        (Content::Text(_), None) => Mode(0o600),
        _ => asset.mode_of(executable),
    }
}

/// How a version of a service that runs from a folder takes the place of the one that runs, for the plan.
pub(super) fn takeover(recipe: &Recipe, current: Option<&InstanceStatus>) -> Option<String> {
    if !recipe.ports.is_empty() {
        return Some("a version stops before the next one starts: only one can have its further ports".to_owned());
    }
    let Program::Folder(_) = recipe.program else { return None };
    Some(match current {
        _ if recipe.worker && !recipe.keeps_data() => "a version runs on until the next one is ready".to_owned(),
        _ if !recipe.is_relayed() => {
            "a version stops before the next one starts: it stores data, or a file says where it listens".to_owned()
        }
        None => "a version follows another without a gap where it listens on `PORT`".to_owned(),
        Some(current) if current.admin.is_some() => "it takes over without a gap".to_owned(),
        Some(current) => {
            let port = current.listen.port();
            format!("the version that runs stops first: it listens on {port} itself, whatever `PORT` says")
        }
    })
}
