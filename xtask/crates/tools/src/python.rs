//! Programs that come as Python packages, run by whichever of uvx, pipx and a virtual environment is at hand.

use base::proc::CommandLine;
use std::path::{Path, PathBuf};

/// A console script and the pinned requirement that brings it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// As pip takes it: `moto[server]==5.2.5`.
    pub requirement: String,
    pub name: String,
}

/// How a script is had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Runner {
    Uvx(PathBuf),
    Pipx(PathBuf),
    /// A virtual environment of the deployment's own.
    Venv {
        python: PathBuf,
        folder: PathBuf,
    },
}

impl Runner {
    /// The program that is the script or runs it, and the arguments that go before the script's own.
    pub fn invocation(&self, script: &Script) -> (PathBuf, Vec<String>) {
        let Script { requirement, name } = script.clone();
        match self {
            Self::Uvx(uvx) => (uvx.clone(), vec!["--from".to_owned(), requirement, name]),
            Self::Pipx(pipx) => (pipx.clone(), vec!["run".to_owned(), "--spec".to_owned(), requirement, name]),
            Self::Venv { folder, .. } => (folder.join("bin").join(name), Vec::new()),
        }
    }

    /// Whether what [`Runner::install`] has made can still be run. The Python that an environment was made with may be gone,
    /// or be another one by now, and an environment does not survive that it is moved.
    pub fn is_usable(&self, script: &Script) -> bool {
        let program = self.invocation(script).0;
        match self {
            Self::Uvx(_) | Self::Pipx(_) => program.is_file(),
            Self::Venv { folder, .. } => program.is_file() && interpreter(&program).is_file() && has_packages(folder),
        }
    }

    /// The lines that fetch the script, so that its first start is a start and not a download.
    pub fn install(&self, script: &Script) -> Vec<CommandLine> {
        match self {
            Self::Uvx(_) | Self::Pipx(_) => {
                let (program, args) = self.invocation(script);
                vec![CommandLine::new(program).args(args).arg("--help")]
            }
            Self::Venv { python, folder } => vec![
                // Whatever is left of an earlier one would be in its way.
                CommandLine::new(python).args(["-m", "venv", "--clear"]).arg(folder),
                pip_install(folder, &script.requirement),
            ],
        }
    }
}

/// The program that a script names in its first line; its own file where it names none.
fn interpreter(script: &Path) -> PathBuf {
    let text = std::fs::read(script).unwrap_or_default();
    let first = text.split(|byte| *byte == b'\n').next().and_then(|line| line.strip_prefix(b"#!"));
    let named =
        first.and_then(|line| std::str::from_utf8(line).ok()).map(str::trim).filter(|path| path.starts_with('/'));
    // Where a path is too long for a first line, it is handed to a shell.
    named.filter(|path| *path != "/bin/sh").map_or_else(|| script.to_owned(), PathBuf::from)
}

/// Whether the packages of an environment are those of the Python that it leads to.
fn has_packages(folder: &Path) -> bool {
    let Ok(python) = folder.join("bin/python").canonicalize() else { return false };
    let name = python.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let has_version = name.strip_prefix("python").is_some_and(|version| version.contains('.'));
    !has_version || folder.join("lib").join(name).is_dir()
}

fn pip_install(folder: &Path, requirement: &str) -> CommandLine {
    let python = folder.join("bin").join("python");
    CommandLine::new(python).args(["-m", "pip", "install", "--disable-pip-version-check", "--quiet", requirement])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moto() -> Script {
        Script { requirement: "moto[server]==5.2.5".to_owned(), name: "moto_server".to_owned() }
    }

    fn lines(runner: &Runner) -> Vec<String> {
        runner.install(&moto()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_environment_is_usable_while_its_python_is_the_one_it_was_made_with() {
        let folder = std::env::temp_dir().join(format!("python-venv-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let write = |path: &str, text: &str| {
            std::fs::create_dir_all(folder.join(path).parent().unwrap()).unwrap();
            std::fs::write(folder.join(path), text).unwrap();
        };
        write("system/python3.11", "");
        write("venv/lib/python3.11/site.py", "");
        write("venv/bin/moto_server", &format!("#!{}/venv/bin/python\n", folder.display()));
        let python = folder.join("venv/bin/python");
        let leads_to = |target: &str| {
            let _ = std::fs::remove_file(&python);
            std::os::unix::fs::symlink(folder.join(target), &python).unwrap();
        };
        let runner = Runner::Venv { python: PathBuf::from("python3"), folder: folder.join("venv") };
        leads_to("system/python3.11");
        assert!(runner.is_usable(&moto()));
        std::fs::rename(folder.join("system/python3.11"), folder.join("system/python3.12")).unwrap();
        assert!(!runner.is_usable(&moto()), "its interpreter is gone");
        leads_to("system/python3.12");
        assert!(!runner.is_usable(&moto()), "its packages are another's");
        leads_to("system");
        write("venv/bin/moto_server", "#!/nowhere/venv/bin/python\n");
        assert!(!runner.is_usable(&moto()), "it was moved");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn each_runner_fetches_the_pinned_requirement() {
        let uvx = Runner::Uvx(PathBuf::from("/bin/uvx"));
        assert_eq!(lines(&uvx), ["/bin/uvx --from 'moto[server]==5.2.5' moto_server --help"]);
        let pipx = Runner::Pipx(PathBuf::from("/bin/pipx"));
        assert_eq!(lines(&pipx), ["/bin/pipx run --spec 'moto[server]==5.2.5' moto_server --help"]);
        let venv = Runner::Venv { python: PathBuf::from("python3"), folder: PathBuf::from("/v") };
        assert_eq!(
            lines(&venv),
            [
                "python3 -m venv --clear /v",
                "/v/bin/python -m pip install --disable-pip-version-check --quiet 'moto[server]==5.2.5'",
            ]
        );
        assert_eq!(venv.invocation(&moto()), (PathBuf::from("/v/bin/moto_server"), vec![]));
    }
}
