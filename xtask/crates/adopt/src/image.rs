//! From a public image, as its trial showed it.

use crate::compose::{own_folder, volume, writable};
use crate::confinement::{Said, confine};
use crate::folder::called;
use crate::look::Looked;
use crate::names::image_name;
use crate::sketch::{Place, Probe, Secret, Service, Sketch, Source};
use crate::trial::Trial;
use crate::{Repository, known};
use anyhow::Result;
use base::error::Fault;
use model::image::ImagePin;
use model::name::SystemName;
use std::collections::BTreeMap;

/// The system with the one service that runs an image.
///
/// # Errors
/// When nothing tells where it listens.
pub fn sketch(
    repository: &Repository<'_>,
    pin: &ImagePin,
    name: SystemName,
    looked: &Looked,
    trial: &Trial,
) -> Result<Sketch> {
    let mut images = BTreeMap::new();
    let image = image_name(pin, repository.images, &images);
    if !repository.images.contains_key(&image) {
        images.insert(image.clone(), pin.clone());
    }
    let mut service = Service::new(called(repository, &name)?, Source::Image(image));
    let usual = known::port(pin.repository.as_str());
    let listens = trial.port(&looked.ports).or_else(|| looked.ports.first().copied()).or(usual);
    let Some(port) = listens else {
        let said = if trial.words.is_empty() { String::new() } else { format!("; it said:\n{}", trial.words) };
        let cause = format!("`{pin}` names no port, and on its trial it listened on none{said}");
        return Err(Fault::failed("no-port", cause).hint("write its file by hand; README, Add a service").into());
    };
    service.port = Some(port);
    ports(&mut service, looked, trial, port);
    service.public = known::is_http(port) && (trial.answer.is_some() || !trial.serves());
    service.container.low_ports = port < 1024;
    service.container.memory = known::memory(pin.repository.as_str()).parse().ok();
    service.note(Place::Container, "What it may use is a guess: nobody has measured it.");
    for at in &looked.volumes {
        volume(&mut service, at, at);
    }
    let mut secrets = BTreeMap::new();
    for (variable, value) in known::variables(pin.repository.as_str(), "${secret.password}") {
        service
            .note(Place::Env, format!("It does not run without `{variable}`; this one is made with the deployment."));
        service.env.insert(variable.to_owned(), value);
        secrets.insert("password".to_owned(), Secret::Generated);
    }
    own_folder(&mut service, Some(pin.repository.as_str()));
    match trial.serves() {
        true => as_tried(&mut service, looked, trial),
        false => in_vain(&mut service, trial),
    }
    if trial.loose || !trial.serves() {
        loosened(&mut service, looked, trial);
    }
    if !["", "SIGTERM", "15"].contains(&looked.stop_signal.as_str()) {
        let note = format!("It is made to end by {}; here services are told by SIGTERM.", looked.stop_signal);
        service.note(Place::Service, note);
    }
    Ok(Sketch {
        description: format!("The public image {}", pin.repository),
        from: pin.to_string(),
        notes: Vec::new(),
        services: vec![service],
        jobs: Vec::new(),
        secrets,
        images,
        copies: Vec::new(),
        name,
    })
}

fn ports(service: &mut Service, looked: &Looked, trial: &Trial, port: u16) {
    let others: Vec<String> = trial.ports.iter().filter(|other| **other != port).map(u16::to_string).collect();
    if !others.is_empty() {
        let note = format!("It listened on {}, too: `[services.NAME.ports]` in place of `port`.", others.join(", "));
        service.note(Place::Port, note);
    }
    if trial.serves() && !looked.ports.is_empty() && !looked.ports.contains(&port) {
        let exposed: Vec<String> = looked.ports.iter().map(u16::to_string).collect();
        let note = format!("It says that it listens on {}, and on its trial it did on {port}.", exposed.join(", "));
        service.note(Place::Port, note);
    }
}

/// It ran confined as every container here is: it needs no more than that.
fn as_tried(service: &mut Service, looked: &Looked, trial: &Trial) {
    let how = match trial.loose {
        true => {
            let said = last_words(trial);
            format!("It was run once. Confined as services are it ended{said}, so it had what is allowed below.")
        }
        false => "It was run once, confined as here, without a network of others; what it showed is below.".to_owned(),
    };
    service.note(Place::Service, how);
    match trial.answer {
        Some(status) if (200..400).contains(&status) => {
            service.ready = Probe::Http("/".to_owned());
            service.answers = Some(status);
        }
        Some(status) => {
            service.note(
                Place::Ready,
                format!("It answered `GET /` with {status}, so it is ready when it takes connections."),
            );
            service.answers = Some(status);
        }
        None => service.note(Place::Ready, "It took connections and did not answer `GET /`."),
    }
    trial.writable.iter().for_each(|path| writable(service, path));
    if !service.container.writable.is_empty() {
        service.note(Place::Writable, "Without these it ended. They are in memory, and gone with it.");
    }
    service.container.user = trial.user;
    if let (Some(user), false) = (trial.user, looked.user.parse::<model::container::User>().is_ok()) {
        let own = if looked.user.is_empty() { "root" } else { &looked.user };
        service.note(Place::User, format!("Its image names {own}; it ran as {user} as well."));
    }
}

/// It did not run at all, and people are told.
fn in_vain(service: &mut Service, trial: &Trial) {
    let note = format!("It was run once, and ended{}. It may need variables, or others.", last_words(trial));
    service.note(Place::Service, note);
}

/// The last that it said without leave for more.
fn last_words(trial: &Trial) -> String {
    let lines: Vec<&str> = trial.words.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let tells = |line: &&&str| {
        let line = line.to_lowercase();
        ["denied", "error", "fail", "fatal", "read-only"].iter().any(|word| line.contains(word))
    };
    let last = lines.iter().rfind(tells).or(lines.last()).copied().unwrap_or_default().replace('`', "'");
    let last: String = last.chars().filter(|c| !c.is_control()).take(200).collect();
    if last.is_empty() { " before it listened".to_owned() } else { format!(" with \"{last}\"") }
}

/// It has what it has elsewhere.
fn loosened(service: &mut Service, looked: &Looked, trial: &Trial) {
    let by = "its image";
    let said = Said {
        user: Some(&looked.user),
        by,
        read_only: false,
        added: Vec::new(),
        all_dropped: false,
        tried: trial.loose,
        users: &looked.users,
    };
    confine(service, &said);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render;
    use model::image::ImagePins;
    use std::collections::BTreeSet;
    use std::path::Path;

    fn rendered(looked: &Looked, trial: &Trial) -> String {
        let (images, public) = (ImagePins::new(), BTreeSet::new());
        let repository = Repository { root: Path::new("/"), images: &images, public: &public };
        let pin = "docker.io/library/nginx:1.28".parse().unwrap();
        render(&sketch(&repository, &pin, "front".parse().unwrap(), looked, trial).unwrap())
    }

    #[test]
    fn what_a_trial_showed_is_written_down() {
        let looked = Looked { ports: [80].into(), stop_signal: "SIGQUIT".to_owned(), ..Looked::default() };
        let trial = Trial {
            ports: [80, 81].into(),
            user: "101:101".parse().ok(),
            writable: vec!["/run".to_owned(), "/var/cache/nginx".to_owned()],
            answer: Some(200),
            ..Trial::default()
        };
        let text = rendered(&looked, &trial);
        for line in [
            "image = \"nginx\"\n# It listened on 81, too: `[services.NAME.ports]` in place of `port`.\nport = 80\npublic = true\n",
            "ready = { http = \"/\" }",
            "# Its image names root; it ran as 101:101 as well.\nuser = \"101:101\"\nlow_ports = true\n",
            "writable = [\"/run\", \"/var/cache/nginx\"]",
            "# It is made to end by SIGQUIT",
            "status = 200",
        ] {
            assert!(text.contains(line), "no `{line}` in\n{text}");
        }
        assert!(!text.contains("allow"), "{text}");
    }

    #[test]
    fn what_did_not_run_has_what_it_had() {
        let looked = Looked { ports: [5432].into(), volumes: ["/var/lib/x".to_owned()].into(), ..Looked::default() };
        let trial = Trial { words: "a\nno password is set".to_owned(), ..Trial::default() };
        let text = rendered(&looked, &trial);
        for line in ["and ended with \"no password is set\"", "port = 5432", "allow = { root = true", "\"/var/lib/x\""]
        {
            assert!(text.replace("\n# ", " ").contains(line), "no `{line}` in\n{text}");
        }
        assert!(!text.contains("public = true"), "{text}");
    }
}
