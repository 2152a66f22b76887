//! What a Dockerfile says of the service that is made of it. Bases from elsewhere say nothing here: nobody asks an engine.
//!
//! Source of the grammar: <https://docs.docker.com/reference/dockerfile/>.

use std::collections::{BTreeMap, BTreeSet};

/// What a stage says, with the stages that it is made from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Said {
    /// As `USER` has it; `None` where nothing says so.
    pub(crate) user: Option<String>,
    /// The ports of TCP that it exposes, in their order.
    pub(crate) ports: Vec<u16>,
    pub(crate) volumes: BTreeSet<String>,
    pub(crate) folder: Option<String>,
    pub(crate) health: Option<String>,
    pub(crate) stop_signal: Option<String>,
    /// The image from elsewhere that it begins with.
    pub(crate) base: Option<String>,
    /// The users that it makes, with their numbers where those are said.
    pub(crate) users: BTreeMap<String, String>,
}

/// What the stage `target` says, or the last one.
pub(crate) fn read(text: &str, target: Option<&str>, args: &BTreeMap<String, String>) -> Said {
    let mut stages: Vec<(Option<String>, Said)> = Vec::new();
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    for line in instructions(text) {
        let (keyword, rest) = line.split_once(char::is_whitespace).unwrap_or((&line, ""));
        let rest = rest.trim();
        match (keyword.to_uppercase().as_str(), stages.last_mut()) {
            ("FROM", _) => {
                let stage = from(&filled(rest, &known), &stages);
                stages.push(stage);
            }
            ("ARG", _) => {
                let (name, value) = rest.split_once('=').unwrap_or((rest, ""));
                let value = args.get(name).map_or(value, String::as_str);
                known.insert(name.to_owned(), unquoted(value).to_owned());
            }
            ("ENV", Some(_)) => variables(rest, &mut known),
            (keyword, Some((_, said))) => instruction(keyword, &filled(rest, &known), said),
            _ => {}
        }
    }
    let wanted = |(name, _): &&(Option<String>, Said)| target.is_none_or(|target| name.as_deref() == Some(target));
    stages.iter().rev().find(wanted).map(|(_, said)| said.clone()).unwrap_or_default()
}

/// The stage that a `FROM` begins: its name, and what it takes over.
fn from(rest: &str, stages: &[(Option<String>, Said)]) -> (Option<String>, Said) {
    let words: Vec<&str> = rest.split_whitespace().filter(|word| !word.starts_with("--")).collect();
    let base = words.first().copied().unwrap_or_default();
    let name = words.get(2).filter(|_| words.get(1).is_some_and(|word| word.eq_ignore_ascii_case("as")));
    let earlier = stages.iter().find(|(name, _)| name.as_deref() == Some(base));
    let said = match earlier {
        Some((_, said)) => said.clone(),
        None => Said { base: Some(base.to_owned()), ..Said::default() },
    };
    (name.map(|name| (*name).to_owned()), said)
}

fn instruction(keyword: &str, rest: &str, said: &mut Said) {
    match keyword {
        "USER" => said.user = Some(unquoted(rest).to_owned()),
        "EXPOSE" => {
            let tcp = |word: &str| word.strip_suffix("/tcp").unwrap_or(word).parse::<u16>().ok();
            said.ports.extend(rest.split_whitespace().filter_map(tcp));
        }
        "VOLUME" => {
            let listed: Option<Vec<String>> = serde_json::from_str(rest).ok();
            let words = || rest.split_whitespace().map(str::to_owned).collect();
            said.volumes.extend(listed.unwrap_or_else(words).into_iter().filter(|path| path.starts_with('/')));
        }
        "WORKDIR" => {
            let path = unquoted(rest).trim_end_matches('/');
            let before = said.folder.clone().unwrap_or_default();
            said.folder = Some(if path.starts_with('/') { path.to_owned() } else { format!("{before}/{path}") });
        }
        "HEALTHCHECK" => said.health = Some(rest.to_owned()),
        "STOPSIGNAL" => said.stop_signal = Some(rest.to_owned()),
        "RUN" => said.users.extend(made_user(rest)),
        _ => {}
    }
}

/// The user that a command line makes, with the number that it says.
fn made_user(rest: &str) -> Option<(String, String)> {
    let command = rest.split(['&', ';', '\n']).find(|part| part.contains("useradd") || part.contains("adduser"))?;
    let words: Vec<&str> = command.split_whitespace().collect();
    let number = words.iter().enumerate().find_map(|(index, word)| match *word {
        "-u" | "--uid" => words.get(index + 1).copied(),
        word => word.strip_prefix("--uid="),
    })?;
    let number = unquoted(number);
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit()) && !number.is_empty();
    let name = words.last()?;
    is_number.then(|| ((*name).to_owned(), number.to_owned()))
}

fn variables(rest: &str, known: &mut BTreeMap<String, String>) {
    match rest.split_once('=') {
        // The older form has one variable.
        None => {
            let pair = rest.split_once(char::is_whitespace);
            known.extend(pair.map(|(name, value)| (name.to_owned(), value.trim().to_owned())));
        }
        Some(_) => {
            let words = shlex::split(rest).unwrap_or_default();
            let pair = |word: &String| word.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
            known.extend(words.iter().filter_map(pair));
        }
    }
}

/// With what is known of its variables: `$NAME`, `${NAME}` and `${NAME:-default}`.
fn filled(text: &str, known: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let inner = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let (name, default, left) = match after.strip_prefix('{').and_then(|inside| inside.split_once('}')) {
            Some((inside, left)) => {
                let (name, default) = inside.split_once(":-").unwrap_or((inside, ""));
                (name, default, left)
            }
            None => {
                let (name, left) = after.split_at(after.find(|c| !inner(c)).unwrap_or(after.len()));
                (name, "", left)
            }
        };
        let value = known.get(name).filter(|value| !value.is_empty());
        out.push_str(value.map_or(default, String::as_str));
        rest = left;
    }
    out.push_str(rest);
    out
}

/// The instructions, a line each, without comments and the texts of here-documents.
fn instructions(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut line = String::new();
    let mut until: Option<String> = None;
    for part in text.lines() {
        if let Some(end) = &until {
            if part.trim() == end {
                until = None;
            }
            continue;
        }
        let part = part.trim();
        if part.is_empty() || part.starts_with('#') {
            continue;
        }
        match part.strip_suffix('\\') {
            Some(more) => {
                line.push_str(more);
                line.push(' ');
            }
            None => {
                line.push_str(part);
                until = here_document(&line);
                found.push(std::mem::take(&mut line));
            }
        }
    }
    found.extend((!line.is_empty()).then_some(line));
    found
}

/// The word that ends the text which an instruction goes on with.
fn here_document(line: &str) -> Option<String> {
    let keyword = line.split_whitespace().next()?;
    let takes_one = ["RUN", "COPY", "ADD"].iter().any(|word| keyword.eq_ignore_ascii_case(word));
    let (_, after) = line.split_once("<<").filter(|_| takes_one)?;
    let word: String = after
        .trim_start_matches('-')
        .trim_start_matches(['"', '\''])
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
        .collect();
    (!word.is_empty()).then_some(word)
}

fn unquoted(text: &str) -> &str {
    text.trim().trim_matches(['"', '\''])
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# syntax=docker/dockerfile:1\nARG TAG=3\nFROM --platform=$BUILDPLATFORM python:${TAG} AS builder\n\
        EXPOSE 8000/tcp 9/udp\nWORKDIR /app \nRUN <<EOF\nUSER nobody\nEOF\nRUN useradd \\\n  # a comment\n  -m --uid 1001 app\n\
        HEALTHCHECK CMD curl -f http://localhost:8000/health\nFROM builder AS dev\nUSER app\nENV P=9000\nEXPOSE $P\n\
        WORKDIR src\nVOLUME [\"/data\", \"/more\"]\nFROM scratch\nCOPY --from=builder /x /x\n";

    #[test]
    fn a_stage_says_what_the_stages_before_it_say() {
        let none = BTreeMap::new();
        let builder = read(FILE, Some("builder"), &none);
        assert_eq!((builder.user, builder.ports, builder.folder.as_deref()), (None, vec![8000], Some("/app")));
        assert_eq!(builder.base.as_deref(), Some("python:3"));
        assert!(builder.health.is_some_and(|health| health.contains("/health")));
        let dev = read(FILE, Some("dev"), &none);
        assert_eq!((dev.user.as_deref(), &dev.ports[..]), (Some("app"), &[8000, 9000][..]));
        assert_eq!((dev.folder.as_deref(), dev.users["app"].as_str()), (Some("/app/src"), "1001"));
        assert_eq!(dev.volumes.into_iter().collect::<Vec<_>>(), ["/data", "/more"]);
        let last = read(FILE, None, &none);
        assert_eq!((last.base.as_deref(), last.user, last.ports), (Some("scratch"), None, vec![]));
        let args = BTreeMap::from([("TAG".to_owned(), "4".to_owned())]);
        assert_eq!(read(FILE, Some("builder"), &args).base.as_deref(), Some("python:4"));
    }
}
