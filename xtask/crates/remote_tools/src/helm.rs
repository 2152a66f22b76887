//! helm 3 and 4: makes, changes, takes back and removes the releases of the chart. What a release became is asked of the
//! cluster, so Helm never waits.

use anyhow::Result;
use base::http::is_here;
use base::proc::{CommandLine, Proc};
use model::version::Version;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// How many revisions of a release are kept to go back to.
const HISTORY: &str = "20";
/// The oldest Kubernetes that the chart is for.
const OLDEST: &str = "1.30.0";

/// What differs between the Helms that will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Major {
    /// Merges on this side, whoever has changed a field meanwhile.
    Three,
    /// Lets the cluster apply, which refuses fields that somebody else has changed unless it is forced
    /// (kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts).
    Four,
}

/// The Helm at hand, asked when it is first needed.
#[derive(Debug, Default)]
pub struct Lazy {
    known: Mutex<Option<Major>>,
}

impl Lazy {
    /// # Errors
    /// When it cannot be run. The next call asks again.
    pub fn get(&self, proc: &Proc, helm: CommandLine) -> Result<Major> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(major) = *known {
            return Ok(major);
        }
        let major = major(&proc.read(&version(helm))?);
        *known = Some(major);
        Ok(major)
    }
}

pub fn version(helm: CommandLine) -> CommandLine {
    helm.args(["version", "--short"])
}

/// What does not say is taken for the newest.
pub fn major(stdout: &str) -> Major {
    match Version::find(stdout) {
        Some(version) if version < Version::new(4, 0, 0) => Major::Three,
        _ => Major::Four,
    }
}

/// Where a release is.
#[derive(Debug, Clone, Copy)]
pub struct Release<'r> {
    pub name: &'r str,
    pub namespace: &'r str,
}

/// Where a chart is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chart {
    Folder(PathBuf),
    /// At `oci://HOST/PATH/NAME` or in a repository of charts (`https://…`).
    Published {
        from: String,
        name: String,
        version: String,
    },
}

impl Chart {
    fn add_to(&self, line: CommandLine) -> CommandLine {
        match self {
            Self::Folder(folder) => line.arg(folder),
            Self::Published { from, name, version } => {
                let line = match from.strip_prefix("oci://") {
                    // As engines are: a registry on this machine seldom has a certificate.
                    Some(place) if is_here(place) => line.arg(format!("{from}/{name}")).arg("--plain-http"),
                    Some(_) => line.arg(format!("{from}/{name}")),
                    None => line.args([name, "--repo", from]),
                };
                line.args(["--version", version])
            }
        }
    }
}

/// Makes a release, or changes it, to what the chart says with these values, the later files over the earlier ones.
/// Helm's own records of it get `labels` (`KEY=VALUE`), so that they are found with all else.
pub fn upgrade(
    helm: CommandLine,
    major: Major,
    release: Release<'_>,
    chart: &Chart,
    values: &[&Path],
    labels: &str,
) -> CommandLine {
    let line = chart.add_to(helm.args(["upgrade", "--install", release.name]));
    let line = line.args(["--namespace", release.namespace]);
    let line = values.iter().fold(line, |line, file| line.arg("--values").arg(file));
    forced(line.args(["--labels", labels, "--history-max", HISTORY]), major)
}

/// Makes a release what it was at a revision of Helm's, as a revision of its own.
pub fn rollback(helm: CommandLine, major: Major, release: Release<'_>, revision: u64) -> CommandLine {
    let line = helm.args(["rollback", release.name]).arg(revision.to_string());
    forced(line.args(["--namespace", release.namespace, "--history-max", HISTORY]), major)
}

/// Removes a release and all that is in it. Claims of StatefulSets are not in it.
pub fn uninstall(helm: CommandLine, release: Release<'_>) -> CommandLine {
    helm.args(["uninstall", release.name, "--namespace", release.namespace, "--ignore-not-found"])
}

/// Prints what the chart says with the values that it reads, for the oldest Kubernetes that the chart is for: what Helm
/// assumes by itself goes with its own version. No cluster is asked.
pub fn template(helm: CommandLine, release: Release<'_>, chart: &Path) -> CommandLine {
    let line = helm.args(["template", release.name]).arg(chart).args(["--namespace", release.namespace]);
    line.args(["--kube-version", OLDEST, "--values", "-"])
}

/// Prints what a chart says of itself, from where it is.
pub fn show_chart(helm: CommandLine, chart: &Chart) -> CommandLine {
    chart.add_to(helm.args(["show", "chart"]))
}

/// Helm 4 goes on as a release was begun unless it is told how, and one that Helm 3 has made cannot be forced.
fn forced(line: CommandLine, major: Major) -> CommandLine {
    match major {
        Major::Three => line,
        Major::Four => line.args(["--server-side=true", "--force-conflicts"]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RELEASE: Release<'_> = Release { name: "epoch", namespace: "shop-epoch" };

    fn upgraded(major: Major) -> String {
        let (chart, values) = (Chart::Folder("helm/app".into()), Path::new(".slipway/try/values/epoch.json"));
        upgrade(CommandLine::new("helm"), major, RELEASE, &chart, &[values], "deployment_id=try").to_string()
    }

    #[test]
    fn a_published_chart_is_named_by_where_it_is_and_its_version() {
        let line = |from: &str| {
            let chart = Chart::Published { from: from.to_owned(), name: "c".to_owned(), version: "1.2.3".to_owned() };
            chart.add_to(CommandLine::new("helm")).to_string()
        };
        assert_eq!(line("https://aws.github.io/charts"), "helm c --repo https://aws.github.io/charts --version 1.2.3");
        assert_eq!(line("oci://example.com/charts"), "helm oci://example.com/charts/c --version 1.2.3");
        assert_eq!(line("oci://localhost:5000/a"), "helm oci://localhost:5000/a/c --plain-http --version 1.2.3");
    }

    #[test]
    fn a_release_is_made_without_waiting_and_whoever_has_changed_it() {
        let three = "helm upgrade --install epoch helm/app --namespace shop-epoch --values \
                     .slipway/try/values/epoch.json --labels 'deployment_id=try' --history-max 20";
        assert_eq!(upgraded(Major::Three), three);
        assert_eq!(upgraded(Major::Four), format!("{three} '--server-side=true' --force-conflicts"));
    }

    #[test]
    fn a_revision_is_gone_back_to_in_the_same_way() {
        let line = |major| rollback(CommandLine::new("helm"), major, RELEASE, 7).to_string();
        let three = "helm rollback epoch 7 --namespace shop-epoch --history-max 20";
        assert_eq!(line(Major::Three), three);
        assert_eq!(line(Major::Four), format!("{three} '--server-side=true' --force-conflicts"));
    }

    #[test]
    fn a_chart_is_printed_for_one_kubernetes_whatever_the_helm() {
        let line = template(CommandLine::new("helm"), RELEASE, Path::new("helm/app")).to_string();
        assert_eq!(line, "helm template epoch helm/app --namespace shop-epoch --kube-version 1.30.0 --values -");
    }

    #[test]
    fn what_is_not_there_may_be_removed() {
        let line = uninstall(CommandLine::new("helm"), RELEASE).to_string();
        assert_eq!(line, "helm uninstall epoch --namespace shop-epoch --ignore-not-found");
    }

    #[test]
    fn both_helms_say_which_they_are() {
        assert_eq!(major("v3.14.4+g81c902a\n"), Major::Three);
        assert_eq!(major("v4.0.1\n"), Major::Four);
        assert_eq!(major("v4.3+g\n"), Major::Four);
        assert_eq!(major(""), Major::Four);
    }
}
