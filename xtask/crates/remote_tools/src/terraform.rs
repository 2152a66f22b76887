//! terraform: formats, checks, tests, plans and makes the platform on AWS. It is told everything in its arguments and by
//! the folder it runs in, so that no variable of the caller's moves its data or adds arguments.

pub mod platform;
pub mod said;

use base::proc::CommandLine;
use std::path::Path;

/// Variables that would change where it keeps its data, which state it has open, or what it is told
/// (developer.hashicorp.com/terraform/cli/config/environment-variables).
const UNWANTED: [&str; 3] = ["TF_DATA_DIR", "TF_WORKSPACE", "TF_CLI_ARGS"];

/// `terraform` in the folder that holds the configuration. It asks nothing and looks for no newer version of itself.
pub fn command(folder: &Path) -> CommandLine {
    let line = CommandLine::new("terraform").dir(folder);
    let line = line.env("TF_IN_AUTOMATION", "1").env("TF_INPUT", "0").env("CHECKPOINT_DISABLE", "1");
    UNWANTED.into_iter().fold(line, CommandLine::env_remove)
}

/// Changes nothing: prints the files that are not as `terraform fmt` would have them, with the difference.
pub fn fmt_check(terraform: CommandLine) -> CommandLine {
    terraform.args(["fmt", "-check", "-diff", "-recursive", "-no-color"])
}

/// Gets the provider, and leaves the state alone.
pub fn init_without_backend(terraform: CommandLine) -> CommandLine {
    terraform.args(["init", "-backend=false", "-input=false", "-no-color"])
}

pub fn validate(terraform: CommandLine) -> CommandLine {
    terraform.args(["validate", "-no-color"])
}

/// Runs the tests of the configuration, whose providers are mocked.
pub fn test(terraform: CommandLine) -> CommandLine {
    terraform.args(["test", "-no-color"])
}

/// How many tests have passed, by the last line of a run of [`test`].
pub fn passed(stdout: &str) -> Option<u32> {
    let summary = stdout.lines().rev().find_map(|line| line.strip_prefix("Success! "))?;
    summary.split(' ').next()?.parse().ok()
}

/// Whether [`init_without_backend`] failed only since nobody answers where the provider is to be had, which says nothing
/// about the configuration.
pub fn is_unreachable(stderr: &str) -> bool {
    // It is broken into lines, in a frame.
    let said: Vec<&str> = stderr.split_whitespace().filter(|word| !matches!(*word, "│" | "╷" | "╵")).collect();
    let said = said.join(" ");
    let asked = [
        "Failed to query available provider packages",
        "Failed to install provider",
        "Could not retrieve providers for locking",
    ];
    let silence = [
        "could not connect to",
        "failed to request discovery document",
        "no such host",
        "connection refused",
        "connection reset",
        "network is unreachable",
        "i/o timeout",
        "TLS handshake timeout",
        "context deadline exceeded",
    ];
    asked.iter().any(|what| said.contains(what)) && silence.iter().any(|what| said.contains(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_everything() {
        let line = || command(Path::new("/copy"));
        assert_eq!(fmt_check(line()).to_string(), "terraform fmt -check -diff -recursive -no-color");
        let init = init_without_backend(line());
        assert_eq!(init.to_string(), "terraform init '-backend=false' '-input=false' -no-color");
        assert_eq!(init.dir.as_deref(), Some(Path::new("/copy")));
        assert!(init.env.contains(&("TF_DATA_DIR".into(), None)));
        assert_eq!(validate(line()).to_string(), "terraform validate -no-color");
        assert_eq!(test(line()).to_string(), "terraform test -no-color");
    }

    #[test]
    fn passed_tests_are_counted() {
        let text = "tests/platform.tftest.hcl... pass\n\nSuccess! 12 passed, 0 failed.\n";
        assert_eq!(passed(text), Some(12));
        assert_eq!(passed("Failure! 11 passed, 1 failed.\n"), None);
    }

    #[test]
    fn a_registry_that_does_not_answer_is_told_from_one_that_has_no_such_provider() {
        let silent = "╷\n│ Error: Failed to query available provider packages\n│ \n│ Could not retrieve the list of available \
                      versions for provider hashicorp/aws: could\n│ not connect to registry.terraform.io: failed to request \
                      discovery document:\n│ Get \"https://registry.terraform.io/.well-known/terraform.json\": dial tcp: \
                      lookup\n│ registry.terraform.io: no such\n│ host\n╵\n";
        assert!(is_unreachable(silent));
        let absent = "│ Error: Failed to query available provider packages\n│ \n│ Could not retrieve the list of available \
                      versions for provider hashicorp/aws: no\n│ available releases match the given constraints 99.0.0\n";
        assert!(!is_unreachable(absent));
        assert!(!is_unreachable("Error: Unsupported argument\n\nno such host is expected here"));
    }
}
