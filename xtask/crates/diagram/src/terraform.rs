//! Reads as much of Terraform's files as a diagram needs: which file makes which resources, and which files' resources
//! it refers to.
//!
//! No parser of HCL. It counts on what `terraform fmt` sees to: a resource begins with `resource "TYPE" "NAME" {` at the
//! beginning of a line and ends with a `}` there. It takes every `TYPE.NAME` in a file for a reference if some file has
//! that resource, also inside a string; it does not follow locals, modules or outputs, a comment within a line hides
//! what comes after a ` # ` or ` // `, and a text in heredoc form may only be in a file if its lines are indented. Data
//! sources make nothing and are left out. `depends_on` says when, not what, and is left out, too.

use std::collections::{BTreeMap, BTreeSet};

/// What one file is about.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Concern {
    /// The file's name without `.tf`.
    pub(super) name: String,
    pub(super) resources: Vec<Resource>,
    /// The other concerns whose resources it refers to.
    pub(super) refers: BTreeSet<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Resource {
    pub(super) kind: String,
    pub(super) name: String,
    /// Whether a variable decides about it: by `count`, or by a `for_each` that chooses.
    pub(super) optional: bool,
}

/// The files that make something, in their order.
pub(super) fn read(files: &[(String, String)]) -> Vec<Concern> {
    let made: Vec<Vec<Resource>> = files.iter().map(|(_, text)| resources(text)).collect();
    let mut home = BTreeMap::new();
    for ((file, _), made) in files.iter().zip(&made) {
        home.extend(made.iter().map(|one| ((one.kind.as_str(), one.name.as_str()), file.as_str())));
    }
    let referred: Vec<BTreeSet<String>> = files
        .iter()
        .map(|(file, text)| {
            let found = meaning(text).into_iter().flat_map(pairs).filter_map(|pair| home.get(&pair).copied());
            found.filter(|other| other != file).map(str::to_owned).collect()
        })
        .collect();
    let concerns = files.iter().zip(made).zip(referred);
    concerns
        .filter(|((_, made), _)| !made.is_empty())
        .map(|(((name, _), resources), refers)| Concern { name: name.clone(), resources, refers })
        .collect()
}

fn resources(text: &str) -> Vec<Resource> {
    let mut made: Vec<Resource> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if let Some((kind, name)) = header(line) {
            made.push(Resource { kind: kind.to_owned(), name: name.to_owned(), optional: false });
            // A block without anything in it ends where it begins.
            inside = !line.trim_end().ends_with('}');
        } else if line.starts_with('}') {
            inside = false;
        } else if let Some(resource) = made.last_mut().filter(|_| inside) {
            // That of the resource itself; blocks within it are indented further.
            resource.optional |= line.starts_with("  count ") || line.starts_with("  for_each ") && chooses(line, text);
        }
    }
    made
}

/// Whether a `for_each` may come out empty: it has a condition, or is a local of the file that has one.
fn chooses(line: &str, text: &str) -> bool {
    let conditional = |name: &str| {
        let define = |line: &str| line.trim_start().strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '=']));
        text.lines().any(|line| define(line) && line.contains(" ? "))
    };
    let value = line.split_once('=').map(|(_, value)| value.trim()).unwrap_or_default();
    value.contains(" if ") || value.strip_prefix("local.").is_some_and(conditional)
}

/// `resource "TYPE" "NAME" {`
fn header(line: &str) -> Option<(&str, &str)> {
    let mut words = line.strip_prefix("resource ")?.split('"');
    let (_, kind, _, name) = (words.next()?, words.next()?, words.next()?, words.next()?);
    Some((kind, name))
}

/// The lines that can refer to something, without comments and `depends_on`.
fn meaning(text: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut waiting = false;
    for line in text.lines() {
        let line = line.trim();
        waiting |= line.starts_with("depends_on ");
        if waiting {
            waiting = !line.ends_with(']');
        } else if !line.starts_with('#') && !line.starts_with("//") {
            let end = [" # ", " // "].into_iter().filter_map(|mark| line.find(mark)).min();
            lines.push(end.map_or(line, |end| line.get(..end).unwrap_or(line)));
        }
    }
    lines
}

/// Every first two words of `a.b.c`.
fn pairs(line: &str) -> Vec<(&str, &str)> {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let paths = line.split(|c| !word(c));
    paths
        .filter_map(|path| {
            let mut parts = path.split('.');
            Some((parts.next()?, parts.next()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(texts: &[(&str, &str)]) -> Vec<(String, String)> {
        texts.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    const NETWORK: &str =
        "resource \"aws_vpc\" \"main\" {\n  cidr = var.x\n}\n\nresource \"aws_eip\" \"nat\" {\n  count = 1\n}\n";

    #[test]
    fn files_are_read_with_what_they_make_and_refer_to() {
        let cluster = "# aws_eip.nat\nresource \"aws_eks_cluster\" \"main\" {\n  vpc = aws_vpc.main.id\n  x {\n    count = 2\n  }\n}\n";
        let read = read(&files(&[("cluster", cluster), ("network", NETWORK), ("variables", "variable \"x\" {\n}\n")]));
        let names: Vec<_> = read.iter().map(|concern| concern.name.as_str()).collect();
        assert_eq!(names, ["cluster", "network"]);
        assert_eq!(read[0].refers, BTreeSet::from(["network".to_owned()]));
        assert!(!read[0].resources[0].optional);
        let eip = &read[1].resources[1];
        assert_eq!((eip.kind.as_str(), eip.name.as_str(), eip.optional), ("aws_eip", "nat", true));
    }

    #[test]
    fn what_a_for_each_may_leave_out_is_optional() {
        let locals = "locals {\n  some = var.x ? toset([\n  ]) : toset([])\n  all  = toset([])\n}\n";
        for (each, optional) in [
            ("local.some", true),
            ("local.all", false),
            ("{ for a, b in local.all : a => b if var.x }", true),
            ("var.services", false),
        ] {
            let text = format!("{locals}resource \"aws_x\" \"y\" {{\n  for_each = {each}\n}}\n");
            assert_eq!(read(&files(&[("one", &text)]))[0].resources[0].optional, optional, "{each}");
        }
    }

    #[test]
    fn neither_comments_nor_data_nor_an_order_are_references() {
        for text in [
            "  x = 1 # like aws_vpc.main.id",
            "  x = data.aws_vpc.main.id",
            "  depends_on = [aws_vpc.main]",
            "  depends_on = [\n    aws_vpc.main,\n  ]",
            "  x = aws_vpc.other",
        ] {
            let one = format!("resource \"aws_x\" \"y\" {{\n{text}\n}}\n");
            let read = read(&files(&[("network", NETWORK), ("one", &one)]));
            assert!(read[1].refers.is_empty(), "{text}");
        }
        let after =
            "resource \"aws_x\" \"y\" {\n  depends_on = [\n    aws_eip.nat,\n  ]\n  x = \"${aws_vpc.main.id}/y\"\n}\n";
        let read = read(&files(&[("network", NETWORK), ("one", after)]));
        assert!(!read[1].refers.is_empty());
    }
}
