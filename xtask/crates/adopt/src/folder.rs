//! From a folder with a Dockerfile.

use crate::compose::{Health, volume};
use crate::confinement::{Said, confine};
use crate::names::{name_of, unused};
use crate::sketch::{Place, Probe, Service, Sketch, Source, WORKER};
use crate::{Repository, dockerfile, known, listens};
use anyhow::{Context, Result};
use model::container::User;
use model::name::{ServiceName, SystemName};
use std::collections::BTreeMap;
use std::fs;

/// The system with the one service that `folder`, from the root, has the Dockerfile of. `port` is where its program is said
/// to listen, whatever the Dockerfile exposes.
///
/// # Errors
/// When the Dockerfile cannot be read.
pub fn read(repository: &Repository<'_>, folder: &str, name: SystemName, port: Option<u16>) -> Result<Sketch> {
    let path = repository.root.join(folder).join("Dockerfile");
    let text = fs::read_to_string(&path).with_context(|| format!("read `{}`", path.display()))?;
    let said = dockerfile::read(&text, None, &BTreeMap::new());
    let shown = if folder.is_empty() { "." } else { folder };
    let source = Source::Dockerfile { folder: shown.to_owned(), file: None, target: None, args: BTreeMap::new() };
    let mut service = Service::new(called(repository, &name)?, source);
    let ports = port.map_or(said.ports, |port| vec![port]);
    service.port = ports.first().copied();
    match ports[..] {
        [] => {
            let usual = || Some((known::port(said.base.as_deref()?.split([':', '@']).next()?)?, "its base".to_owned()));
            let server = || listens::server(&text).map(|(port, program)| (port, format!("`{program}`, unless told")));
            match listens::find(&repository.root.join(folder)).or_else(server).or_else(usual) {
                Some((port, by)) => {
                    service.port = Some(port);
                    service.note(Place::Port, format!("Its Dockerfile exposes no port; {port} is that of {by}."));
                }
                None => service.note(Place::Ready, WORKER),
            }
        }
        [_] => {}
        [_, ref others @ ..] => {
            let others: Vec<String> = others.iter().map(u16::to_string).collect();
            service.note(
                Place::Port,
                format!(
                    "Its Dockerfile exposes {}, too: `[services.NAME.ports]` in place of `port`.",
                    others.join(", ")
                ),
            );
        }
    }
    service.public = service.port.is_some_and(known::is_http);
    service.note(Place::Container, "What it may use is a guess: nobody has measured it.");
    service.container.memory = known::memory("").parse().ok();
    service.container.low_ports = service.port.is_some_and(|port| port < 1024);
    if let Some(health) = said.health.as_ref().and_then(|text| Health::of_dockerfile(text, service.port)) {
        health.path.into_iter().for_each(|path| service.ready = Probe::Http(path));
        service.container.health = health.command;
    }
    for at in &said.volumes {
        volume(&mut service, at, at);
    }
    if let Some(signal) = said.stop_signal.filter(|signal| !["SIGTERM", "15"].contains(&signal.as_str())) {
        let note = format!(
            "It is made to end by {signal}; here services are told by SIGTERM, and killed after `stop_within`."
        );
        service.note(Place::Service, note);
    }
    let users: BTreeMap<String, User> =
        said.users.iter().filter_map(|(name, number)| Some((name.clone(), number.parse().ok()?))).collect();
    let user = said.user.unwrap_or_default();
    let by = "its Dockerfile";
    confine(
        &mut service,
        &Said {
            user: Some(&user),
            by,
            read_only: false,
            added: Vec::new(),
            all_dropped: false,
            tried: false,
            users: &users,
        },
    );
    Ok(Sketch {
        description: format!("What the Dockerfile in {shown} builds"),
        from: shown.to_owned(),
        notes: Vec::new(),
        services: vec![service],
        jobs: Vec::new(),
        secrets: BTreeMap::new(),
        images: BTreeMap::new(),
        copies: Vec::new(),
        name,
    })
}

/// What a service is called that is alone in its system: as that, unless something public has that name.
pub(crate) fn called(repository: &Repository<'_>, system: &SystemName) -> Result<ServiceName> {
    let taken = |name: &str| repository.public.iter().any(|service| service.local() == name);
    let own = name_of(system.as_str()).unwrap_or_default();
    Ok(unused(&own, taken).parse()?)
}
