//! As whom a container runs and what it may do, from what is said of it by those who made it without confinement in mind.

use crate::known;
use crate::sketch::{Allow, Place, Service};
use model::container::User;
use std::collections::BTreeMap;

/// What programs that begin as root do before they are somebody else: take over folders, change the user.
pub(crate) const OF_ROOT: [&str; 5] = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"];

/// What is said of a container elsewhere.
pub(crate) struct Said<'a> {
    /// As `USER` of an image or `user` of compose have it; empty for none, `None` where nobody can tell.
    pub(crate) user: Option<&'a str>,
    /// Who says so: "its Dockerfile".
    pub(crate) by: &'a str,
    pub(crate) read_only: bool,
    pub(crate) added: Vec<String>,
    pub(crate) all_dropped: bool,
    /// It was tried, and needs this.
    pub(crate) tried: bool,
    /// The users that are known by name.
    pub(crate) users: &'a BTreeMap<String, User>,
}

/// Gives a service its user, and leave for what it had until now.
pub(crate) fn confine(service: &mut Service, said: &Said<'_>) {
    let (by, user) = (said.by, said.user.unwrap_or_default());
    let is_root = ["", "0", "root"].contains(&user.split(':').next().unwrap_or_default());
    let known = if is_root { None } else { number(user, said.users) };
    let root = known.is_none();
    let capabilities = if root && !said.all_dropped { OF_ROOT.as_slice() } else { &[] };
    let mut capabilities: Vec<String> = capabilities.iter().map(|name| (*name).to_owned()).collect();
    for name in &said.added {
        let name = name.to_uppercase();
        let name = name.trim_start_matches("CAP_");
        match name {
            "ALL" => {
                service.note(Place::Allow, "`cap_add: ALL` is not carried over; name the capabilities that it needs.");
            }
            name if capabilities.iter().any(|known| known == name) => {}
            name => capabilities.push(name.to_owned()),
        }
    }
    capabilities.sort();
    let who = match (is_root, user) {
        (true, _) if said.user.is_none() => format!("nobody could look at {by}, which may run as root"),
        (true, "") => format!("{by} names no user, so it runs as root"),
        (true, _) => format!("{by} has it run as root"),
        (false, _) if root => format!("{by} names its user `{user}`, whose number only the image knows"),
        (false, _) => String::new(),
    };
    service.container.user = known;
    let writes = match (said.read_only, said.tried) {
        (true, _) => "",
        (false, false) => "nobody has looked yet at where it writes",
        (false, true) => "without this it does not come to listen",
    };
    let why: Vec<&str> = [who.as_str(), writes].into_iter().filter(|part| !part.is_empty()).collect();
    if !root && said.read_only && capabilities.is_empty() {
        return;
    }
    let instead = match root {
        true => "Better: `user = \"65532\"` and the folders it writes to as `writable`, where it can do with that.",
        false => "Better: the folders it writes to as `writable` in place of this.",
    };
    if !said.tried {
        service.note(Place::Allow, format!("It ran without confinement before, and so it does here. {instead}"));
    }
    let why = if why.is_empty() { "the compose file adds them".to_owned() } else { why.join("; ") };
    service.container.allow = Some(Allow { root, writable_root: !said.read_only, capabilities, why });
}

/// The number of a user that is named like `app`, `1000` or `1000:1000`.
fn number(user: &str, users: &BTreeMap<String, User>) -> Option<User> {
    if let Ok(user) = user.parse() {
        return Some(user);
    }
    let name = user.split(':').next()?;
    let number = |name: &str| known::user(name).and_then(|uid| uid.to_string().parse().ok());
    users.get(name).copied().filter(|user| user.uid != 0).or_else(|| number(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sketch::Source;

    fn confined(user: &str, read_only: bool, added: &[&str]) -> Service {
        let mut service = Service::new("web".parse().unwrap(), Source::Image("web".to_owned()));
        let users = BTreeMap::from([("app".to_owned(), "1001".parse().unwrap())]);
        let added = added.iter().map(|name| (*name).to_owned()).collect();
        let said = Said {
            user: Some(user),
            by: "its Dockerfile",
            read_only,
            added,
            all_dropped: false,
            tried: false,
            users: &users,
        };
        confine(&mut service, &said);
        service
    }

    #[test]
    fn only_what_runs_as_root_may_be_root() {
        for (user, number) in
            [("1000", Some("1000:1000")), ("5:6", Some("5:6")), ("app", Some("1001:1001")), ("node", Some("1000:1000"))]
        {
            let container = confined(user, true, &[]).container;
            assert_eq!(
                (container.user.map(|user| user.to_string()).as_deref(), container.allow),
                (number, None),
                "{user}"
            );
        }
        for (user, why) in [
            ("", "its Dockerfile names no user, so it runs as root"),
            ("root", "its Dockerfile has it run as root"),
            ("0:0", "its Dockerfile has it run as root"),
            ("www", "its Dockerfile names its user `www`, whose number only the image knows"),
        ] {
            let container = confined(user, true, &[]).container;
            let allow = container.allow.unwrap();
            assert_eq!((container.user, allow.root, allow.why.as_str()), (None, true, why));
            assert_eq!(allow.capabilities, OF_ROOT);
        }
    }

    #[test]
    fn what_is_added_is_added() {
        let allow = confined("1000", false, &["NET_ADMIN", "cap_sys_time"]).container.allow.unwrap();
        assert_eq!(allow.capabilities, ["NET_ADMIN", "SYS_TIME"]);
        assert!(allow.writable_root && !allow.root);
    }
}
