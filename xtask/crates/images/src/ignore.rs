//! `.dockerignore`: which files of a context the builder does not see, by Docker's own rules
//! (<https://docs.docker.com/build/concepts/context/#dockerignore-files>, and `moby/patternmatcher` where those are silent).

use std::path::Path;

/// The patterns of one file, in order: the last that matches decides.
#[derive(Debug, Default)]
pub(super) struct Ignored {
    patterns: Vec<Pattern>,
}

#[derive(Debug)]
struct Pattern {
    /// It takes back what an earlier one has left out.
    negates: bool,
    tokens: Vec<Token>,
    /// What a path has to begin with before anything in it varies.
    fixed: String,
}

#[derive(Debug, PartialEq)]
enum Token {
    Char(char),
    /// `?`
    One,
    /// `*`: within one name.
    Name,
    /// `**/`: any number of folders.
    Folders,
    /// `**` at the end, or right before a name: anything.
    Rest,
    /// `[a-z]`, and whether it is those that are not.
    Class(Vec<(char, char)>, bool),
}

impl Ignored {
    /// # Errors
    /// The first line that is no pattern.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let lines = text.trim_start_matches('\u{feff}').lines().filter(|line| !line.starts_with('#'));
        let lines = lines.map(str::trim).filter(|line| !line.is_empty());
        Ok(Self { patterns: lines.map(Pattern::parse).collect::<Result<_, _>>()? })
    }

    /// Whether a file is left out; the path is relative to the context. What is in a folder goes as that does.
    pub(super) fn has(&self, path: &Path) -> bool {
        let path = path.to_string_lossy();
        let folders = path.match_indices('/').map(|(at, _)| &path[..at]);
        let places: Vec<&str> = folders.chain([&*path]).collect();
        let mut ignored = false;
        for pattern in &self.patterns {
            if pattern.negates == ignored && places.iter().any(|place| pattern.matches(place)) {
                ignored = !pattern.negates;
            }
        }
        ignored
    }

    /// Whether something below a folder that is left out may be taken back.
    pub(super) fn may_take_back(&self, folder: &Path) -> bool {
        let folder = format!("{}/", folder.to_string_lossy());
        let begins = |pattern: &Pattern| pattern.fixed.starts_with(&folder) || folder.starts_with(&pattern.fixed);
        self.patterns.iter().any(|pattern| pattern.negates && begins(pattern))
    }
}

impl Pattern {
    fn parse(line: &str) -> Result<Self, String> {
        let (negates, text) = match line.strip_prefix('!') {
            Some(rest) => (true, rest.trim()),
            None => (false, line),
        };
        let cleaned = clean(text);
        if cleaned.is_empty() {
            return Err(format!("`{line}` is no pattern"));
        }
        let tokens = tokens(&cleaned).ok_or_else(|| format!("`{line}` has a `[` without its `]`"))?;
        let fixed = tokens.iter().map_while(|token| match token {
            Token::Char(c) => Some(*c),
            _ => None,
        });
        Ok(Self { negates, fixed: fixed.collect(), tokens })
    }

    fn matches(&self, path: &str) -> bool {
        let path: Vec<char> = path.chars().collect();
        matches(&self.tokens, &path)
    }
}

/// As Go's `path.Clean` has it, without the `/` that only says where the context begins.
fn clean(text: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if text.starts_with('/') => {}
            part => parts.push(part),
        }
    }
    if parts.is_empty() && !text.is_empty() { ".".to_owned() } else { parts.join("/") }
}

/// `None` when a class does not end.
fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        tokens.push(match c {
            '*' if chars.next_if_eq(&'*').is_some() => match (chars.next_if_eq(&'/').is_some(), chars.peek()) {
                (true, Some(_)) => Token::Folders,
                // At the start, and before nothing but a name, it is the end of a path that counts.
                (_, None) => Token::Rest,
                (false, Some(_)) if tokens.is_empty() => Token::Rest,
                (false, Some(_)) => Token::Folders,
            },
            '*' => Token::Name,
            '?' => Token::One,
            '[' => class(&mut chars)?,
            '\\' => Token::Char(chars.next().unwrap_or('\\')),
            c => Token::Char(c),
        });
    }
    Some(tokens)
}

fn class(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<Token> {
    let not = chars.next_if(|c| *c == '^' || *c == '!').is_some();
    let mut ranges = Vec::new();
    loop {
        let first = match chars.next()? {
            ']' if !ranges.is_empty() => return Some(Token::Class(ranges, not)),
            '\\' => chars.next()?,
            c => c,
        };
        let last = if chars.next_if_eq(&'-').is_some() { chars.next()? } else { first };
        ranges.push((first, last));
    }
}

fn matches(tokens: &[Token], path: &[char]) -> bool {
    let Some((token, rest)) = tokens.split_first() else { return path.is_empty() };
    let one = |fits: bool| fits && matches(rest, path.get(1..).unwrap_or_default());
    match token {
        Token::Char(c) => one(path.first() == Some(c)),
        Token::One => one(path.first().is_some_and(|c| *c != '/')),
        Token::Class(ranges, not) => {
            one(path.first().is_some_and(|c| ranges.iter().any(|(a, b)| (a..=b).contains(&c)) != *not))
        }
        Token::Name => {
            let name = path.iter().take_while(|c| **c != '/').count();
            (0..=name).any(|taken| matches(rest, &path[taken..]))
        }
        Token::Folders => {
            let starts = path.iter().enumerate().filter(|(_, c)| **c == '/').map(|(at, _)| at + 1);
            std::iter::once(0).chain(starts).any(|start| matches(rest, &path[start..]))
        }
        Token::Rest => (0..=path.len()).any(|taken| matches(rest, &path[taken..])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left_out(text: &str, path: &str) -> bool {
        Ignored::parse(text).unwrap().has(Path::new(path))
    }

    #[test]
    fn patterns_match_as_docker_matches_them() {
        for (text, path, expected) in [
            ("*.md", "README.md", true),
            ("*.md", "docs/README.md", false),
            ("**/*.md", "docs/a/README.md", true),
            ("**/*.md", "README.md", true),
            ("**/README.md", "xREADME.md", false),
            ("**README.md", "xREADME.md", true),
            ("*/temp*", "a/temporary.txt", true),
            ("*/temp*", "a/b/temp", false),
            ("temp?", "tempa", true),
            ("temp?", "temp", false),
            ("temp?", "temp/", false),
            ("docs", "docs/deep/file", true),
            ("docs/", "docs/file", true),
            ("/docs", "docs/file", true),
            ("./docs/../docs", "docs", true),
            ("docs/**", "docs", false),
            ("docs/**", "docs/file", true),
            ("a/**/b", "a/b", true),
            ("a/**/b", "a/x/y/b", true),
            ("a/**/b", "axb", false),
            ("[a-c]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("# a comment", "# a comment", false),
            ("  padded  ", "padded", true),
            ("\u{feff}first", "first", true),
            ("**", "any/thing", true),
            ("*", "any/thing", true),
            (".", "file", false),
        ] {
            assert_eq!(left_out(text, path), expected, "{text:?} {path}");
        }
    }

    #[test]
    fn the_last_that_matches_decides() {
        let text = "*.md\n!README*.md\nREADME-secret.md";
        for (path, expected) in [("a.md", true), ("README.md", false), ("README-secret.md", true)] {
            assert_eq!(left_out(text, path), expected, "{path}");
        }
        let text = "node_modules\n!node_modules/keep/**\n! src/!odd";
        for (path, expected) in [("node_modules/a", true), ("node_modules/keep/b", false)] {
            assert_eq!(left_out(text, path), expected, "{path}");
        }
    }

    #[test]
    fn a_folder_is_looked_into_only_for_what_may_be_taken_back() {
        let ignored = Ignored::parse("a\nb\n*.x\n!a/deep/keep").unwrap();
        let may = |folder: &str| ignored.may_take_back(Path::new(folder));
        assert!(may("a") && may("a/deep"));
        assert!(!may("b") && !may("a/other"));
        assert!(Ignored::parse("b\n!**/keep").unwrap().may_take_back(Path::new("b/c")));
        assert!(!Ignored::parse("b").unwrap().may_take_back(Path::new("b")));
    }

    #[test]
    fn what_is_no_pattern_is_named() {
        assert_eq!(Ignored::parse("a\n!").unwrap_err(), "`!` is no pattern");
        assert_eq!(Ignored::parse("[a").unwrap_err(), "`[a` has a `[` without its `]`");
    }
}
