//! Reads `[services.NAME.container]`: what a service's container is given.

use super::container::Container;
use super::decode::Value;

/// Of an image nothing is known; those of this repository have their user, their data and their health command.
pub(super) fn read(value: &Value<'_>, is_image: bool) -> Option<Container> {
    value.table(|table| {
        let default = Container::default();
        for key in ["user", "writable", "low_ports", "data", "command", "health"] {
            if let Some(value) = table.optional(key).filter(|_| !is_image) {
                value.report("only for a service with `image`; images of crates have theirs");
            }
        }
        let list = |key, check| {
            let values = table.optional(key).and_then(|value| value.list()).unwrap_or_default();
            values.iter().filter_map(|value| value.checked(check)).collect()
        };
        Container {
            memory: table.optional("memory").and_then(|value| value.parse()).unwrap_or(default.memory),
            cpu: table.optional("cpu").and_then(|value| value.parse()).unwrap_or(default.cpu),
            user: table
                .optional("user")
                .and_then(|value| value.scalar()?.parse().map_err(|error: String| value.report(error)).ok()),
            writable: list("writable", &check_folder),
            low_ports: table.optional("low_ports").and_then(|value| value.boolean()).unwrap_or(default.low_ports),
            data: table.optional("data").and_then(|value| value.checked(&check_folder)).unwrap_or(default.data),
            command: list("command", &check_word),
            health: list("health", &check_word),
        }
    })
}

/// An argument of a program. An empty one would be a slip.
fn check_word(text: &str) -> Result<(), String> {
    if text.is_empty() { Err("is empty".to_owned()) } else { Ok(()) }
}

/// A folder that an engine can mount something over.
fn check_folder(text: &str) -> Result<(), String> {
    let part = |part: &str| !part.is_empty() && part != "." && part != "..";
    let absolute = text.strip_prefix('/').is_some_and(|rest| rest.split('/').all(part));
    // These separate the parts of an engine's argument.
    let plain = !text.contains([',', ':', '\n', '\0']);
    if absolute && plain { Ok(()) } else { Err(format!("`{text}` is not the path of a folder such as `/var/cache`")) }
}
