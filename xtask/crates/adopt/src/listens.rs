//! Where a program listens, by what stands in its sources: the last thing to go by.

use std::fs;
use std::path::Path;

/// What stands before the port in common languages and frameworks.
const BEFORE: [&str; 14] = [
    "ListenAndServe(\":",
    "0.0.0.0:",
    ".listen(",
    ".Listen(\":",
    ".Run(\":",
    "--port=",
    "--port\", \"",
    "--port ",
    "PORT || ",
    "PORT', ",
    "PORT\", ",
    "port=",
    "port = ",
    "server.port=",
];
const SOURCES: [&str; 15] =
    ["go", "js", "ts", "mjs", "py", "rb", "rs", "java", "php", "properties", "sh", "ex", "conf", "cs", "yml"];
/// As far as anybody would look.
const DEEP: usize = 3;
const FILES: usize = 200;
const LARGEST: u64 = 200_000;

/// Programs that serve what they are given, and where unless they are told.
const SERVERS: [(&str, u16); 6] = [
    ("uvicorn", 8000),
    ("gunicorn", 8000),
    ("hypercorn", 8000),
    ("flask", 5000),
    ("streamlit", 8501),
    ("http.server", 8000),
];

/// The one that a Dockerfile starts, and its port.
pub(crate) fn server(dockerfile: &str) -> Option<(u16, &'static str)> {
    let starts =
        dockerfile.lines().rev().find(|line| ["CMD", "ENTRYPOINT"].iter().any(|word| line.starts_with(word)))?;
    let mut words = starts.split(|c: char| c.is_whitespace() || "[]\",".contains(c));
    words.find_map(|word| SERVERS.iter().find(|(program, _)| *program == word).map(|(program, port)| (*port, *program)))
}

/// The first port that is found in a folder, and the file that has it.
pub(crate) fn find(folder: &Path) -> Option<(u16, String)> {
    sources(folder).iter().find_map(|(shown, text)| Some((port(text)?, shown.clone())))
}

/// The sources in a folder, as far as anybody would look: their paths from there, and what they say.
pub(crate) fn sources(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    gather(folder, folder, DEEP, &mut found);
    found
}

fn gather(root: &Path, folder: &Path, deep: usize, found: &mut Vec<(String, String)>) {
    let mut entries: Vec<_> = fs::read_dir(folder).into_iter().flatten().flatten().collect();
    entries.sort_by_key(|entry| (entry.path().is_dir(), entry.file_name()));
    for entry in entries {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if name.starts_with('.') || ["node_modules", "vendor", "target", "tests", "test"].contains(&name.as_str()) {
            continue;
        }
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() && deep > 0 {
            gather(root, &path, deep - 1, found);
        }
        let is_source = name.starts_with("Dockerfile") || SOURCES.iter().any(|end| name.ends_with(&format!(".{end}")));
        let is_small = || entry.metadata().is_ok_and(|metadata| metadata.len() <= LARGEST);
        if kind.is_file() && is_source && found.len() < FILES && is_small() {
            let shown = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            found.extend(fs::read_to_string(&path).ok().map(|text| (shown, text)));
        }
    }
}

fn port(text: &str) -> Option<u16> {
    let of = |before: &&str| {
        text.match_indices(*before).find_map(|(at, _)| {
            let digits = text[at + before.len()..].split(|c: char| !c.is_ascii_digit()).next()?;
            digits.parse().ok().filter(|port: &u16| *port >= 80)
        })
    };
    BEFORE.iter().find_map(of)
}

#[cfg(test)]
mod tests {
    use super::{port, server};

    #[test]
    fn the_port_of_a_server_is_known() {
        let poetry = "FROM x\nRUN pip install gunicorn\nENTRYPOINT [\"poetry\", \"run\", \"uvicorn\", \"a:app\"]\n";
        assert_eq!(server(poetry), Some((8000, "uvicorn")));
        assert_eq!(server("FROM x\nCMD flask run\n"), Some((5000, "flask")));
        assert_eq!(server("FROM x\nRUN flask\nCMD [\"./flasks\"]\n"), None);
    }

    #[test]
    fn the_port_of_a_listener_is_found() {
        for (text, wanted) in [
            ("log.Fatal(http.ListenAndServe(\":8000\", r))", Some(8000)),
            ("app.run(host=\"0.0.0.0\", port=8000, debug=True)", Some(8000)),
            ("const port = process.env.PORT || 3000;", Some(3000)),
            ("app.listen(80, () => {})", Some(80)),
            ("app.listen(port)", None),
            ("CMD [\"uvicorn\", \"--port\", \"8080\"]", Some(8080)),
        ] {
            assert_eq!(port(text), wanted, "{text}");
        }
    }
}
