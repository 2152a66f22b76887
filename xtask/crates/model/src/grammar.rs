//! The grammars of texts from outside that stay texts. Each check's error follows the key of its value.

use super::error::quoted;
use base::http::{Url, is_path};

/// Whether shells take it as the name of a variable.
pub(super) fn is_variable(name: &str) -> bool {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(first) && name.chars().all(|c| first(c) || c.is_ascii_digit())
}

/// The name of an environment variable that a spec may set for an image, as engines and clusters take it.
pub(super) fn check_any_variable(name: &str) -> Result<(), String> {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    if name.starts_with(first) && name.chars().all(|c| first(c) || c.is_ascii_digit() || c == '.' || c == '-') {
        return Ok(());
    }
    Err("not the name of a variable: letters, digits, `_`, `.` and `-`, the first a letter or `_`".to_owned())
}

/// The same for what services of this repository have, too: they go by what the target tells them.
pub(super) fn check_variable(name: &str) -> Result<(), String> {
    check_any_variable(name)?;
    if name == "PORT" || name.starts_with("LISTEN_") {
        return Err("set by the target, which knows where the service listens".to_owned());
    }
    Ok(())
}

/// The name of a volume becomes part of names in engines and clusters.
pub(super) fn check_volume(name: &str) -> Result<(), String> {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let valid = name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(inner) && !name.ends_with('-');
    if valid && name.len() <= 40 {
        return Ok(());
    }
    Err("not the name of a volume: 1 to 40 lower-case letters, digits and inner hyphens, the first a letter".to_owned())
}

pub(super) fn check_word(name: &str) -> Result<(), String> {
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(inner) {
        return Ok(());
    }
    Err("not a name: letters, digits, `_` and `-`".to_owned())
}

pub(super) fn check_file_name(name: &str) -> Result<(), String> {
    let inner = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let plain = !name.is_empty() && name.chars().all(inner);
    if plain && !name.starts_with(['.', '-']) && name.len() <= 100 {
        return Ok(());
    }
    Err(format!(
        "{} is not a plain file name: up to 100 letters, digits, `.`, `_` and `-`, the first a letter, digit or `_`",
        quoted(name)
    ))
}

/// Passed to pip as an argument, where a leading hyphen would make it an option.
pub(super) fn check_requirement(text: &str) -> Result<(), String> {
    let printable = text.chars().all(|c| c.is_ascii_graphic());
    if printable && text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.contains("==") {
        return Ok(());
    }
    Err(format!("{} is not a pinned requirement such as `moto[server]==5.2.5`", quoted(text)))
}

pub(super) fn check_url(text: &str) -> Result<(), String> {
    text.parse::<Url>().map(|_| ())
}

/// The path and query of a request, as it goes on the wire.
pub(super) fn check_path(text: &str) -> Result<(), String> {
    if is_path(text) {
        return Ok(());
    }
    Err(format!(
        "{} is not a path: it starts with `/`, and anything but printable ASCII is percent-encoded",
        quoted(text)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_what_engines_and_clusters_take_and_targets_leave_alone() {
        for name in ["A", "_", "REDIS_URL", "a1", "discovery.type", "A-B"] {
            assert_eq!(check_variable(name), Ok(()), "{name}");
        }
        for name in ["", "1A", ".a", "-a", "A=B", "A B", "Ä"] {
            assert!(check_any_variable(name).is_err(), "{name}");
        }
        for name in ["PORT", "LISTEN_ADDRESS", "LISTEN_FDS"] {
            assert!(check_variable(name).is_err(), "{name}");
            assert_eq!(check_any_variable(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn file_names_lead_nowhere_else() {
        for name in ["redis.conf", "moto_server", "a"] {
            assert_eq!(check_file_name(name), Ok(()), "{name}");
        }
        for name in ["", ".", "..", "a/b", "../a", "-rf", ".hidden", "a b", &"x".repeat(101)] {
            assert!(check_file_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn paths_are_ready_for_the_wire() {
        for path in ["/", "/a/b?c=d", "/%20", "/${random}"] {
            assert_eq!(check_path(path), Ok(()), "{path}");
        }
        for path in ["", "a", "/a b", "/ä", "/a#b", "/\r\n"] {
            assert!(check_path(path).is_err(), "{path}");
        }
    }

    #[test]
    fn requirements_are_pinned_and_no_options() {
        assert_eq!(check_requirement("moto[server]==5.2.5"), Ok(()));
        for text in ["moto", "--index-url=x==1", "moto ==1", ""] {
            assert!(check_requirement(text).is_err(), "{text}");
        }
    }
}
