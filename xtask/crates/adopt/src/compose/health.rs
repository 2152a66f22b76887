//! `healthcheck`: what of it a probe can ask.

use super::yaml::Node;

/// What is made of a health check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Health {
    /// The path that it asks for at the service's port.
    pub(crate) path: Option<String>,
    /// The command, as words.
    pub(crate) command: Vec<String>,
    /// How long it may take until the service is healthy, in seconds.
    pub(crate) within: Option<u64>,
}

impl Health {
    /// `None` where there is no check, or one that is switched off.
    pub(crate) fn read(node: &Node, port: Option<u16>, plain: &dyn Fn(&str) -> String) -> Option<Self> {
        let command = words(node.get("test"), plain)?;
        let seconds = |key: &str, default: u64| {
            node.get(key).text().map(plain).and_then(|text| seconds(&text)).unwrap_or(default)
        };
        let retries = node.get("retries").text().map(plain).and_then(|text| text.parse().ok()).unwrap_or(3);
        let start: u64 = seconds("start_period", 0);
        let within = start.saturating_add(seconds("interval", 30).saturating_mul(retries));
        Some(Self { path: path(&command, port), command, within: Some(within.clamp(30, 3600)) })
    }

    /// The same of what stands behind `HEALTHCHECK` in a Dockerfile.
    pub(crate) fn of_dockerfile(text: &str, port: Option<u16>) -> Option<Self> {
        let (_, command) = text.split_once("CMD")?;
        let command = command.trim();
        let listed: Option<Vec<String>> = serde_json::from_str(command).ok();
        let command = listed.unwrap_or_else(|| shell(command));
        Some(Self { path: path(&command, port), command, within: None })
    }
}

/// How a container names itself.
const OWN: [&str; 4] = ["localhost", "127.0.0.1", "0.0.0.0", "[::1]"];

fn words(test: &Node, plain: &dyn Fn(&str) -> String) -> Option<Vec<String>> {
    let words = match test {
        Node::Text(text) => shell(&plain(text)),
        Node::List(items) => {
            let mut words = items.iter().filter_map(Node::text).map(plain);
            match words.next()?.as_str() {
                "NONE" => return None,
                "CMD-SHELL" => shell(&words.collect::<Vec<_>>().join(" ")),
                "CMD" => words.collect(),
                first => std::iter::once(first.to_owned()).chain(words).collect(),
            }
        }
        _ => return None,
    };
    let words: Vec<String> = words.into_iter().filter(|word| !word.is_empty()).collect();
    (!words.is_empty()).then_some(words)
}

fn shell(line: &str) -> Vec<String> {
    ["/bin/sh", "-c", line].map(str::to_owned).to_vec()
}

/// The path that a command has curl or wget ask for of the service itself.
fn path(command: &[String], port: Option<u16>) -> Option<String> {
    let line = command.join(" ");
    if !line.contains("curl") && !line.contains("wget") {
        return None;
    }
    let mut words = line.split(|c: char| c.is_whitespace() || "'\"|;&)".contains(c));
    // Both take an address without a scheme, too.
    let url = words.find_map(|word| {
        let bare = OWN.iter().any(|host| word.strip_prefix(host).is_some_and(|rest| rest.starts_with([':', '/'])));
        word.strip_prefix("http://").or_else(|| bare.then_some(word))
    })?;
    let (host, path) = url.find('/').map_or((url, "/"), |at| url.split_at(at));
    let (host, at) = host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).unwrap_or((host, "80"));
    let is_own = OWN.contains(&host) && at.parse().ok() == port;
    let plain = path.chars().all(|c| c.is_ascii_graphic());
    (is_own && plain).then(|| path.to_owned())
}

/// A time such as `1m30s`, in whole seconds.
pub(crate) fn seconds(text: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];
    let mut rest = text.trim();
    let mut sum = 0_u64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let (_, each) = UNITS.iter().find(|(name, _)| *name == unit)?;
        sum = sum.checked_add(number.parse::<u64>().ok()?.checked_mul(*each)?)?;
        rest = after;
    }
    Some(sum.div_ceil(1000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::yaml;

    fn read(text: &str) -> Option<Health> {
        Health::read(&yaml::read(text).unwrap(), Some(8000), &str::to_owned)
    }

    #[test]
    fn what_asks_the_service_itself_is_a_path() {
        for (test, path) in [
            ("test: curl -f http://localhost:8000/health || exit 1", Some("/health")),
            ("test: [CMD, wget, -q, 'http://127.0.0.1:8000']", Some("/")),
            ("test: [CMD-SHELL, 'curl http://localhost:9000/x']", None),
            ("test: [CMD, curl, -f, 'http://db:8000/x']", None),
            ("test: [CMD-SHELL, 'curl -f localhost:8000/up || exit 1']", Some("/up")),
            ("test: [CMD, pg_isready]", None),
        ] {
            assert_eq!(read(test).unwrap().path.as_deref(), path, "{test}");
        }
        assert_eq!(read("test: [NONE]"), None);
        assert_eq!(read("disable: true"), None);
    }

    #[test]
    fn times_and_commands_are_those_of_compose() {
        let health =
            read("{test: [CMD-SHELL, pg_isready -U x], interval: 1m30s, retries: 5, start_period: 500ms}").unwrap();
        assert_eq!(health.command, ["/bin/sh", "-c", "pg_isready -U x"]);
        assert_eq!(health.within, Some(451));
        assert_eq!([seconds("2h"), seconds("10"), seconds("x"), seconds("")], [Some(7200), None, None, Some(0)]);
        let of =
            Health::of_dockerfile("--interval=5s CMD [\"curl\", \"http://localhost:8000/up\"]", Some(8000)).unwrap();
        assert_eq!(of.path.as_deref(), Some("/up"));
    }
}
