//! The AWS CLI: every answer as JSON, no pager, no questions.

use crate::proc::CommandLine;
use crate::spec::aws::Region;

/// `aws` up to the service.
pub fn command(profile: Option<&str>, region: &Region) -> CommandLine {
    let line = CommandLine::new("aws").env("AWS_PAGER", "").env("AWS_CLI_AUTO_PROMPT", "off");
    let line = match profile {
        // Keys in the process's environment would win over a profile.
        Some(profile) => line
            .env_remove("AWS_ACCESS_KEY_ID")
            .env_remove("AWS_SECRET_ACCESS_KEY")
            .env_remove("AWS_SESSION_TOKEN")
            .args(["--profile", profile]),
        None => line.env_remove("AWS_PROFILE"),
    };
    line.args(["--region", region.as_str(), "--output", "json"])
}
