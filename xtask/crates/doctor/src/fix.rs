//! The commands that mend a finding, for the package sources that this machine has.

use base::proc::CommandLine;
use model::tool::{PackageSource, Program};
use std::fmt;
use std::path::Path;

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Fix {
    /// Local, reversible, harmless when repeated: `doctor --fix` may run it.
    Run(CommandLine),
    /// The same, but only root can, and we are not.
    AsRoot(CommandLine),
    /// For a person to judge; never run.
    ByHand(String),
}

impl Fix {
    pub fn by_hand(text: impl Into<String>) -> Self {
        Self::ByHand(text.into())
    }
}

/// As one would type it.
impl fmt::Display for Fix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run(command) => command.fmt(f),
            Self::AsRoot(command) => write!(f, "sudo {command}"),
            Self::ByHand(text) => f.write_str(text),
        }
    }
}

/// What this machine has to install with.
pub struct Sources<'a> {
    /// Whether a program is on PATH.
    pub has: &'a dyn Fn(&str) -> bool,
    pub is_root: bool,
}

impl Sources<'_> {
    /// What installs the first of these programs that any source here has, or what brings the installed one at
    /// `outdated` up to date. Empty when no source has any.
    pub fn install(&self, programs: &[&Program], outdated: Option<&Path>) -> Vec<Fix> {
        let mut offers: Vec<(PackageSource, &str)> = programs
            .iter()
            .flat_map(|program| program.packages.iter().map(|(source, package)| (*source, package.as_str())))
            .filter(|(source, _)| (self.has)(program_of(*source)))
            .collect();
        offers.sort_by_key(|(source, _)| self.rank(*source));
        let Some((source, package)) = offers.first() else {
            return Vec::new();
        };
        let commands = commands(*source, package, outdated);
        let for_root_alone = is_system(*source) && !self.is_root;
        commands
            .into_iter()
            .map(|command| if for_root_alone { Fix::AsRoot(command) } else { Fix::Run(command) })
            .collect()
    }

    /// Those that keep versions apart come first, then the system's own packages, then what builds from source or
    /// mixes into a language's own installation. What we may not run comes last.
    fn rank(&self, source: PackageSource) -> (bool, PackageSource) {
        (is_system(source) && !self.is_root, source)
    }
}

fn is_system(source: PackageSource) -> bool {
    matches!(source, PackageSource::Apt | PackageSource::Dnf)
}

fn program_of(source: PackageSource) -> &'static str {
    match source {
        PackageSource::Rustup | PackageSource::RustupComponent => "rustup",
        PackageSource::Mise => "mise",
        PackageSource::Asdf => "asdf",
        PackageSource::Brew => "brew",
        PackageSource::Apt => "apt-get",
        PackageSource::Dnf => "dnf",
        PackageSource::Go => "go",
        PackageSource::Npm => "npm",
        PackageSource::Pip => "pip3",
        PackageSource::Cargo => "cargo",
    }
}

fn commands(source: PackageSource, package: &str, outdated: Option<&Path>) -> Vec<CommandLine> {
    let command = |args: &[&str]| CommandLine::new(program_of(source)).args(args).arg(package);
    match source {
        // An old default stays the default when another toolchain arrives beside it.
        PackageSource::Rustup => vec![command(&["update"]), command(&["default"])],
        PackageSource::RustupComponent => vec![command(&["component", "add"])],
        PackageSource::Mise => {
            vec![CommandLine::new("mise").args(["use", "--global"]).arg(format!("{package}@latest"))]
        }
        PackageSource::Asdf => vec![
            command(&["plugin", "add"]),
            command(&["install"]).arg("latest"),
            command(&["set", "--home"]).arg("latest"),
        ],
        // brew upgrades only what it has installed itself.
        PackageSource::Brew if outdated.is_some_and(is_from_brew) => vec![command(&["upgrade"])],
        PackageSource::Brew | PackageSource::Go => vec![command(&["install"])],
        PackageSource::Apt => vec![command(&["install", "--yes"])],
        PackageSource::Dnf => vec![command(&["install", "--assumeyes"])],
        PackageSource::Npm => vec![command(&["install", "--global"])],
        PackageSource::Pip => vec![command(&["install", "--user", "--upgrade"])],
        PackageSource::Cargo => vec![command(&["install", "--locked"])],
    }
}

/// Whether a program lies in brew's cellar; those on PATH are links into it.
fn is_from_brew(program: &Path) -> bool {
    let real = program.canonicalize().unwrap_or_else(|_| program.to_owned());
    real.components().any(|part| part.as_os_str() == "Cellar")
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::tool::VersionRequirement;

    fn program(packages: &[(PackageSource, &str)]) -> Program {
        let packages = packages.iter().map(|(source, package)| (*source, (*package).to_owned())).collect();
        Program { name: "helm".to_owned(), wanted: VersionRequirement::Any, packages }
    }

    fn install(has: &[&str], is_root: bool, outdated: Option<&str>) -> Vec<String> {
        let all = PackageSource::ALL.map(|(_, source)| (source, "helm"));
        let sources = Sources { has: &|name| has.contains(&name), is_root };
        let fixes = sources.install(&[&program(&all)], outdated.map(Path::new));
        fixes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_source_has_its_own_words() {
        for (has, lines) in [
            ("rustup", &["rustup update helm", "rustup default helm"][..]),
            ("mise", &["mise use --global helm@latest"]),
            ("asdf", &["asdf plugin add helm", "asdf install helm latest", "asdf set --home helm latest"]),
            ("brew", &["brew install helm"]),
            ("apt-get", &["sudo apt-get install --yes helm"]),
            ("dnf", &["sudo dnf install --assumeyes helm"]),
            ("go", &["go install helm"]),
            ("npm", &["npm install --global helm"]),
            ("pip3", &["pip3 install --user --upgrade helm"]),
            ("cargo", &["cargo install --locked helm"]),
        ] {
            assert_eq!(install(&[has], false, None), lines, "{has}");
        }
        assert!(install(&[], false, None).is_empty());
    }

    #[test]
    fn a_component_is_added_to_the_toolchain() {
        let clippy = program(&[(PackageSource::RustupComponent, "clippy")]);
        let sources = Sources { has: &|name| name == "rustup", is_root: false };
        assert_eq!(sources.install(&[&clippy], None)[0].to_string(), "rustup component add clippy");
    }

    #[test]
    fn system_packages_come_last_for_those_who_may_not_install_them() {
        assert_eq!(install(&["apt-get", "go"], false, None), ["go install helm"]);
        assert_eq!(install(&["apt-get", "go"], true, None), ["apt-get install --yes helm"]);
        assert_eq!(install(&["apt-get", "brew"], true, None), ["brew install helm"]);
    }

    #[test]
    fn brew_upgrades_what_is_its_own() {
        let cellar = "/opt/homebrew/Cellar/helm/3.1.0/bin/helm";
        assert_eq!(install(&["brew"], false, Some(cellar)), ["brew upgrade helm"]);
        assert_eq!(install(&["brew"], false, Some("/usr/local/bin/helm")), ["brew install helm"]);
    }
}
