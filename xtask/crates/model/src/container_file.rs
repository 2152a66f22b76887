//! Reads `[services.NAME.container]`: what a service's container is given.

use super::allowance;
use super::container::Container;
use super::decode::{Table, Value};
use super::volume::{self, Volumes};

/// Of an image nothing is known; those of crates have their user, their data and their health command.
const OF_IMAGES: [&str; 9] =
    ["user", "allow", "writable", "low_ports", "data", "volumes", "entrypoint", "command", "health"];

pub(super) fn read(value: &Value<'_>, is_foreign: bool) -> Option<Container> {
    value.table(|table| {
        if !is_foreign {
            let there = OF_IMAGES.into_iter().filter_map(|key| table.optional(key));
            there.for_each(|value| value.report("not for a crate; images of crates set it themselves"));
            return limits(table);
        }
        let default = Container::default();
        let volumes = volume::read(table);
        let data = table.optional("data").and_then(|value| {
            if volumes.contains_key(volume::DATA) {
                value.report("is one of `volumes`, too");
            }
            value.checked(&check_folder)
        });
        let data = data.or_else(|| Some(volumes.get(volume::DATA)?.at.clone())).unwrap_or(default.data);
        Container {
            user: table.optional("user").and_then(|value| {
                let parsed = value.scalar()?.parse();
                parsed.map_err(|error: String| value.report(error)).ok()
            }),
            writable: read_writable(table, &data, &volumes),
            low_ports: table.optional("low_ports").and_then(|value| value.boolean()).unwrap_or(default.low_ports),
            data,
            volumes,
            entrypoint: read_words(table, "entrypoint"),
            command: read_words(table, "command"),
            health: read_words(table, "health"),
            allow: allowance::read(table),
            ..limits(table)
        }
    })
}

/// What every container has.
fn limits(table: &Table<'_>) -> Container {
    let default = Container::default();
    Container {
        memory: table.optional("memory").and_then(|value| value.parse()).unwrap_or(default.memory),
        cpu: table.optional("cpu").and_then(|value| value.parse()).unwrap_or(default.cpu),
        ..default
    }
}

/// Folders, of which an engine mounts one file system over each, and others over `data` and `volumes`.
fn read_writable(table: &Table<'_>, data: &str, volumes: &Volumes) -> Vec<String> {
    let mut folders: Vec<String> = Vec::new();
    for value in read_list(table, "writable") {
        match value.checked(&check_folder) {
            Some(folder) if volumes.values().any(|volume| volume.at == folder) => {
                value.report(format!("`{folder}` is one of `volumes`, too"));
            }
            Some(folder) if folder == data || folders.contains(&folder) => {
                value.report(format!("`{folder}` is named twice, there or as `data`"));
            }
            Some(folder) => folders.push(folder),
            None => {}
        }
    }
    folders
}

/// The arguments of a program. An empty one would be a slip.
fn read_words(table: &Table<'_>, key: &'static str) -> Vec<String> {
    let check = |text: &str| if text.is_empty() { Err("is empty".to_owned()) } else { Ok(()) };
    read_list(table, key).iter().filter_map(|value| value.checked(&check)).collect()
}

fn read_list<'d>(table: &Table<'d>, key: &'static str) -> Vec<Value<'d>> {
    table.optional(key).and_then(|value| value.list()).unwrap_or_default()
}

/// A folder that an engine can mount something over.
pub(super) fn check_folder(text: &str) -> Result<(), String> {
    let part = |part: &str| !part.is_empty() && part != "." && part != "..";
    let absolute = text.strip_prefix('/').is_some_and(|rest| rest.split('/').all(part));
    // These separate the parts of an engine's argument.
    let plain = !text.contains([',', ':', '\n', '\0']);
    if absolute && plain { Ok(()) } else { Err(format!("`{text}` is not the path of a folder such as `/var/cache`")) }
}

#[cfg(test)]
mod tests {
    use super::check_folder;

    #[test]
    fn only_what_an_engine_can_mount_something_over_is_a_folder() {
        for text in ["/tmp", "/var/cache/nginx", "/a b", "/..a"] {
            assert_eq!(check_folder(text), Ok(()), "{text}");
        }
        for text in ["", "/", "tmp", "./tmp", "/tmp/", "//tmp", "/tmp/./x", "/a/../b", "/a:ro", "/a,size=1", "/a\nb"] {
            assert!(check_folder(text).is_err(), "{text}");
        }
    }
}
