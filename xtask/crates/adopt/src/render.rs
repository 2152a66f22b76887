//! The text of a system's file.

use crate::sketch::{Allow, Content, File, Job, Place, Probe, Secret, Service, Sketch, Source};
use std::collections::BTreeMap;

/// Comments are broken where a line would be longer.
const WIDTH: usize = 110;
/// How long a system may take to answer after its services are ready.
const ANSWERS_WITHIN: &str = "30s";

/// What tells editors which keys there are.
const SCHEMA: &str = "#:schema ../../docs/system.schema.json";

/// The file of a system.
pub fn render(sketch: &Sketch) -> String {
    let mut text = Text::default();
    text.line(SCHEMA);
    text.note(&format!(
        "Made from `{}` by `cargo xtask add`. Read the comments: each says what was found, or what could not be carried \
         over and why. Nothing of it reaches the internet unless it says so: `reaches = [\"internet:443\"]`. \
         `cargo xtask deploy {}` takes it from here.",
        sketch.from, sketch.name
    ));
    sketch.notes.iter().for_each(|note| text.note(note));
    text.blank();
    text.line(&format!("description = {}", quoted(&sketch.description)));
    secrets(&mut text, &sketch.secrets);
    let runs = |name: &str| sketch.services.iter().any(|service| service.name.as_str() == name);
    for service in &sketch.services {
        text.blank();
        text.0.push_str(&table(service, &runs).0);
    }
    sketch.jobs.iter().for_each(|one| job(&mut text, one, &runs));
    smoke(&mut text, sketch);
    text.0
}

fn job(text: &mut Text, job: &Job, runs: &dyn Fn(&str) -> bool) {
    text.blank();
    job.notes.iter().for_each(|note| text.note(note));
    text.line(&format!("[jobs.{}]", job.name));
    text.line(&format!("of = {}", quoted(job.of.as_str())));
    for (key, words) in [("command", &job.command), ("args", &job.args)] {
        if !words.is_empty() {
            text.line(&format!("{key} = {}", list(words)));
        }
    }
    let needs: Vec<String> = job.needs.iter().filter(|need| runs(need)).cloned().collect();
    text.line(&format!("needs = {}", list(&needs)));
    text.line("when = \"before\"");
}

fn secrets(text: &mut Text, secrets: &BTreeMap<String, Secret>) {
    if secrets.is_empty() {
        return;
    }
    text.blank();
    text.line("[secrets]");
    for (name, secret) in secrets {
        let from = match secret {
            Secret::Env(variable) => format!("from = \"env\", name = {}", quoted(variable)),
            Secret::File(path) => format!("from = \"file\", name = {}", quoted(path)),
            Secret::Generated => "from = \"generated\"".to_owned(),
        };
        text.line(&format!("{} = {{ {from} }}", key(name)));
    }
}

/// The table of a service, with those below it.
fn table(service: &Service, runs: &dyn Fn(&str) -> bool) -> Text {
    let mut text = Text::default();
    let name = &service.name;
    text.notes(service, Place::Service);
    text.line(&format!("[services.{name}]"));
    text.notes(service, Place::Source);
    match &service.source {
        Source::Dockerfile { folder, .. } => text.line(&format!("dockerfile = {}", quoted(folder))),
        Source::Image(image) => text.line(&format!("image = {}", quoted(image))),
    }
    reached(&mut text, service, runs);
    text.notes(service, Place::Targets);
    if service.only_containers {
        text.line("targets = [\"containers\"]");
    }
    text.notes(service, Place::Replicas);
    if let Some(replicas) = service.replicas {
        text.line(&format!("replicas = {replicas}"));
    }
    text.notes(service, Place::Ready);
    text.line(&format!("ready = {}", ready(service)));
    for (key, seconds) in [("ready_within", service.ready_within), ("stop_within", service.stop_within)] {
        if let Some(seconds) = seconds {
            text.line(&format!("{key} = \"{seconds}s\""));
        }
    }
    text.notes(service, Place::Args);
    if !service.args.is_empty() {
        text.line(&format!("args = {}", list(&service.args)));
    }
    ports(&mut text, service);
    build(&mut text, service);
    env(&mut text, service);
    files(&mut text, service);
    container(&mut text, service);
    text
}

/// How others reach it, and whom it needs.
fn reached(text: &mut Text, service: &Service, runs: &dyn Fn(&str) -> bool) {
    text.notes(service, Place::Port);
    if let Some(port) = service.port.filter(|_| service.ports.is_empty()) {
        text.line(&format!("port = {port}"));
        if let Some(port) = host_port(service) {
            text.line(&format!("host_port = {port}"));
        }
    }
    text.notes(service, Place::Public);
    if service.public {
        text.line("public = true");
    }
    if !service.aliases.is_empty() {
        text.line(&format!("aliases = {}", list(&service.aliases)));
    }
    text.notes(service, Place::Needs);
    let needs: Vec<String> = service.needs.iter().filter(|need| runs(need)).cloned().collect();
    if !needs.is_empty() {
        text.line(&format!("needs = {}", list(&needs)));
    }
}

/// The port of the machine, where that is another one.
fn host_port(service: &Service) -> Option<u16> {
    service.host_port.filter(|port| service.port != Some(*port))
}

/// Where it listens, where that is several ports.
fn ports(text: &mut Text, service: &Service) {
    let Some(port) = service.port.filter(|_| !service.ports.is_empty()) else { return };
    let of_machine = |port: Option<u16>| port.map(|port| format!(", host_port = {port}")).unwrap_or_default();
    let mut lines = text.told(service, Place::Ports);
    lines.push(format!("main = {{ port = {port}{} }}", of_machine(host_port(service))));
    for (name, port) in &service.ports {
        let speaks = if port.speaks.is_udp() { ", speaks = \"udp\"" } else { "" };
        let host_port = of_machine(Some(port.host_port).filter(|host_port| *host_port != port.port));
        lines.push(format!("{} = {{ port = {}{host_port}{speaks} }}", key(name), port.port));
    }
    text.table(&format!("services.{}.ports", service.name), lines);
}

fn ready(service: &Service) -> String {
    match (&service.ready, service.port) {
        (Probe::Command(words), _) => format!("{{ command = {} }}", list(words)),
        (_, None) => "{ runs = \"5s\" }".to_owned(),
        (Probe::Http(path), _) => format!("{{ http = {} }}", quoted(path)),
        (Probe::Tcp, _) => "{ tcp = {} }".to_owned(),
    }
}

fn build(text: &mut Text, service: &Service) {
    let Source::Dockerfile { file, target, args, .. } = &service.source else { return };
    let mut lines = Vec::new();
    lines.extend(file.as_ref().map(|file| format!("file = {}", quoted(file))));
    lines.extend(target.as_ref().map(|target| format!("target = {}", quoted(target))));
    if !args.is_empty() {
        let args: Vec<String> = args.iter().map(|(name, value)| format!("{} = {}", key(name), quoted(value))).collect();
        lines.push(format!("args = {{ {} }}", args.join(", ")));
    }
    if !service.build_secrets.is_empty() {
        lines.push(format!("secrets = {}", list(&service.build_secrets)));
    }
    text.table(&format!("services.{}.build", service.name), lines);
}

fn env(text: &mut Text, service: &Service) {
    let line = |(name, value): (&String, &String)| format!("{} = {}", key(name), quoted(value));
    let mut lines = text.told(service, Place::Env);
    lines.extend(service.env.iter().map(line));
    text.table(&format!("services.{}.env", service.name), lines);
}

fn files(text: &mut Text, service: &Service) {
    let line = |(name, file): (&String, &File)| {
        let content = match &file.content {
            Content::From(path) => format!("from = {}", quoted(path)),
            Content::Text(template) => format!("text = {}", quoted(template)),
        };
        format!("{} = {{ {content}, at = {} }}", key(name), quoted(&file.at))
    };
    let mut lines = text.told(service, Place::Files);
    lines.extend(service.files.iter().map(line));
    text.table(&format!("services.{}.files", service.name), lines);
}

fn container(text: &mut Text, service: &Service) {
    let container = &service.container;
    let mut lines = text.told(service, Place::Container);
    lines.extend(container.memory.map(|memory| format!("memory = \"{memory}\"")));
    lines.extend(container.cpu.map(|cpu| format!("cpu = \"{cpu}\"")));
    lines.extend(text.told(service, Place::User));
    lines.extend(container.user.map(|user| format!("user = \"{user}\"")));
    if container.low_ports {
        lines.push("low_ports = true".to_owned());
    }
    lines.extend(text.told(service, Place::Writable));
    if !container.writable.is_empty() {
        lines.push(format!("writable = {}", list(&container.writable)));
    }
    lines.extend(text.told(service, Place::Volumes));
    if !container.volumes.is_empty() {
        let volumes: Vec<_> =
            container.volumes.iter().map(|(name, at)| format!("{} = {}", key(name), quoted(at))).collect();
        lines.push(format!("volumes = {{ {} }}", volumes.join(", ")));
    }
    if !container.entrypoint.is_empty() {
        lines.push(format!("entrypoint = {}", list(&container.entrypoint)));
    }
    if !container.health.is_empty() {
        lines.push(format!("health = {}", list(&container.health)));
    }
    lines.extend(text.told(service, Place::Allow));
    lines.extend(container.allow.as_ref().map(allowed));
    text.table(&format!("services.{}.container", service.name), lines);
}

fn allowed(allow: &Allow) -> String {
    let mut parts = Vec::new();
    if allow.root {
        parts.push("root = true".to_owned());
    }
    if allow.writable_root {
        parts.push("writable_root = true".to_owned());
    }
    if !allow.capabilities.is_empty() {
        parts.push(format!("capabilities = {}", list(&allow.capabilities)));
    }
    parts.push(format!("why = {}", quoted(&allow.why)));
    format!("allow = {{ {} }}", parts.join(", "))
}

/// A first check of each public service: that it answers. What it answers is for people to say.
fn smoke(text: &mut Text, sketch: &Sketch) {
    let public: Vec<&Service> = sketch.services.iter().filter(|service| service.public).collect();
    if public.is_empty() {
        text.blank();
        text.note(
            "No service is public, so nothing is asked of them but to be ready. A check is `[[smoke]]` with a `name`, \
             `service` and `request = \"GET /\"`.",
        );
    }
    for service in &public {
        text.blank();
        text.line("[[smoke]]");
        text.line(&format!("name = {}", quoted(&format!("{} answers", service.name))));
        // Another one may become public.
        if sketch.services.len() > 1 {
            text.line(&format!("service = {}", quoted(service.name.as_str())));
        }
        check(text, service);
        text.line(&format!("within = \"{ANSWERS_WITHIN}\""));
    }
}

fn check(text: &mut Text, service: &Service) {
    let path = if let Probe::Http(path) = &service.ready { path } else { "/" };
    text.line(&format!("request = {}", quoted(&format!("GET {path}"))));
    let asked = matches!(service.ready, Probe::Http(_)).then_some(200);
    match service.answers.or(asked) {
        Some(status) => text.line(&format!("status = {status}")),
        None => {
            text.note("Any answer below 500 will do until `status = 200`, a text or `json = { … }` says which is the right one.");
            text.line("contains = \"\"");
        }
    }
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    fn blank(&mut self) {
        if !self.0.is_empty() {
            self.0.push('\n');
        }
    }

    fn note(&mut self, note: &str) {
        wrapped(note).iter().for_each(|line| self.line(line));
    }

    fn notes(&mut self, service: &Service, place: Place) {
        service.notes.at(place).for_each(|note| self.note(note));
    }

    /// The notes at a place, as lines.
    fn told(&self, service: &Service, place: Place) -> Vec<String> {
        service.notes.at(place).flat_map(wrapped).collect()
    }

    /// A table with these lines, or its comments alone where nothing else is in it.
    fn table(&mut self, name: &str, lines: Vec<String>) {
        if lines.is_empty() {
            return;
        }
        self.blank();
        if lines.iter().all(|line| line.starts_with('#')) {
            self.line(&commented(&format!("[{name}]")));
        } else {
            self.line(&format!("[{name}]"));
        }
        lines.iter().for_each(|line| self.line(line));
    }
}

fn commented(line: &str) -> String {
    if line.is_empty() || line.starts_with('#') { line.to_owned() } else { format!("# {line}") }
}

/// A comment, in lines.
fn wrapped(note: &str) -> Vec<String> {
    let mut lines = vec!["#".to_owned()];
    for word in note.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() == 1 || line.chars().count() + 1 + word.chars().count() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(format!("# {word}")),
        }
    }
    lines
}

fn list(words: &[String]) -> String {
    format!("[{}]", words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(", "))
}

/// A key, bare where it can be.
fn key(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(bare) { name.to_owned() } else { quoted(name) }
}

/// A text on one line, as TOML has it.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_back_as_they_were() {
        for text in ["", "a \"b\" \\c", "1\n2\t3\r4\u{7f}5\u{1b}", "ä 'x' ${port}"] {
            let line = format!("x = {}", quoted(text));
            let (table, errors) = toml::de::DeTable::parse_recoverable(&line);
            assert!(errors.is_empty(), "{line}");
            assert_eq!(table.get_ref()["x"].get_ref().as_str(), Some(text));
        }
    }

    #[test]
    fn comments_are_broken_between_words() {
        let lines = wrapped(&"word ".repeat(60));
        assert!(lines.len() > 2 && lines.iter().all(|line| line.starts_with("# ") && line.len() <= WIDTH), "{lines:?}");
    }
}
