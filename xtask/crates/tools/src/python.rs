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

    /// The lines that fetch the script, so that its first start is a start and not a download.
    pub fn install(&self, script: &Script) -> Vec<CommandLine> {
        match self {
            Self::Uvx(_) | Self::Pipx(_) => {
                let (program, args) = self.invocation(script);
                vec![CommandLine::new(program).args(args).arg("--help")]
            }
            Self::Venv { python, folder } => vec![
                CommandLine::new(python).args(["-m", "venv"]).arg(folder),
                pip_install(folder, &script.requirement),
            ],
        }
    }
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
    fn each_runner_fetches_the_pinned_requirement() {
        let uvx = Runner::Uvx(PathBuf::from("/bin/uvx"));
        assert_eq!(lines(&uvx), ["/bin/uvx --from 'moto[server]==5.2.5' moto_server --help"]);
        let pipx = Runner::Pipx(PathBuf::from("/bin/pipx"));
        assert_eq!(lines(&pipx), ["/bin/pipx run --spec 'moto[server]==5.2.5' moto_server --help"]);
        let venv = Runner::Venv { python: PathBuf::from("python3"), folder: PathBuf::from("/v") };
        assert_eq!(
            lines(&venv),
            [
                "python3 -m venv /v",
                "/v/bin/python -m pip install --disable-pip-version-check --quiet 'moto[server]==5.2.5'",
            ]
        );
        assert_eq!(venv.invocation(&moto()), (PathBuf::from("/v/bin/moto_server"), vec![]));
    }
}
