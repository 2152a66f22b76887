//! What an image by somebody's own Dockerfile says of itself, beside what its service says of it.

use super::user;
use base::error::Fault;
use model::name::ServiceName;
use model::system::{Probe, Service};
use model::volume;
use tools::oci::Image;

/// The signal by which services are told to end.
const STOP: [&str; 3] = ["", "SIGTERM", "15"];

/// Whether it can run as the service is to run.
///
/// # Errors
/// `image-user`, when it is to run as root, or as a user that only the image knows.
pub(super) fn check(name: &str, image: &Image, service: &Service) -> Result<(), Fault> {
    let as_named: Vec<ServiceName> =
        service.container.takes_user_of_image().then(|| service.name.clone()).into_iter().collect();
    user::check(name, &image.user, &as_named)
}

/// What will not be as the image has it, a line each.
pub(super) fn notes(image: &Image, service: &Service) -> Vec<String> {
    let mut notes = Vec::new();
    if !image.ports.is_empty() && !service.port.is_some_and(|port| image.ports.contains(&port)) {
        let ports: Vec<String> = image.ports.iter().map(u16::to_string).collect();
        let own = service.port.map_or("it has no `port`".to_owned(), |port| format!("its port is {port}"));
        notes.push(format!("its image exposes {}, and {own}", ports.join(", ")));
    }
    let kept = volume::all(&service.container, service.uses_data().then(|| service.data()));
    let is_kept = |volume: &&String| {
        service.container.writable.contains(*volume) || kept.values().any(|kept| kept.at == **volume)
    };
    for volume in image.volumes.iter().filter(|volume| !is_kept(volume)) {
        notes.push(format!("its image has a volume at `{volume}`, which is neither `writable` nor one of its volumes"));
    }
    notes.extend(health(image, service));
    if !STOP.contains(&image.stop_signal.as_str()) {
        notes.push(format!("its image is made to end by {}; in containers it is told by SIGTERM", image.stop_signal));
    }
    notes
}

/// Nobody asks as the image would have it; where a connection is all that `ready` takes, that would be to know more.
pub fn health(image: &Image, service: &Service) -> Option<String> {
    let is_weak = matches!(&service.ready, Probe::Tcp { send: None, .. });
    let (form, words) = image.health.split_first().filter(|_| is_weak)?;
    let command = if form == "CMD" { format!("{words:?}") } else { words.join(" ") };
    Some(format!("its image has a `HEALTHCHECK`, `{command}`, which nobody asks; `ready` may say the same of it"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn service(file: &str) -> Service {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let root = std::env::temp_dir().join(format!("xtask-contradiction-{}-{count}", std::process::id()));
        std::fs::create_dir_all(root.join("deploy/systems")).unwrap();
        std::fs::create_dir_all(root.join("a")).unwrap();
        std::fs::write(root.join("a/Dockerfile"), "FROM x").unwrap();
        let head = "description = 'x'\n[services.a]\ndockerfile = 'a'\nport = 80\nready = { tcp = {} }\n";
        std::fs::write(root.join("deploy/systems/a.toml"), format!("{head}{file}")).unwrap();
        std::fs::write(root.join("deploy/images.toml"), "").unwrap();
        let spec = model::load(&root).unwrap();
        std::fs::remove_dir_all(root).unwrap();
        spec.systems[0].services[0].clone()
    }

    fn image(config: &str) -> Image {
        Image::parse(&format!("[{{\"Id\": \"x\", \"Config\": {config}}}]")).remove(0)
    }

    #[test]
    fn what_an_image_says_is_held_against_its_service() {
        let image =
            image(r#"{"ExposedPorts": {"8080/tcp": {}}, "Volumes": {"/data": {}, "/x": {}}, "StopSignal": "SIGQUIT"}"#);
        assert_eq!(
            notes(&image, &service("[services.a.container]\nwritable = ['/x']\n")),
            [
                "its image exposes 8080, and its port is 80",
                "its image has a volume at `/data`, which is neither `writable` nor one of its volumes",
                "its image is made to end by SIGQUIT; in containers it is told by SIGTERM",
            ]
        );
        assert_eq!(
            check("a/Dockerfile", &image, &service("")).unwrap_err().cause,
            "`a/Dockerfile` runs as `root`, and `a` names no other user"
        );
        for container in ["user = '1'", "allow = { root = true, why = 'x' }"] {
            assert_eq!(check("a/Dockerfile", &image, &service(&format!("container = {{ {container} }}"))), Ok(()));
        }
    }

    #[test]
    fn an_image_that_says_nothing_contradicts_nothing() {
        let image = image(r#"{"User": "65532", "ExposedPorts": {"80/tcp": {}}}"#);
        assert_eq!(notes(&image, &service("")), [""; 0]);
        let image =
            self::image(r#"{"User": "1", "Healthcheck": {"Test": ["CMD-SHELL", "curl -f localhost || exit 1"]}}"#);
        let told = "its image has a `HEALTHCHECK`, `curl -f localhost || exit 1`, which nobody asks; `ready` may say the same of it";
        assert_eq!(notes(&image, &service("")), [told]);
        let image = self::image(r#"{"User": "1", "Healthcheck": {"Test": ["CMD", "redis-cli", "ping"]}}"#);
        assert!(notes(&image, &service("")).remove(0).contains(r#"`["redis-cli", "ping"]`"#));
        let none = self::image(r#"{"User": "1", "Healthcheck": {"Test": ["NONE"]}}"#);
        assert_eq!(notes(&none, &service("")), [""; 0]);
        assert_eq!(check("a/Dockerfile", &image, &service("")), Ok(()));
    }
}
