//! The AWS CLI: every answer as JSON, no pager, no questions.

use base::proc::CommandLine;
use model::aws::Region;

/// How long the CLI waits for a connection and for an answer, in seconds.
pub const LIMITS: [&str; 4] = ["--cli-connect-timeout", "10", "--cli-read-timeout", "60"];

/// Where keys are in the process's environment.
pub const KEYS: [&str; 3] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];

/// `aws` up to the service.
pub fn command(profile: Option<&str>, region: &Region) -> CommandLine {
    // It asks once: whether and when to ask again is decided where it is known what a second time does.
    let line = CommandLine::new("aws")
        .env("AWS_PAGER", "")
        .env("AWS_CLI_AUTO_PROMPT", "off")
        .env("AWS_RETRY_MODE", "standard")
        .env("AWS_MAX_ATTEMPTS", "1");
    let line = match profile {
        // Keys in the process's environment would win over a profile.
        Some(profile) => KEYS.iter().fold(line, CommandLine::env_remove).args(["--profile", profile]),
        None => line,
    };
    line.args(["--region", region.as_str(), "--output", "json"])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(profile: Option<&str>) -> (String, Vec<String>) {
        let line = command(profile, &"eu-central-1".parse().unwrap());
        let removed = line.env.iter().filter(|(_, value)| value.is_none());
        (line.to_string(), removed.map(|(name, _)| name.to_string_lossy().into_owned()).collect())
    }

    #[test]
    fn every_call_names_its_region_and_profile() {
        let (line, removed) = text(Some("work"));
        assert_eq!(line, "aws --profile work --region eu-central-1 --output json");
        assert_eq!(removed, KEYS);
    }

    #[test]
    fn without_a_profile_the_process_s_credentials_count() {
        assert_eq!(text(None), ("aws --region eu-central-1 --output json".to_owned(), Vec::new()));
    }
}
