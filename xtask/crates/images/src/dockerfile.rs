//! What a Dockerfile says of the images that it begins with. Only these are understood here; the rest is the engine's.
//!
//! Source of the grammar: <https://docs.docker.com/reference/dockerfile/>.

use std::collections::BTreeMap;
use std::ops::Range;

/// A Dockerfile, with the images that its stages are made of.
#[derive(Debug, Clone)]
pub(super) struct Dockerfile {
    text: String,
    stages: Vec<Stage>,
}

#[derive(Debug, Clone)]
struct Stage {
    name: Option<String>,
    uses: Vec<Use>,
    /// Where what follows its `FROM` stands in the text.
    begins: usize,
}

/// An image or a stage that a stage takes something from.
#[derive(Debug, Clone)]
struct Use {
    /// With its arguments filled in; `None` when one of them is not known.
    image: Option<String>,
    /// Where it stands in the text.
    at: Range<usize>,
    on_builder: bool,
}

/// An image from elsewhere that a build takes something from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Base {
    /// As the Dockerfile calls it, with its arguments filled in.
    pub(super) name: String,
    /// It is to be for the machine that builds.
    pub(super) on_builder: bool,
}

/// The base that is none.
const SCRATCH: &str = "scratch";

impl Dockerfile {
    /// `args` are the values that win over the defaults of `ARG`.
    pub(super) fn read(mut text: String, args: &BTreeMap<String, String>) -> Self {
        if !text.ends_with('\n') {
            text.push('\n');
        }
        let mut known = BTreeMap::new();
        let mut stages: Vec<Stage> = Vec::new();
        for instruction in instructions(&text) {
            let words = &instruction.words;
            let Some((keyword, rest)) = words.split_first() else { continue };
            match (keyword.text.to_uppercase().as_str(), stages.last_mut()) {
                ("ARG", None) => rest.iter().for_each(|word| declare(&word.text, args, &mut known)),
                ("FROM", _) => stages.extend(stage(&instruction, &known)),
                ("COPY" | "ADD" | "RUN", Some(stage)) => {
                    let taken = rest.iter().take_while(|word| word.text.starts_with("--"));
                    stage.uses.extend(taken.filter_map(|flag| source(flag, &known)));
                }
                _ => {}
            }
        }
        Self { text, stages }
    }

    /// The images from elsewhere that building `target` takes, or the last stage.
    ///
    /// # Errors
    /// When there is no such stage.
    pub(super) fn bases(&self, target: Option<&str>) -> Result<Vec<Base>, String> {
        let last = self.stages.len().checked_sub(1).ok_or("it has no `FROM`")?;
        let end = match target {
            Some(name) => self.stage(name).ok_or_else(|| self.no_stage(name))?,
            None => last,
        };
        let (mut pending, mut seen, mut bases) = (vec![end], Vec::new(), Vec::new());
        while let Some(index) = pending.pop() {
            if seen.contains(&index) {
                continue;
            }
            seen.push(index);
            for used in &self.stages[index].uses {
                let Some(name) = &used.image else { continue };
                match self.stage_before(index, name) {
                    Some(stage) => pending.push(stage),
                    None if name == SCRATCH => {}
                    None => bases.push(Base { name: name.clone(), on_builder: used.on_builder }),
                }
            }
        }
        bases.sort();
        bases.dedup();
        Ok(bases)
    }

    fn no_stage(&self, name: &str) -> String {
        let names: Vec<String> =
            self.stages.iter().filter_map(|stage| Some(format!("`{}`", stage.name.as_ref()?))).collect();
        match names.is_empty() {
            true => format!("it has no stage `{name}`, and none that is named"),
            false => format!("it has no stage `{name}`; its stages: {}", names.join(", ")),
        }
    }

    fn stage(&self, name: &str) -> Option<usize> {
        let named = |stage: &Stage| stage.name.as_ref().is_some_and(|own| own.eq_ignore_ascii_case(name));
        self.stages.iter().rposition(named).or_else(|| name.parse().ok().filter(|index| *index < self.stages.len()))
    }

    /// The stage that a stage means by a name: one that comes before it.
    fn stage_before(&self, index: usize, name: &str) -> Option<usize> {
        let named = |stage: &Stage| stage.name.as_ref().is_some_and(|own| own.eq_ignore_ascii_case(name));
        let before = &self.stages[..index];
        before.iter().rposition(named).or_else(|| name.parse().ok().filter(|number| *number < index))
    }

    /// The text with other names for the images from elsewhere.
    pub(super) fn renamed(&self, name: impl Fn(&str) -> String) -> String {
        let mut text = self.text.clone();
        let all =
            self.stages.iter().enumerate().flat_map(|(index, stage)| stage.uses.iter().map(move |one| (index, one)));
        let all: Vec<(usize, &Use)> = all.collect();
        for (index, used) in all.into_iter().rev() {
            let Some(image) = used.image.as_deref().filter(|image| *image != SCRATCH) else { continue };
            if self.stage_before(index, image).is_none() {
                text.replace_range(used.at.clone(), &name(image));
            }
        }
        text
    }

    /// The text with a `LABEL` at the beginning of each stage.
    pub(super) fn labelled(&self, label: &str) -> String {
        let mut text = self.text.clone();
        for stage in self.stages.iter().rev() {
            text.insert_str(stage.begins, &format!("LABEL {label}\n"));
        }
        text
    }

    /// Whether it says something of a file or folder of this name.
    pub(super) fn mentions(&self, name: &str) -> bool {
        let ends = |c: Option<char>| c.is_none_or(|c| c == '/' || c.is_whitespace() || "\"',=".contains(c));
        self.text.match_indices(name).any(|(at, _)| {
            let (before, after) = (self.text[..at].chars().next_back(), self.text[at + name.len()..].chars().next());
            ends(before) && ends(after)
        })
    }
}

fn stage(from: &Instruction, known: &BTreeMap<String, String>) -> Option<Stage> {
    let words = from.words.get(1..)?;
    let flags = words.iter().take_while(|word| word.text.starts_with("--")).count();
    let image = words.get(flags)?;
    let on_builder = words[..flags].iter().any(|flag| flag.text.contains("BUILDPLATFORM"));
    let name = words.get(flags + 2).filter(|_| words[flags + 1].text.eq_ignore_ascii_case("as"));
    let base = Use { image: fill(&image.text, known), at: image.at.clone(), on_builder };
    Some(Stage { name: name.map(|name| name.text.clone()), uses: vec![base], begins: from.ends })
}

/// `--from=IMAGE`, `--mount=type=bind,from=IMAGE,…`
fn source(flag: &Word, known: &BTreeMap<String, String>) -> Option<Use> {
    let start = match flag.text.strip_prefix("--from=") {
        Some(_) => "--from=".len(),
        None if flag.text.starts_with("--mount=") => flag.text.find(",from=").map(|at| at + ",from=".len())?,
        None => return None,
    };
    let length = flag.text[start..].find(',').unwrap_or(flag.text.len() - start);
    let at = flag.at.start + start..flag.at.start + start + length;
    Some(Use { image: fill(&flag.text[start..start + length], known), at, on_builder: false })
}

fn declare(word: &str, args: &BTreeMap<String, String>, known: &mut BTreeMap<String, String>) {
    let (name, default) = match word.split_once('=') {
        Some((name, default)) => (name, fill(default.trim_matches(['"', '\'']), known)),
        None => (word, None),
    };
    if let Some(value) = args.get(name).cloned().or(default) {
        known.insert(name.to_owned(), value);
    }
}

/// The text with `$NAME`, `${NAME}`, `${NAME:-DEFAULT}` and `${NAME:+OTHER}` filled in; `None` when one is not known.
fn fill(text: &str, known: &BTreeMap<String, String>) -> Option<String> {
    let mut filled = String::new();
    let mut rest = text.trim_matches(['"', '\'']);
    while let Some((before, after)) = rest.split_once('$') {
        filled.push_str(before);
        let (reference, next) = match after.strip_prefix('{') {
            Some(inner) => inner.split_once('}')?,
            None => {
                let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
                after.split_at(end)
            }
        };
        filled.push_str(&value(reference, known)?);
        rest = next;
    }
    filled.push_str(rest);
    Some(filled)
}

fn value(reference: &str, known: &BTreeMap<String, String>) -> Option<String> {
    let set = |name: &str| known.get(name).filter(|value| !value.is_empty()).cloned();
    if let Some((name, default)) = reference.split_once(":-") {
        return set(name).or_else(|| fill(default, known));
    }
    if let Some((name, other)) = reference.split_once(":+") {
        return if set(name).is_some() { fill(other, known) } else { Some(String::new()) };
    }
    if let Some((name, default)) = reference.split_once('-') {
        return known.get(name).cloned().or_else(|| fill(default, known));
    }
    known.get(reference).cloned()
}

#[derive(Debug)]
struct Instruction {
    words: Vec<Word>,
    /// Where the next line begins.
    ends: usize,
}

/// A word of an instruction, on one line as a rule; `at` is where it begins in the file.
#[derive(Debug)]
struct Word {
    text: String,
    at: Range<usize>,
}

/// The instructions, without comments and without what is in heredocs.
fn instructions(text: &str) -> Vec<Instruction> {
    let escape = escape(text);
    let mut instructions = Vec::new();
    let mut words: Vec<Word> = Vec::new();
    let mut heredocs: Vec<String> = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let (from, content) = (start, line.trim_end());
        start += line.len();
        if let Some(end) = heredocs.first() {
            if content.trim_start_matches('\t') == end {
                heredocs.remove(0);
            }
            continue;
        }
        // Comments and empty lines do not end an instruction that goes on.
        if content.trim_start().starts_with('#') || (content.trim().is_empty() && !words.is_empty()) {
            continue;
        }
        let goes_on = content.ends_with(escape);
        words.extend(split(content.trim_end_matches(escape), from));
        if !goes_on && !words.is_empty() {
            heredocs = words.iter().filter_map(|word| heredoc(&word.text)).collect();
            instructions.push(Instruction { words: std::mem::take(&mut words), ends: start });
        }
    }
    if !words.is_empty() {
        instructions.push(Instruction { words, ends: text.len() });
    }
    instructions
}

/// What continues a line: a directive may say so before anything else.
fn escape(text: &str) -> char {
    let directives = text.lines().map_while(|line| line.trim().strip_prefix('#'));
    let named = directives.filter_map(|line| line.split_once('=')).find(|(name, _)| name.trim() == "escape");
    named.and_then(|(_, value)| value.trim().chars().next()).unwrap_or('\\')
}

fn split(line: &str, from: usize) -> Vec<Word> {
    let mut words = Vec::new();
    let mut rest = 0;
    while let Some(begin) = line[rest..].find(|c: char| !c.is_whitespace()).map(|at| rest + at) {
        let end = line[begin..].find(char::is_whitespace).map_or(line.len(), |at| begin + at);
        words.push(Word { text: line[begin..end].to_owned(), at: from + begin..from + end });
        rest = end;
    }
    words
}

/// What ends the text that a word begins: `<<EOF`, `<<-"EOF"`.
fn heredoc(word: &str) -> Option<String> {
    let at = word.find("<<").filter(|at| word[..*at].chars().all(|c| c.is_ascii_digit()))?;
    let name = word[at + 2..].trim_start_matches('-').trim_matches(['"', '\'']);
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_name.then(|| name.to_owned())
}

/// The name by which every engine means the same image: with its registry and its tag.
pub(super) fn full_name(image: &str) -> String {
    let (tagged, digest) = match image.split_once('@') {
        Some((tagged, digest)) => (tagged, Some(digest)),
        None => (image, None),
    };
    let first = tagged.split('/').next().unwrap_or_default();
    let has_host = tagged.contains('/') && (first.contains(['.', ':']) || first == "localhost");
    let placed = match (has_host, tagged.contains('/')) {
        (true, _) => tagged.to_owned(),
        (false, true) => format!("docker.io/{tagged}"),
        (false, false) => format!("docker.io/library/{tagged}"),
    };
    let has_tag = placed.rsplit('/').next().is_some_and(|last| last.contains(':'));
    match digest {
        // Not every engine takes a tag and a digest at once, and the digest alone says it all.
        Some(digest) => {
            let repository = if has_tag { placed.rsplit_once(':').map_or(&*placed, |(name, _)| name) } else { &placed };
            format!("{repository}@{digest}")
        }
        None if has_tag => placed,
        None => format!("{placed}:latest"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Dockerfile {
        Dockerfile::read(text.to_owned(), &BTreeMap::from([("TAG".to_owned(), "2".to_owned())]))
    }

    fn bases(text: &str, target: Option<&str>) -> Vec<String> {
        read(text).bases(target).unwrap().into_iter().map(|base| base.name).collect()
    }

    #[test]
    fn the_images_of_a_build_are_found() {
        for (text, expected) in [
            ("FROM python:3.11-slim", vec!["python:3.11-slim"]),
            (
                "# syntax=docker/dockerfile:1\n\nfrom golang as build\nFROM scratch\nCOPY --from=build /a /a",
                vec!["golang"],
            ),
            ("FROM a AS x\nFROM b\nFROM x", vec!["a"]),
            ("FROM a AS x\nFROM b\nCOPY --chown=1:1 --from=0 /a /a", vec!["a", "b"]),
            ("FROM b\nCOPY --from=docker.io/c:1 /a /a", vec!["b", "docker.io/c:1"]),
            ("FROM b\nRUN --mount=type=bind,from=tools,target=/t true", vec!["b", "tools"]),
            ("ARG TAG=1\nARG IMAGE=\"py:$TAG\"\nFROM ${IMAGE}-slim", vec!["py:2-slim"]),
            ("ARG OTHER\nFROM a:${OTHER:-3}", vec!["a:3"]),
            ("ARG OTHER\nFROM a:${OTHER}", vec![]),
            ("FROM \\\n  # why\n\n  a \\\n AS b\nFROM B", vec!["a"]),
            ("FROM a\nRUN <<EOF\nFROM nothing\nEOF\nFROM b", vec!["b"]),
            ("# escape=`\nFROM a AS b\nRUN x `\nFROM c\nFROM b", vec!["a"]),
        ] {
            assert_eq!(bases(text, None), expected, "{text}");
        }
        assert_eq!(bases("FROM a AS one\nFROM b AS two", Some("one")), ["a"]);
        let error = read("FROM a AS one\nFROM b AS two").bases(Some("tow")).unwrap_err();
        assert_eq!(error, "it has no stage `tow`; its stages: `one`, `two`");
        assert_eq!(read("RUN x").bases(None).unwrap_err(), "it has no `FROM`");
    }

    #[test]
    fn only_images_from_elsewhere_are_renamed() {
        let text = "ARG TAG\nFROM --platform=$BUILDPLATFORM go:$TAG AS build # x\nFROM scratch\nCOPY --from=build /a /a\n\
                    COPY --from=nginx /b /b\n";
        let expected = "ARG TAG\nFROM --platform=$BUILDPLATFORM <go:2> AS build # x\nFROM scratch\nCOPY --from=build /a /a\n\
                        COPY --from=<nginx> /b /b\n";
        assert_eq!(read(text).renamed(|image| format!("<{image}>")), expected);
        let bases = read(text).bases(Some("build")).unwrap();
        assert!(bases[0].on_builder);
    }

    #[test]
    fn each_stage_can_be_given_a_label() {
        let text = "FROM a \\\n AS b\nRUN x\nFROM b";
        assert_eq!(read(text).labelled("k=v"), "FROM a \\\n AS b\nLABEL k=v\nRUN x\nFROM b\nLABEL k=v\n");
    }

    #[test]
    fn a_name_means_the_same_everywhere() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        for (name, full) in [
            ("redis", "docker.io/library/redis:latest".to_owned()),
            ("grafana/grafana:11", "docker.io/grafana/grafana:11".to_owned()),
            ("localhost:5000/a", "localhost:5000/a:latest".to_owned()),
            ("localhost/a:1", "localhost/a:1".to_owned()),
            ("gcr.io/distroless/static", "gcr.io/distroless/static:latest".to_owned()),
            (&format!("redis:7@{digest}"), format!("docker.io/library/redis@{digest}")),
        ] {
            assert_eq!(full_name(name), full);
        }
    }

    #[test]
    fn what_it_mentions_is_a_whole_name() {
        let file = read("FROM a\nCOPY .git/HEAD /x\nADD [\"target\", \"/t\"]");
        assert!(file.mentions(".git") && file.mentions("target"));
        assert!(!file.mentions("git") && !file.mentions("tar"));
    }
}
