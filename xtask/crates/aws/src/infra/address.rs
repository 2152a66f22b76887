//! The address that this machine is seen with, from which the cluster's API is to be reached where nobody says otherwise.

use anyhow::Result;
use base::error::Fault;
use base::proc::{CommandLine, Finished, Proc};
use model::environment::Environment;
use std::net::Ipv4Addr;
use std::time::Duration;

/// AWS's own service for this question.
const ASKED: &str = "https://checkip.amazonaws.com";
const TIMEOUT: Duration = Duration::from_secs(6);

/// The endpoint of a cluster takes networks of IPv4.
fn line() -> CommandLine {
    let seconds = TIMEOUT.as_secs().to_string();
    // What the user has set for `curl` could change the answer.
    CommandLine::new("curl")
        .args([
            "--disable",
            "--silent",
            "--show-error",
            "--fail",
            "--ipv4",
            "--proto",
            "=https",
            "--max-time",
            &seconds,
        ])
        .arg(ASKED)
}

/// # Errors
/// When it cannot be told, with the setting that takes its place.
pub(super) fn own(proc: &Proc, environment: &Environment) -> Result<String> {
    let answer = proc.ask(&line(), TIMEOUT + Duration::from_secs(1))?;
    read(answer.as_ref()).map(|address| format!("{address}/32")).map_err(|why| {
        let cause = format!("cannot determine this machine's public address: {why}");
        let local = format!("deploy/environments/{}.local.toml", environment.name);
        let hint = format!(
            "say who may reach the cluster's API: `--set access_cidrs=ADDRESS/32`, or `access_cidrs` in `{local}`"
        );
        Fault::could_not_run("address-unknown", cause).hint(hint).into()
    })
}

fn read(answer: Option<&Finished>) -> Result<Ipv4Addr, String> {
    let Some(answer) = answer else { return Err(format!("{ASKED} did not answer")) };
    if !answer.success {
        return Err(answer.stderr.lines().next().unwrap_or(&answer.status).to_owned());
    }
    // Something in between may answer in its place, with a page to sign in for one.
    let said = answer.stdout.trim();
    said.parse().map_err(|_| format!("{ASKED} did not answer with an address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(success: bool, stdout: &str, stderr: &str) -> Result<Ipv4Addr, String> {
        let status = "exit status: 6".to_owned();
        read(Some(&Finished { success, status, stdout: stdout.to_owned(), stderr: stderr.to_owned() }))
    }

    #[test]
    fn only_an_address_is_taken_for_one() {
        assert_eq!(answered(true, "203.0.113.7\n", ""), Ok(Ipv4Addr::new(203, 0, 113, 7)));
        assert!(answered(true, "<html>Please sign in</html>", "").is_err());
        let why = "curl: (6) Could not resolve host: checkip.amazonaws.com";
        assert_eq!(answered(false, "", why), Err(why.to_owned()));
        assert!(read(None).is_err());
    }
}
