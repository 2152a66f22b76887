//! What looks like a secret: the user and the password of an address, and what stands behind a telling name.

use super::HIDDEN;
use super::names::TELLING;

/// Beside [`TELLING`]: a value behind one of these, with `=` or `:` between them, is taken for a secret.
const PARTED: [&str; 3] = ["api_key", "access_key", "private_key"];

/// The addresses of a line: where the user of each begins, and where the `@` behind it is.
fn users(line: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(start) = line[from..].find("://") {
        let start = from + start + 3;
        let behind = &line[start..];
        let ends = |c: char| c.is_whitespace() || "/\"'?#<>`\\".contains(c);
        let authority = &behind[..behind.find(ends).unwrap_or(behind.len())];
        if let Some(at) = authority.rfind('@') {
            found.push((start, start + at));
        }
        from = start;
    }
    found
}

/// `scheme://user:password@host` without the user and the password.
pub fn userinfo(line: &str) -> String {
    let mut out = String::new();
    let mut done = 0;
    for (start, end) in users(line) {
        out.push_str(&line[done..start]);
        out.push_str(HIDDEN);
        done = end;
    }
    out + &line[done..]
}

/// The passwords in the addresses of a text, and what stands there alone.
pub(super) fn passwords(text: &str) -> Vec<&str> {
    let of = |(start, end): (usize, usize)| {
        let user = &text[start..end];
        user.split_once(':').map_or(user, |(_, password)| password)
    };
    users(text).into_iter().map(of).collect()
}

/// `password=…`, `"token": "…"`, `Authorization: Bearer …` without the value.
pub(super) fn named(line: &str) -> String {
    let lower = line.to_ascii_lowercase();
    let mut out = String::new();
    let mut done = 0;
    while let Some((start, name)) = first(&lower, done) {
        let behind = start + name.len();
        out.push_str(&line[done..behind]);
        done = behind;
        let Some(value) = value(&line[behind..], name == "authorization") else { continue };
        out.push_str(&line[behind..behind + value.0]);
        out.push_str(HIDDEN);
        done = behind + value.1;
    }
    out + &line[done..]
}

fn first(lower: &str, from: usize) -> Option<(usize, &'static str)> {
    let names = TELLING.iter().chain(&PARTED);
    let found = names.filter_map(|name| Some((from + lower.get(from..)?.find(name)?, *name)));
    found.min()
}

/// Where the value behind a name begins and ends; nothing where none follows.
fn value(behind: &str, whole_line: bool) -> Option<(usize, usize)> {
    // The rest of a longer name, the quotes around it and the sign between them.
    let sign = behind.find(|c: char| !(c.is_ascii_alphanumeric() || "_-.\"'\\".contains(c)))?;
    let is_apart = sign == 0 || behind[..sign].ends_with(char::is_alphanumeric);
    let mut at = sign;
    if behind[at..].starts_with(['=', ':']) {
        at += 1;
    } else if !(is_apart && behind[at..].starts_with(" \"")) {
        return None;
    }
    at += behind[at..].len() - behind[at..].trim_start_matches([' ', '"', '\'', '\\']).len();
    let ends =
        |c: char| if whole_line { "\"'\\\n,".contains(c) } else { c.is_whitespace() || "\"'\\,;&)}]".contains(c) };
    let length = behind[at..].find(ends).unwrap_or(behind[at..].len());
    (length > 0).then_some((at, at + length))
}
