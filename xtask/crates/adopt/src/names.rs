//! Names that a file can have, from those that others gave.

use model::image::ImagePin;
use model::image::ImagePins;
use std::collections::BTreeMap;

/// Longer ones are no names.
const LONGEST: usize = 40;

/// What of a text can be the name of a system, a service or a volume; `None` when nothing can.
pub fn name_of(text: &str) -> Option<String> {
    let lower = text.to_lowercase();
    let words: Vec<&str> = lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let mut name = words.join("-");
    name.truncate(LONGEST);
    let name = name.trim_end_matches('-');
    (!name.is_empty()).then(|| name.to_owned())
}

/// What can be the name of a volume, which begins with a letter.
pub(crate) fn volume_of(text: &str) -> String {
    let name = name_of(text).unwrap_or_default();
    let name = name.trim_start_matches(|c: char| !c.is_ascii_lowercase());
    if name.is_empty() { "data".to_owned() } else { name.to_owned() }
}

/// What can be the name of a file or of a secret.
pub(crate) fn file_of(path: &str) -> String {
    let last = path.rsplit('/').find(|part| !part.is_empty()).unwrap_or("file");
    let inner = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let name: String = last.chars().map(inner).collect();
    let name = name.trim_start_matches(['.', '-']);
    if name.is_empty() { "file".to_owned() } else { name.chars().take(100).collect() }
}

/// One that is not among those that are taken.
pub(crate) fn unused(name: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    std::iter::once(name.to_owned()).chain(numbered).find(|name| !is_taken(name)).unwrap_or_default()
}

/// A reference as engines guess it, written out: `nginx` is `docker.io/library/nginx:latest`.
///
/// # Errors
/// Why it is none.
pub fn reference(text: &str) -> Result<ImagePin, String> {
    let (name, digest) = text.split_once('@').map_or((text, None), |(name, digest)| (name, Some(digest)));
    let has_host =
        |name: &str| name.split_once('/').is_some_and(|(host, _)| host.contains(['.', ':']) || host == "localhost");
    let name = match (has_host(name), name.contains('/')) {
        (true, _) => name.to_owned(),
        (false, true) => format!("docker.io/{name}"),
        (false, false) => format!("docker.io/library/{name}"),
    };
    let tagged = name.rsplit('/').next().is_some_and(|last| last.contains(':'));
    let name = if tagged { name } else { format!("{name}:latest") };
    let full = digest.map_or_else(|| name.clone(), |digest| format!("{name}@{digest}"));
    full.parse()
}

/// The name that an image has in `deploy/images.toml`, or a new one.
pub(crate) fn image_name(pin: &ImagePin, known: &ImagePins, new: &BTreeMap<String, ImagePin>) -> String {
    let same = |other: &ImagePin| {
        let as_named = other.repository == pin.repository && other.tag == pin.tag;
        as_named && (pin.digest.is_none() || other.digest == pin.digest)
    };
    let known = || known.iter();
    if let Some((name, _)) = known().chain(new.iter()).find(|(_, other)| same(other)) {
        return name.clone();
    }
    let taken = |name: &str| known().any(|(known, _)| known == name) || new.contains_key(name);
    let path = pin.repository.path();
    let last = name_of(path.rsplit('/').next().unwrap_or(path)).unwrap_or_else(|| "image".to_owned());
    if !taken(&last) {
        return last;
    }
    let tagged = name_of(&format!("{last}-{}", pin.tag)).unwrap_or_else(|| last.clone());
    unused(&tagged, taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_of_what_can_be_in_them() {
        for (text, name) in [
            ("vote", Some("vote")),
            ("My_App.Web", Some("my-app-web")),
            ("--x--", Some("x")),
            ("…", None),
            (&"a".repeat(50), Some(&*"a".repeat(40))),
        ] {
            assert_eq!(name_of(text).as_deref(), name, "{text}");
        }
        assert_eq!(["db_data", "9", "/var/lib/x"].map(volume_of), ["db-data", "data", "var-lib-x"]);
        assert_eq!(["./a/nginx.conf", "/.env", "a b"].map(file_of), ["nginx.conf", "env", "a-b"]);
    }

    #[test]
    fn references_are_written_out() {
        for (text, full) in [
            ("nginx", "docker.io/library/nginx:latest"),
            ("nginx:1.28", "docker.io/library/nginx:1.28"),
            ("redislabs/redismod", "docker.io/redislabs/redismod:latest"),
            ("localhost:5000/a/b", "localhost:5000/a/b:latest"),
            ("ghcr.io/a/b:c", "ghcr.io/a/b:c"),
        ] {
            assert_eq!(reference(text).unwrap().to_string(), full, "{text}");
        }
        assert!(reference("No such").is_err() && reference("").is_err());
    }

    #[test]
    fn an_image_keeps_the_name_that_it_has() {
        let pin = |text: &str| reference(text).unwrap();
        let known: ImagePins = [("cache".to_owned(), pin("redis:7.4")), ("redis".to_owned(), pin("redis:6"))].into();
        let name = |text: &str| image_name(&pin(text), &known, &BTreeMap::new());
        assert_eq!(["redis:7.4", "redis:8", "nginx"].map(name), ["cache", "redis-8", "nginx"]);
    }
}
