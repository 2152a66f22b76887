//! What people see. Standard error carries progress, questions and errors; standard output carries results only.

mod bars;
mod lines;

pub use base::terminal::{Paint, confirm, confirm_name, say};

use anyhow::Result;
use base::ctx::Ctx;
use base::error::{Exit, Fault};
use base::redact;
use engine::journal::{Event, StepEnd, StepResult, Watcher};
use serde_json::Value;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

/// What a terminal that was closed answers; there is no name for it.
const EIO: i32 = 5;

/// Bars on a terminal, plain lines elsewhere, nothing at all when only a document is wanted and nobody watches.
pub fn watcher(ctx: &Ctx) -> Box<dyn Watcher> {
    let paint = Paint::new(ctx);
    if ctx.terminal { Box::new(bars::Bars::new(paint)) } else { Box::new(lines::Lines::new(paint, false)) }
}

/// Lines, and what jobs say on standard output.
pub fn aloud(ctx: &Ctx) -> Box<dyn Watcher> {
    Box::new(lines::Lines::new(Paint::new(ctx), true))
}

/// The line for the end of a step: mark, name, what came of it.
fn end_line(paint: Paint, step: &str, end: &StepEnd) -> String {
    let reason = end.reason.as_deref().or(end.failure.as_ref().map(|fault| fault.cause.as_str())).unwrap_or_default();
    // The whole cause, which may be many lines, is printed once at the end.
    let reason = reason.lines().next().unwrap_or_default().trim_end_matches(':');
    let separator = if reason.is_empty() { "" } else { ": " };
    let took =
        if end.seconds >= 0.05 { format!(" {}", paint.dim(&format!("({:.1} s)", end.seconds))) } else { String::new() };
    let (mark, word) = match end.result {
        StepResult::Done => (paint.good("✓"), "done"),
        StepResult::Unchanged => (paint.dim("="), "unchanged"),
        StepResult::Failed => (paint.bad("✗"), "failed"),
        StepResult::Skipped => (paint.warn("-"), "skipped"),
        StepResult::Cancelled => (paint.warn("!"), "cancelled"),
    };
    format!("{mark} {step} {word}{separator}{reason}{took}")
}

/// Prints an error: what failed and why, then what to type next.
pub fn print_fault(fault: &Fault) {
    let mut err = std::io::stderr().lock();
    // Nothing better can be done when standard error is closed.
    let _ = match fault.exit {
        Exit::Interrupted(_) => writeln!(err, "{}", redact::text(&fault.cause)),
        _ => writeln!(err, "error: {}", redact::text(&fault.cause)),
    };
    if let Some(hint) = &fault.hint {
        let _ = writeln!(err, "  hint: {}", redact::text(hint));
    }
}

/// Prints what is wrong with a command line, or the help that it asked for; the latter is a result.
pub fn print_usage(wrong: &clap::Error) -> ExitCode {
    let said = wrong.to_string();
    // A reader that has gone away has seen enough.
    let _ = match redact::text(&said) {
        shown if shown != said => write!(std::io::stderr(), "{shown}"),
        _ => wrong.print(),
    };
    if wrong.use_stderr() { ExitCode::from(Exit::Usage.code()) } else { ExitCode::SUCCESS }
}

/// Prints a result.
///
/// # Errors
/// When standard output cannot be written; a reader that has gone away is not an error.
pub fn result(text: &str) -> Result<()> {
    written(&redact::text(text))
}

fn written(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe || error.raw_os_error() == Some(EIO) => Ok(()),
        written => Ok(written?),
    }
}

/// Prints a result as one document.
///
/// # Errors
/// Those of [`result`].
pub fn document(value: &Value) -> Result<()> {
    written(&format!("{:#}", redact::document(value)))
}

/// What was measured or gathered, as a sentence.
fn news(event: &Event) -> Option<String> {
    match event {
        Event::Measured { service, requests, failed, longest_gap, .. } => Some(format!(
            "`{service}` was asked {requests} times meanwhile, {failed} failed, the longest gap was {} ms",
            longest_gap.as_millis()
        )),
        Event::Diagnostics { path, .. } => Some(format!("all that was gathered is in `{}`", path.display())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_step_has_the_beginning_of_its_cause_and_does_not_end_in_the_middle() {
        let failure = Some(Fault::failed("build-failed", "cargo built nothing:\nerror: no such package"));
        let end = StepEnd { result: StepResult::Failed, seconds: 0.3, reason: None, failure };
        assert_eq!(end_line(Paint::plain(), "build", &end), "✗ build failed: cargo built nothing (0.3 s)");
    }
}
