//! A report as people read it: a line per group when all is well, a few lines per finding when not.

use super::fix::Fix;
use super::{Checked, Group, Outcome, Report};
use base::terminal::Paint;

/// The environment that commands assume.
const DEFAULT: &str = "local";

/// ` --env NAME`, unless that is the default.
pub(super) fn env_flag(environment: &str) -> String {
    if environment == DEFAULT { String::new() } else { format!(" --env {environment}") }
}

/// The findings by group. Verbose shows passes and skips one by one.
pub fn findings(report: &Report, paint: Paint, verbose: bool) -> String {
    let groups = [Group::Repository, Group::Tools, Group::Machine, Group::Aws, Group::Cluster, Group::State];
    let groups = groups.iter().filter_map(|group| {
        let checks: Vec<&Checked> = report.checks.iter().filter(|checked| checked.group == *group).collect();
        let lines = group_lines(&checks, paint, verbose);
        (!lines.is_empty()).then(|| format!("{}\n{}", group.as_str(), lines.join("\n")))
    });
    groups.collect::<Vec<_>>().join("\n")
}

fn group_lines(checks: &[&Checked], paint: Paint, verbose: bool) -> Vec<String> {
    let passed: Vec<_> = checks.iter().filter(|checked| checked.finding.outcome == Outcome::Pass).collect();
    let mut lines = Vec::new();
    if !verbose && !passed.is_empty() {
        let name = |checked: &&&Checked| match checked.group {
            // Which versions these are is what a bug report needs.
            Group::Tools => headline(checked),
            _ => checked.title.clone(),
        };
        let titles: Vec<_> = passed.iter().map(name).collect();
        lines.push(format!("  {} {}", mark(Outcome::Pass, paint), titles.join(", ")));
    }
    for checked in checks {
        if verbose || matches!(checked.finding.outcome, Outcome::Warn | Outcome::Fail) {
            lines.extend(check_lines(checked, paint).iter().map(|line| format!("  {line}")));
        }
    }
    lines
}

/// "✗ terraform 1.4.0, need >=1.9", then why it matters, then what mends it.
fn check_lines(checked: &Checked, paint: Paint) -> Vec<String> {
    let finding = &checked.finding;
    let mut lines = vec![format!("{} {}", mark(finding.outcome, paint), headline(checked))];
    if let (Some(detail), false) = (&finding.detail, finding.outcome == Outcome::Skip) {
        lines.extend(detail.lines().map(|line| format!("  {}", paint.dim(line))));
    }
    lines.extend(finding.fix.iter().map(|fix| format!("  fix: {fix}")));
    lines
}

fn headline(checked: &Checked) -> String {
    let finding = &checked.finding;
    let found = finding.found.as_deref();
    let want = finding.want.as_deref().map(|want| format!(", need {want}")).unwrap_or_default();
    match finding.outcome {
        // "redis-server 7.0.15" says it is Redis.
        Outcome::Pass if found.is_some_and(|found| found.starts_with(&checked.title)) => {
            found.unwrap_or_default().to_owned()
        }
        Outcome::Pass => format!("{} {}", checked.title, found.unwrap_or_default()).trim_end().to_owned(),
        Outcome::Skip => format!("{}: {}", checked.title, finding.detail.as_deref().unwrap_or_default()),
        Outcome::Warn | Outcome::Fail => format!("{} {}{want}", checked.title, found.unwrap_or(absent(checked))),
    }
}

/// What to call a thing of which nothing was found.
fn absent(checked: &Checked) -> &'static str {
    if checked.group == Group::Tools { "missing" } else { "unknown" }
}

fn mark(outcome: Outcome, paint: Paint) -> String {
    match outcome {
        Outcome::Pass => paint.good("✓"),
        Outcome::Warn => paint.warn("!"),
        Outcome::Fail => paint.bad("✗"),
        Outcome::Skip => paint.dim("-"),
    }
}

/// A failed check as part of an error.
pub(super) fn cause(checked: &Checked) -> String {
    match (checked.finding.found.as_deref(), &checked.finding.detail) {
        // Of a question that is answered by yes or no the detail says all.
        (Some("no"), Some(detail)) => detail.clone(),
        (_, Some(detail)) => format!("{}: {detail}", headline(checked)),
        (_, None) => headline(checked),
    }
}

/// The last line: how it stands, and what to type next.
pub fn verdict(report: &Report, environment: &str, paint: Paint) -> String {
    let flag = env_flag(environment);
    let count = |outcome, word: &str| match report.count(outcome) {
        0 => None,
        1 => Some(format!("1 {word}")),
        count => Some(format!("{count} {word}s")),
    };
    let counts = [count(Outcome::Fail, "failure"), count(Outcome::Warn, "warning")];
    let counts = counts.into_iter().flatten().collect::<Vec<_>>().join(", ");
    if !report.ok() {
        let can_try = report.checks.iter().any(|checked| is_failed(checked) && runs(checked));
        let next =
            if can_try { format!("cargo xtask doctor{flag} --fix") } else { format!("cargo xtask doctor{flag}") };
        let first = if can_try { "try to fix that" } else { "fix that, then" };
        return format!("{} `{environment}`: {counts}; {first}: {next}", paint.bad("not ready for"));
    }
    let counts = if counts.is_empty() { String::new() } else { format!(" ({counts})") };
    format!("{} `{environment}`{counts}; next: cargo xtask deploy{flag}", paint.good("ready for"))
}

fn is_failed(checked: &Checked) -> bool {
    checked.finding.outcome == Outcome::Fail
}

fn runs(checked: &Checked) -> bool {
    checked.finding.fix.iter().any(|fix| matches!(fix, Fix::Run(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Finding;
    use base::proc::CommandLine;
    use std::time::Duration;

    fn checked(group: Group, id: &str, title: &str, finding: Finding) -> Checked {
        Checked { id: id.to_owned(), group, title: title.to_owned(), finding, took: Duration::from_millis(3) }
    }

    fn report() -> Report {
        let upgrade = Fix::Run(CommandLine::new("brew").args(["upgrade", "terraform"]));
        let old = Finding::fail("AWS resources are made with it").found("1.4.0").want(">=1.9").fix([upgrade]);
        let checks = vec![
            checked(Group::Tools, "tool.cargo", "cargo", Finding::pass("1.95.0").want(">=1.91.0")),
            checked(Group::Tools, "tool.git", "git", Finding::pass("2.39.5")),
            checked(Group::Tools, "tool.terraform", "terraform", old),
            checked(Group::Tools, "tool.helm", "helm", Finding::skip("not needed for `prod`")),
            checked(Group::State, "state.lease", "lease", Finding::warn("wait for it").found("held by alice")),
        ];
        Report { checks }
    }

    #[test]
    fn passes_collapse_and_misses_say_what_to_do() {
        let text = findings(&report(), Paint::plain(), false);
        let expected = "tools\n  ✓ cargo 1.95.0, git 2.39.5\n  ✗ terraform 1.4.0, need >=1.9\n    AWS resources are made with it\n    \
            fix: brew upgrade terraform\nstate\n  ! lease held by alice\n    wait for it";
        assert_eq!(text, expected);
    }

    #[test]
    fn verbose_shows_every_check_of_the_document() {
        let report = report();
        let text = findings(&report, Paint::plain(), true);
        assert!(text.contains("✓ cargo 1.95.0\n") && text.contains("- helm: not needed for `prod`\n"));
        let document = report.to_json();
        let ids: Vec<_> =
            document["checks"].as_array().unwrap().iter().map(|check| check["id"].as_str().unwrap()).collect();
        let titles: Vec<_> = report.checks.iter().map(|checked| (checked.id.as_str(), &checked.title)).collect();
        assert_eq!(ids, titles.iter().map(|(id, _)| *id).collect::<Vec<_>>());
        let marked =
            text.lines().filter(|line| ["✓", "✗", "!", "-"].iter().any(|mark| line.starts_with(&format!("  {mark} "))));
        for (line, (_, title)) in marked.zip(&titles) {
            assert!(line[..].contains(title.as_str()), "{line} is not about {title}");
        }
        let lines = text.lines().filter(|line| line.starts_with("  ") && !line.starts_with("    "));
        assert_eq!(lines.count(), ids.len());
    }

    #[test]
    fn an_error_has_its_cause_in_words_and_its_hint_for_the_environment() {
        let refused = Finding::fail("`/x` cannot be written to").found("no").want("yes");
        let missing = Finding::fail("it runs containers");
        let checks = [
            checked(Group::Repository, "repo.writable", "write access", refused),
            checked(Group::Tools, "tool.podman", "podman", missing),
        ];
        let fault = crate::fault("try", &checks);
        assert_eq!(fault.cause, "`/x` cannot be written to\npodman missing: it runs containers");
        assert_eq!(fault.hint.as_deref(), Some("`cargo xtask doctor --env try` shows it all"));
    }

    #[test]
    fn the_document_counts_what_it_lists() {
        let document = report().to_json();
        assert_eq!(document["schema"], 1);
        assert_eq!(document["ok"], false);
        assert_eq!(document["summary"], serde_json::json!({"pass": 2, "warn": 1, "fail": 1, "skip": 1}));
        let terraform = &document["checks"][2];
        assert_eq!(terraform["fix"], serde_json::json!(["brew upgrade terraform"]));
        assert_eq!((&terraform["outcome"], &terraform["ms"]), (&"fail".into(), &3.into()));
        assert_eq!(document["checks"][1]["want"], serde_json::Value::Null);
    }

    #[test]
    fn the_last_line_says_what_to_type() {
        assert_eq!(
            verdict(&report(), "prod", Paint::plain()),
            "not ready for `prod`: 1 failure, 1 warning; try to fix that: cargo xtask doctor --env prod --fix"
        );
        let mut good = report();
        good.checks.retain(|checked| !is_failed(checked));
        assert_eq!(verdict(&good, "local", Paint::plain()), "ready for `local` (1 warning); next: cargo xtask deploy");
    }
}
