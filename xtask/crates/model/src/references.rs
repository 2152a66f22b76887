//! Checks that what templates refer to exists, and is there when it is needed.

use super::commit;
use super::error::find;
use super::name::ServiceName;
use super::service_file::{DraftService, PlacedTemplate, Role};
use super::system::{Presence, Reference, Service};
use std::collections::BTreeMap;
use std::path::Path;

/// The services of one system by name: all that its file declares, those that could not be read without their
/// content.
pub(super) type Roster<'s> = BTreeMap<&'s str, Option<&'s Service>>;

/// Reports every reference of a service's templates that leads nowhere.
pub(super) fn check(draft: &DraftService<'_>, roster: &Roster<'_>, root: &Path) {
    draft.templates.iter().for_each(|placed| check_template(&draft.service, placed, roster, root));
}

/// The same of one template, for a service of which it is given.
pub(super) fn check_template(service: &Service, placed: &PlacedTemplate<'_>, roster: &Roster<'_>, root: &Path) {
    for reference in placed.template.references() {
        if let Err(message) = check_one(service, placed, reference, roster, root) {
            placed.at.report(message);
        }
    }
}

fn check_one(
    service: &Service,
    placed: &PlacedTemplate<'_>,
    reference: &Reference,
    roster: &Roster<'_>,
    root: &Path,
) -> Result<(), String> {
    use Reference::{Address, FurtherPort, Host, Port, PublicUrl};
    let for_others = matches!(reference, Host | Port | FurtherPort(_) | Reference::Secret(_));
    if placed.role == Role::Provided && !for_others {
        return Err("others get this, so it may only hold `${host}`, `${port}` and `${secret.NAME}`".to_owned());
    }
    match reference {
        Address | Host | Port | PublicUrl if service.port.is_none() => Err(format!("`{}` has no `port`", service.name)),
        Address | Host | Port | PublicUrl | Reference::Data => Ok(()),
        FurtherPort(name) => {
            find(name, "port", "further ports of this service", service.ports.keys().map(String::as_str))
        }
        Reference::Secret(name) => {
            let secrets = service.secrets.keys().map(String::as_str);
            find(name, "secret", "secrets of this service", secrets)?;
            hidden(placed.role)
        }
        Reference::File(name) => {
            let files = service.files.keys().map(String::as_str);
            find(name, "file", "files of this service", files)
        }
        Reference::Commit if placed.role == Role::Variable => commit::check_checkout(root),
        Reference::Commit => Err("the commit is told by `env`, and by `args` of `build`".to_owned()),
        Reference::Provided { service: of, name } => check_provided(service, placed.role, of, name, roster),
    }
}

/// Refuses a secret where everybody would see it.
fn hidden(role: Role) -> Result<(), String> {
    match role {
        Role::Argument => {
            Err("arguments are seen by everybody on the machine; give the secret in `env`, or in a file".to_owned())
        }
        Role::Variable | Role::File | Role::Provided => Ok(()),
    }
}

fn check_provided(
    service: &Service,
    role: Role,
    of: &ServiceName,
    name: &str,
    roster: &Roster<'_>,
) -> Result<(), String> {
    let names = roster.keys().copied();
    find(of.as_str(), "service", "services of this system", names)?;
    if !service.needs.contains(of) {
        return Err(format!("refers to `{of}`, which is not in `needs` of `{}`", service.name));
    }
    let Some(needed) = roster.get(of.as_str()).copied().flatten() else {
        return Ok(());
    };
    if needed.port.is_none() && !needed.provides.contains_key(name) {
        return Err(format!("refers to `{of}`, which has no `port` to be reached on"));
    }
    let provided = needed.provides.keys().map(String::as_str);
    find(name, "name", &format!("names that `{of}` provides"), provided)?;
    let template = needed.provides.get(name);
    if template.is_some_and(|template| template.references().any(|one| matches!(one, Reference::Secret(_)))) {
        hidden(role)?;
    }
    let always_there =
        needed.presence == Presence::Always && needed.managed.is_none() && needed.targets.is_superset(&service.targets);
    if role == Role::Variable || always_there {
        return Ok(());
    }
    Err(format!("refers to `{of}`, which may be absent; only a variable in `env` is left out then"))
}
