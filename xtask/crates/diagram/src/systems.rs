//! The systems: who needs whom, who is reached from outside, whose they are, and what runs on which target.

use super::mermaid::{Chart, id};
use model::system::{Managed, Presence, Service, Source, System, TargetKind};

/// The services that are reached from outside.
pub(super) fn public(systems: &[System]) -> Vec<&str> {
    let services = systems.iter().flat_map(|system| &system.services);
    services.filter(|service| service.public).map(|service| service.name.as_str()).collect()
}

pub(super) fn diagram(systems: &[System]) -> String {
    let mut chart = Chart::new("LR");
    chart.actor("clients", &["clients"]);
    let mut dashed = Vec::new();
    for system in systems {
        chart.group(&id("sys", system.name.as_str()), system.name.as_str(), |chart| {
            for service in &system.services {
                draw(chart, service);
            }
        });
        let maybe = system.services.iter().filter(|service| maybe(service));
        dashed.extend(maybe.map(|service| id("svc", &service.name.apart())));
    }
    for service in systems.iter().flat_map(|system| &system.services) {
        if service.public {
            chart.line(format!("clients ==> {}", id("svc", &service.name.apart())));
        }
    }
    // Without a link a system that nobody outside calls would lie across the arrows to the others.
    for system in systems.iter().filter(|system| !system.services.iter().any(|service| service.public)) {
        let called = |service: &Service| system.services.iter().any(|other| other.needs.contains(&service.name));
        for service in system.services.iter().filter(|service| !called(service)) {
            chart.line(format!("clients ~~~ {}", id("svc", &service.name.apart())));
        }
    }
    for system in systems {
        for service in &system.services {
            for needed in &service.needs {
                let there = system.services.iter().find(|other| other.name == *needed);
                let arrow = if there.is_some_and(maybe) { "-.->" } else { "-->" };
                let [from, to] = [&service.name, needed].map(|name| id("svc", &name.apart()));
                chart.line(format!("{from} {arrow} {to}"));
            }
        }
    }
    chart.dashed(&dashed);
    chart.finish()
}

fn draw(chart: &mut Chart, service: &Service) {
    let id = id("svc", &service.name.apart());
    let further = service.ports.values().map(|further| further.port);
    let ports: Vec<String> = service.port.into_iter().chain(further).map(|port| format!(" :{port}")).collect();
    let name = format!("{}{}", service.name, ports.concat());
    let team = service.team.as_ref().map(|team| format!("team {team}"));
    let when = when(service);
    let mut lines = vec![name.as_str()];
    lines.extend(team.as_deref());
    lines.extend(when.as_deref());
    match service.source {
        Source::Crate(_) | Source::Dockerfile { .. } => chart.node(&id, &lines),
        Source::Image { .. } => chart.foreign(&id, &lines),
    }
}

/// Whether there are deployments without it.
fn maybe(service: &Service) -> bool {
    when(service).is_some()
}

fn when(service: &Service) -> Option<String> {
    let missing: Vec<_> = TargetKind::ALL.into_iter().filter(|target| !service.targets.contains(target)).collect();
    let targets = missing.iter().map(|target| target.as_str()).collect::<Vec<_>>().join(", ");
    match service.presence {
        _ if !missing.is_empty() => Some(format!("not on {targets}")),
        Presence::Always => None,
        Presence::WhenReplicated => Some("with several replicas".to_owned()),
        Presence::WhenAvailable => Some("where it can run".to_owned()),
    }
}

/// A row for each service, a column for each target.
pub(super) fn table(systems: &[System]) -> String {
    let mut rows = vec![
        "| system | service | `host` | `containers` | `kubernetes` | `eks` |".to_owned(),
        "|---|---|---|---|---|---|".to_owned(),
    ];
    for system in systems {
        for service in &system.services {
            let cells = TargetKind::ALL.map(|target| cell(service, target)).join(" | ");
            rows.push(format!("| `{}` | `{}` | {cells} |", system.name, service.name));
        }
    }
    rows.join("\n")
}

/// What runs of a service on a target.
fn cell(service: &Service, target: TargetKind) -> String {
    if !service.targets.contains(&target) {
        return "not there".to_owned();
    }
    if let Some(run) = service.run.as_ref().filter(|_| target == TargetKind::Host) {
        return format!("`{}` in `{}/`", run.program, run.dir);
    }
    match (&service.source, target) {
        (Source::Crate(name), TargetKind::Host) => format!("the program of `app/{name}`"),
        (Source::Crate(name), _) => format!("an image of `app/{name}`"),
        (Source::Image { host: None, .. } | Source::Dockerfile { host: None, .. }, TargetKind::Host) => {
            "not there".to_owned()
        }
        (Source::Image { host: Some(host), .. } | Source::Dockerfile { host: Some(host), .. }, TargetKind::Host) => {
            host.programs.iter().map(|program| format!("`{program}`")).collect::<Vec<_>>().join(" or ")
        }
        (Source::Dockerfile { build, .. }, _) => format!("an image by `{}`", build.file),
        (Source::Image { image, .. }, TargetKind::Eks) => match service.managed {
            Some(Managed::Cache) => format!("the public image `{image}`, or ElastiCache with `terraform.cache`"),
            None => format!("the public image `{image}`"),
        },
        (Source::Image { image, .. }, _) => format!("the public image `{image}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn systems() -> Vec<System> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
        model::load(&root).unwrap().systems
    }

    #[test]
    fn arrows_lead_to_what_is_public_and_to_what_is_needed() {
        let diagram = diagram(&systems());
        let has = |line: &str| diagram.lines().any(|found| found.trim() == line);
        assert!(has("clients ==> svc_epoch") && has("clients ==> svc_invoice_app"), "{diagram}");
        assert!(!has("clients ==> svc_payment_provider"), "{diagram}");
        assert!(has("svc_invoice_app --> svc_payment_provider"), "{diagram}");
        assert!(has("svc_invoice_app -.-> svc_ledger"), "only there with several replicas: {diagram}");
        assert!(has("svc_emulator[[\"emulator :5000<br/>not on eks\"]]"), "{diagram}");
    }

    #[test]
    fn the_table_says_what_runs_where() {
        let table = table(&systems());
        let row = |name: &str| table.lines().find(|row| row.contains(&format!("| `{name}` |"))).unwrap_or_default();
        assert!(row("epoch").contains("the program of `app/epoch` | an image of `app/epoch`"), "{table}");
        assert!(row("emulator").ends_with("| not there |"), "{table}");
        assert!(row("redis").contains("| `redis-server` or `valkey-server` | the public image `redis` |"), "{table}");
    }
}
