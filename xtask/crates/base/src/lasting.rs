//! Values as text that is hashed, and the hash recorded: it has to stay the same for as long as the records do, whatever
//! the standard library makes of `{:?}`. It looks the way `{:?}` did when the first of them were made.

use std::collections::BTreeMap;
use std::fmt::Write;

/// What can be written so.
pub trait Lasting {
    fn write(&self, out: &mut String);
}

pub fn text(value: &(impl Lasting + ?Sized)) -> String {
    let mut out = String::new();
    value.write(&mut out);
    out
}

impl Lasting for str {
    /// What is not ASCII stands for itself: which of it `{:?}` escapes depends on the version of Unicode.
    fn write(&self, out: &mut String) {
        out.push('"');
        for c in self.chars() {
            match c {
                '"' | '\\' => out.extend(['\\', c]),
                '\0' => out.push_str("\\0"),
                '\t' => out.push_str("\\t"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                // Writing to a string cannot fail.
                c if c.is_ascii_control() => drop(write!(out, "\\u{{{:x}}}", u32::from(c))),
                c => out.push(c),
            }
        }
        out.push('"');
    }
}

impl Lasting for String {
    fn write(&self, out: &mut String) {
        self.as_str().write(out);
    }
}

impl<T: Lasting> Lasting for Vec<T> {
    fn write(&self, out: &mut String) {
        out.push('[');
        for (at, value) in self.iter().enumerate() {
            out.push_str(if at == 0 { "" } else { ", " });
            value.write(out);
        }
        out.push(']');
    }
}

impl<V: Lasting> Lasting for BTreeMap<String, V> {
    fn write(&self, out: &mut String) {
        out.push('{');
        for (at, (name, value)) in self.iter().enumerate() {
            out.push_str(if at == 0 { "" } else { ", " });
            name.write(out);
            out.push_str(": ");
            value.write(out);
        }
        out.push('}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_looks_as_recorded() {
        let list = ["", "it's", "\"\\\t\n\r\0\u{1b}\u{7f}", "schön"].map(str::to_owned).to_vec();
        assert_eq!(text(&list), "[\"\", \"it's\", \"\\\"\\\\\\t\\n\\r\\0\\u{1b}\\u{7f}\", \"schön\"]");
        assert_eq!(text(&vec![list[..2].to_vec(), Vec::new()]), "[[\"\", \"it's\"], []]");
        let map = BTreeMap::from([("PORT".to_owned(), "80".to_owned()), ("A".to_owned(), "b".to_owned())]);
        assert_eq!(text(&map), "{\"A\": \"b\", \"PORT\": \"80\"}");
        assert_eq!(text(&BTreeMap::<String, String>::new()), "{}");
    }

    #[test]
    fn different_values_never_look_alike() {
        let of = |values: &[&str]| text(&values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>());
        assert_ne!(of(&["a\", \"b"]), of(&["a", "b"]));
        assert_ne!(of(&["\\n"]), of(&["\n"]));
        assert_ne!(of(&["\\u{1b}"]), of(&["\u{1b}"]));
    }
}
