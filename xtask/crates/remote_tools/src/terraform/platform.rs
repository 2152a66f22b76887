//! Terraform on a platform: the state in a bucket, plans that are written down and applied as they are. What is planned
//! and applied is told as JSON lines (see [`super::said`]).

use base::proc::CommandLine;
use std::fmt::Display;
use std::path::Path;

/// For how long a lock of the state that somebody holds is waited for. Of ours there is only one at a time.
const LOCK_TIMEOUT: &str = "-lock-timeout=20s";

/// Where the state is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    pub bucket: String,
    pub key: &'static str,
    pub region: String,
}

/// Gets the providers and opens the state, whatever was open in this folder before.
pub fn init(terraform: CommandLine, backend: Option<&Backend>) -> CommandLine {
    let line = terraform.args(["init", "-json", "-input=false", "-reconfigure"]);
    let Some(Backend { bucket, key, region }) = backend else { return line };
    line.arg(format!("-backend-config=bucket={bucket}"))
        .arg(format!("-backend-config=key={key}"))
        .arg(format!("-backend-config=region={region}"))
        .args(["-backend-config=use_lockfile=true", "-backend-config=encrypt=true"])
}

/// What a plan is made of.
#[derive(Debug, Clone, Copy)]
pub struct Plan<'p> {
    pub file: &'p Path,
    /// Those beside `terraform.tfvars.json`, none of them a secret.
    pub variables: &'p [(String, String)],
    pub destroy: bool,
    /// A plan that is only looked at goes without the lock, which takes the right to write.
    pub lock: bool,
}

/// Ends with 2 when there is something to do.
pub fn plan(terraform: CommandLine, plan: Plan<'_>) -> CommandLine {
    let line = terraform.args(["plan", "-json", "-input=false", "-detailed-exitcode"]);
    let line = if plan.lock { line.arg(LOCK_TIMEOUT) } else { line.arg("-lock=false") };
    let line = if plan.destroy { line.arg("-destroy") } else { line };
    let line = plan.variables.iter().fold(line, |line, (name, value)| line.arg("-var").arg(format!("{name}={value}")));
    line.arg(format!("-out={}", plan.file.display()))
}

/// Prints a plan as one document.
pub fn show(terraform: CommandLine, plan: &Path) -> CommandLine {
    terraform.args(["show", "-json", "-no-color"]).arg(plan)
}

pub fn apply(terraform: CommandLine, plan: &Path) -> CommandLine {
    terraform.args(["apply", "-json", "-input=false", LOCK_TIMEOUT]).arg(plan)
}

pub fn output(terraform: CommandLine) -> CommandLine {
    terraform.args(["output", "-json", "-no-color"])
}

/// Prints the address of each resource in the state, or in a file.
pub fn state_list(terraform: CommandLine, file: Option<&Path>) -> CommandLine {
    let line = terraform.args(["state", "list"]);
    file.map_or(line.clone(), |file| line.arg(format!("-state={}", file.display())))
}

/// Takes a file for the state, unless the state is a later one.
pub fn state_push(terraform: CommandLine, file: &Path) -> CommandLine {
    terraform.args(["state", "push", LOCK_TIMEOUT]).arg(file)
}

pub fn force_unlock(terraform: CommandLine, id: impl Display) -> CommandLine {
    terraform.args(["force-unlock", "-force"]).arg(id.to_string())
}

/// Writes the lock file with the checksums for every machine that this is run on.
pub fn providers_lock(terraform: CommandLine) -> CommandLine {
    let platforms = ["linux_amd64", "linux_arm64", "darwin_amd64", "darwin_arm64"];
    terraform.args(["providers", "lock"]).args(platforms.map(|platform| format!("-platform={platform}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terraform() -> CommandLine {
        CommandLine::new("terraform")
    }

    #[test]
    fn the_state_is_in_a_bucket_with_a_lock_beside_it() {
        let backend = Backend { bucket: "b".to_owned(), key: "terraform.tfstate", region: "eu-west-1".to_owned() };
        let argv = init(terraform(), Some(&backend)).argv().join(" ");
        let state = "-backend-config=bucket=b -backend-config=key=terraform.tfstate -backend-config=region=eu-west-1 \
                     -backend-config=use_lockfile=true -backend-config=encrypt=true";
        assert_eq!(argv, format!("terraform init -json -input=false -reconfigure {state}"));
        assert_eq!(init(terraform(), None).argv().join(" "), "terraform init -json -input=false -reconfigure");
    }

    #[test]
    fn a_plan_is_written_down_and_applied_as_it_is() {
        let variables = [("budget_usd".to_owned(), "50".to_owned())];
        let wanted = Plan { file: Path::new("/p"), variables: &variables, destroy: false, lock: true };
        let start = "terraform plan -json -input=false -detailed-exitcode";
        let line = plan(terraform(), wanted).argv().join(" ");
        assert_eq!(line, format!("{start} -lock-timeout=20s -var budget_usd=50 -out=/p"));
        let look = Plan { destroy: true, lock: false, variables: &[], ..wanted };
        assert_eq!(plan(terraform(), look).argv().join(" "), format!("{start} -lock=false -destroy -out=/p"));
        let line = apply(terraform(), Path::new("/p")).argv().join(" ");
        assert_eq!(line, "terraform apply -json -input=false -lock-timeout=20s /p");
    }
}
