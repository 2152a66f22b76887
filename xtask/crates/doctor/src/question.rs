//! How each program is asked for its version, and how its answer is read.

use super::Scene;
use base::proc::{CommandLine, Finished};
use model::version::Version;
use serde_json::Value;
use std::path::Path;

/// Debian packages `venv` apart from Python, and what is left without `ensurepip` cannot make an environment with pip.
const PYTHON: &str = "import ensurepip, sys, venv; print('Python %d.%d.%d' % sys.version_info[:3])";

/// How a program is asked.
#[derive(Debug)]
pub(super) struct Question {
    args: &'static [&'static str],
    env: &'static [(&'static str, &'static str)],
    answer: Answer,
    /// Whether it takes a good part of a second.
    pub(super) slow: bool,
}

/// Where the version is in what a program prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// The first version in the text, leaving out what stands in parentheses.
    Text,
    /// At this place of a JSON document; as text where an old program knows no JSON.
    Json(&'static str),
}

impl Question {
    /// How this program is asked: `--version`, unless it is known to want other words.
    pub(super) fn of(program: &str) -> Self {
        let text = |args, slow| Self { args, env: &[], answer: Answer::Text, slow };
        match program {
            "aws" => text(&["--version"], true),
            "helm" | "minikube" => text(&["version", "--short"], true),
            "k3d" => text(&["version"], false),
            "kubectl" => Self {
                args: &["version", "--client", "--output", "json"],
                env: &[],
                answer: Answer::Json("/clientVersion/gitVersion"),
                slow: true,
            },
            "pipx" => text(&["--version"], true),
            "python3" => text(&["-I", "-S", "-c", PYTHON], true),
            "terraform" => Self {
                args: &["version", "-json"],
                // Otherwise it asks its makers over the network whether there is a newer one.
                env: &[("CHECKPOINT_DISABLE", "1")],
                answer: Answer::Json("/terraform_version"),
                slow: true,
            },
            _ => text(&["--version"], false),
        }
    }

    pub(super) fn command(&self, program: &Path) -> CommandLine {
        let command = CommandLine::new(program).args(self.args);
        self.env.iter().fold(command, |command, (name, value)| command.env(name, value))
    }

    /// The version in an answer.
    pub(super) fn read(&self, stdout: &str) -> Option<Version> {
        match self.answer {
            Answer::Text => Version::find(&without_parentheses(stdout)),
            Answer::Json(pointer) => {
                let document = stdout.find('{').and_then(|start| serde_json::from_str::<Value>(&stdout[start..]).ok());
                match document.as_ref().and_then(|document| document.pointer(pointer)) {
                    Some(version) => version.as_str().and_then(Version::find),
                    None => Version::find(stdout),
                }
            }
        }
    }
}

/// The version of a program that is on PATH, where it says one.
pub fn ask_version(program: &str, scene: &Scene) -> Option<Version> {
    let question = Question::of(program);
    let finished = scene.ask(&question.command(&scene.find(program)?), 1).ok()?;
    question.read(&finished.stdout).filter(|_| finished.success)
}

/// Compilers put into parentheses who built them, versions of the distribution included.
fn without_parentheses(text: &str) -> String {
    let mut depth = 0_usize;
    let outside = |c: &char| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => return depth == 0,
        }
        false
    };
    text.chars().filter(outside).collect()
}

/// Why a program failed, in its own words: the line that says so, or else the last one, where Python has it.
pub fn complaint(finished: &Finished) -> String {
    let lines = || finished.stderr.lines().map(str::trim).filter(|line| !line.is_empty());
    let says_so = |line: &&str| line.to_lowercase().starts_with("error");
    match lines().find(says_so).or_else(|| lines().next_back()) {
        Some(line) => format!("{}: {line}", finished.status),
        None => finished.status.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(program: &str, stdout: &str) -> String {
        Question::of(program).read(stdout).map_or_else(|| "none".to_owned(), |version| version.to_string())
    }

    /// What the programs really print.
    #[test]
    fn versions_are_read_from_real_answers() {
        for (program, stdout, version) in [
            ("cargo", "cargo 1.95.0 (f2d3ce0bd 2026-03-21)\n", "1.95.0"),
            ("rustc", "rustc 1.95.0 (59807616e 2026-04-14)\n", "1.95.0"),
            ("rustc", "rustc 1.97.0-nightly (0e7a0a8cb 2026-05-01)\n", "1.97.0"),
            ("rustfmt", "rustfmt 1.9.0-stable (59807616e1 2026-04-14)\n", "1.9.0"),
            ("cargo-clippy", "clippy 0.1.95 (59807616e1 2026-04-14)\n", "0.1.95"),
            ("git", "git version 2.39.5\n", "2.39.5"),
            ("git", "git version 2.39.5 (Apple Git-154)\n", "2.39.5"),
            ("cc", "cc (Debian 12.2.0-14+deb12u1) 12.2.0\nCopyright (C) 2022 Free Software", "12.2.0"),
            ("cc", "cc (GCC) 14.2.1 20240912 (Red Hat 14.2.1-3)\nCopyright (C) 2024", "14.2.1"),
            ("cc", "gcc (crosstool-NG 1.25.0.95_7e3a4f6) 12.2.0\n", "12.2.0"),
            ("cc", "Apple clang version 16.0.0 (clang-1600.0.26.6)\nTarget: arm64-apple-darwin24.3.0\n", "16.0.0"),
            ("cc", "Debian clang version 14.0.6\nTarget: x86_64-pc-linux-gnu\n", "14.0.6"),
            ("redis-server", "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64\n", "7.0.15"),
            ("valkey-server", "Valkey server v=8.0.1 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64\n", "8.0.1"),
            ("python3", "Python 3.11.7\n", "3.11.7"),
            ("uvx", "uvx 0.8.3 (7e78f54e7 2025-07-24)\n", "0.8.3"),
            ("pipx", "1.7.1\n", "1.7.1"),
            ("docker", "Docker version 28.2.2, build e6534b4\n", "28.2.2"),
            ("docker", "Docker version 20.10.24+dfsg1, build 297e128\n", "20.10.24"),
            ("podman", "podman version 4.3.1\n", "4.3.1"),
            ("helm", "v3.14.2+gc309b6f\n", "3.14.2"),
            ("helm", "v4.0.0+g99cd196\n", "4.0.0"),
            ("aws", "aws-cli/1.45.11 Python/3.11.7 Linux/6.1.0 botocore/1.43.11\n", "1.45.11"),
            ("aws", "aws-cli/2.15.30 Python/3.11.8 Linux/6.1.0 exe/x86_64.debian.12 prompt/off\n", "2.15.30"),
            ("kind", "kind version 0.30.0\n", "0.30.0"),
            ("kind", "kind v0.23.0 go1.22.4 darwin/arm64\n", "0.23.0"),
            ("k3d", "k3d version v5.6.3\nk3s version v1.28.8-k3s1 (default)\n", "5.6.3"),
            ("minikube", "v1.33.1\n", "1.33.1"),
            ("terraform", "Terraform v0.12.31\n", "0.12.31"),
            ("cc", "", "none"),
            ("helm", "Error: unknown command\n", "none"),
        ] {
            assert_eq!(read(program, stdout), version, "{program}: {stdout}");
        }
    }

    #[test]
    fn versions_are_read_from_documents_and_whatever_stands_before_them() {
        let kubectl = r#"{"clientVersion": {"major": "1", "minor": "32+", "gitVersion": "v1.32.4-dispatcher",
            "goVersion": "go1.23.8"}, "kustomizeVersion": "v5.5.0"}"#;
        assert_eq!(read("kubectl", kubectl), "1.32.4");
        let terraform = "There are some problems with the CLI configuration:\n\n\
            {\n  \"terraform_version\": \"1.11.4\",\n  \"platform\": \"linux_amd64\",\n  \"terraform_outdated\": false\n}\n";
        assert_eq!(read("terraform", terraform), "1.11.4");
    }

    #[test]
    fn terraform_is_kept_from_the_network() {
        let command = Question::of("terraform").command(Path::new("/bin/terraform"));
        assert_eq!(command.to_string(), "/bin/terraform version -json");
        assert_eq!(command.env, [("CHECKPOINT_DISABLE".into(), Some("1".into()))]);
    }

    #[test]
    fn a_complaint_is_the_line_that_names_the_error() {
        let finished = |stderr: &str| Finished {
            success: false,
            status: "exit status: 1".to_owned(),
            stdout: String::new(),
            stderr: stderr.to_owned(),
        };
        let rustup = "error: 'rustfmt' is not installed for the toolchain 'stable'\nhelp: run `rustup component add`\n";
        assert!(complaint(&finished(rustup)).ends_with("for the toolchain 'stable'"));
        let python =
            "Traceback (most recent call last):\n  File \"<string>\", line 1\nModuleNotFoundError: No module\n";
        assert_eq!(complaint(&finished(python)), "exit status: 1: ModuleNotFoundError: No module");
        assert_eq!(complaint(&finished("")), "exit status: 1");
    }
}
