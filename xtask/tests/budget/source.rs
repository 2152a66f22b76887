//! How much of a crate's source is compiled into the tool: without tests, comments and empty lines.

use std::path::{Path, PathBuf};

/// What one file has.
#[derive(Debug, Default)]
pub(crate) struct Source {
    pub(crate) lines: usize,
    /// The modules that are declared for tests alone, each in a file of its own.
    pub(crate) modules_of_tests: Vec<String>,
    /// The files that those name.
    pub(crate) paths_of_tests: Vec<String>,
}

impl Source {
    /// Reads a file as rustfmt has it: an item ends with a line that is in as far as its first one.
    pub(crate) fn read(text: &str) -> Self {
        let mut source = Self::default();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let (indent, code) = split(line);
            if code == "#[cfg(test)]" {
                source.leave_out(indent, &mut lines);
            } else if !code.is_empty() && !code.starts_with("//") {
                source.lines += 1;
            }
        }
        source
    }

    /// The item behind `#[cfg(test)]`.
    fn leave_out<'t>(&mut self, indent: &str, lines: &mut impl Iterator<Item = &'t str>) {
        let mut first = true;
        for line in lines {
            let (at, code) = split(line);
            if first && code.starts_with("#[") {
                let path = code.strip_prefix("#[path = \"").and_then(|rest| rest.strip_suffix("\"]"));
                self.paths_of_tests.extend(path.map(str::to_owned));
                continue;
            }
            if first
                && code.ends_with(';')
                && let Some((_, module)) = code.split_once("mod ")
            {
                self.modules_of_tests.push(module.trim_end_matches(';').to_owned());
            }
            let ends = code.ends_with(';') || code.ends_with('}') || code.ends_with("},");
            if at == indent && ends {
                return;
            }
            first = false;
        }
    }
}

fn split(line: &str) -> (&str, &str) {
    let code = line.trim_start();
    (&line[..line.len() - code.len()], code.trim_end())
}

/// The lines of a crate, its build script among them.
pub(crate) fn lines_of(folder: &Path) -> usize {
    let mut files = Vec::new();
    walk(&folder.join("src"), &mut files);
    files.extend(Some(folder.join("build.rs")).filter(|file| file.is_file()));
    let read: Vec<(PathBuf, Source)> = files
        .into_iter()
        .map(|file| {
            let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            let source = Source::read(&text);
            (file, source)
        })
        .collect();
    let of_tests: Vec<PathBuf> = read.iter().flat_map(|(file, source)| files_of_tests(file, source)).collect();
    let compiled = |file: &Path| !of_tests.iter().any(|other| file.starts_with(other));
    read.iter().filter(|(file, _)| compiled(file)).map(|(_, source)| source.lines).sum()
}

/// The files and folders of the modules that a file declares for tests alone.
fn files_of_tests(file: &Path, source: &Source) -> Vec<PathBuf> {
    let parent = file.parent().unwrap_or(file);
    let stem = file.file_stem().unwrap_or_default();
    let is_root = ["lib", "main", "mod"].iter().any(|name| stem == *name);
    let folder = if is_root { parent.to_owned() } else { parent.join(stem) };
    let modules = source.modules_of_tests.iter();
    let modules = modules.flat_map(|module| [folder.join(format!("{module}.rs")), folder.join(module)]);
    modules.chain(source.paths_of_tests.iter().map(|path| parent.join(path))).collect()
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
