//! What people see. Standard error carries progress, questions and errors; standard output carries results only.

mod bars;
mod lines;
pub mod table;

use crate::ctx::Ctx;
use crate::error::{Exit, Fault};
use crate::journal::{Event, StepEnd, StepResult, Watcher};
use anyhow::Result;
use serde_json::Value;
use std::io::{BufRead, IsTerminal, Write};
use std::process::ExitCode;

/// Whether and how to colour. Colour only repeats what a mark or a word says already.
#[derive(Debug, Clone, Copy)]
pub struct Paint {
    colour: bool,
}

impl Paint {
    /// Colour on a terminal, unless `NO_COLOR` is set (no-color.org).
    pub fn new(ctx: &Ctx) -> Self {
        Self { colour: ctx.terminal && ctx.vars.get("NO_COLOR").is_none() }
    }

    /// For what goes to standard output, which may be a file while a person watches standard error.
    pub fn of_result(ctx: &Ctx) -> Self {
        if std::io::stdout().is_terminal() { Self::new(ctx) } else { Self::plain() }
    }

    pub fn plain() -> Self {
        Self { colour: false }
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    pub fn good(self, text: &str) -> String {
        self.wrap("32", text)
    }

    pub fn bad(self, text: &str) -> String {
        self.wrap("31;1", text)
    }

    pub fn warn(self, text: &str) -> String {
        self.wrap("33", text)
    }

    pub fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }
}

/// Bars on a terminal, plain lines elsewhere, nothing at all when only a document is wanted and nobody watches.
pub fn watcher(ctx: &Ctx) -> Box<dyn Watcher> {
    let paint = Paint::new(ctx);
    if ctx.terminal { Box::new(bars::Bars::new(paint)) } else { Box::new(lines::Lines::new(paint)) }
}

/// A watcher for runs whose answer is their only output.
pub fn nobody() -> Box<dyn Watcher> {
    struct Nobody;
    impl Watcher for Nobody {
        fn event(&mut self, _: &Event) {}
    }
    Box::new(Nobody)
}

/// The line for the end of a step: mark, name, what came of it.
fn end_line(paint: Paint, step: &str, end: &StepEnd) -> String {
    let reason = end.reason.as_deref().or(end.failure.as_ref().map(|fault| fault.cause.as_str())).unwrap_or_default();
    // The whole cause, which may be many lines, is printed once at the end.
    let reason = reason.lines().next().unwrap_or_default();
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
        Exit::Interrupted(_) => writeln!(err, "{}", fault.cause),
        _ => writeln!(err, "error: {}", fault.cause),
    };
    if let Some(hint) = &fault.hint {
        let _ = writeln!(err, "  hint: {hint}");
    }
}

/// Prints what is wrong with a command line, or the help that it asked for; the latter is a result.
pub fn print_usage(wrong: &clap::Error) -> ExitCode {
    // A reader that has gone away has seen enough.
    let _ = wrong.print();
    if wrong.use_stderr() { ExitCode::from(Exit::Usage.code()) } else { ExitCode::SUCCESS }
}

/// Says something to whoever watches.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// "1 service", "3 services"
pub fn counted(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// Prints a result.
///
/// # Errors
/// When standard output cannot be written; a reader that has gone away is not an error.
pub fn result(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Prints a result as one document.
///
/// # Errors
/// Those of [`result`].
pub fn document(value: &Value) -> Result<()> {
    result(&format!("{value:#}"))
}

/// Says what is about to happen and asks whether to go on, which `--yes` answers; the default answer is no.
///
/// # Errors
/// When nobody can be asked: the flag is then named (exit 2).
pub fn confirm(ctx: &Ctx, yes: bool, about: &str) -> Result<bool> {
    if yes {
        return Ok(true);
    }
    if !ctx.can_ask {
        let cause = format!("{about}, and nobody can be asked: this is not a terminal");
        return Err(Fault::usage(cause).hint("add `--yes`").into());
    }
    let _ = write!(std::io::stderr().lock(), "{about}. Go on? [y/N] ");
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// Asks a person to type a name, so that nobody says yes to the wrong thing. `yes` stands for it.
///
/// # Errors
/// Usage, when nobody can be asked.
pub fn confirm_name(ctx: &Ctx, yes: bool, name: &str, about: &str) -> Result<bool> {
    if yes {
        return Ok(true);
    }
    if !ctx.can_ask {
        let cause = format!("{about}, and nobody can be asked: this is not a terminal");
        return Err(Fault::usage(cause).hint("add `--yes`").into());
    }
    let _ = write!(std::io::stderr().lock(), "{about}. Type its name to go on: ");
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim() == name)
}

/// What was measured or gathered, as a sentence.
fn news(event: &Event) -> Option<String> {
    match event {
        Event::Measured { service, requests, failed, longest_gap, .. } => Some(format!(
            "`{service}` was asked {requests} times meanwhile, {failed} failed, the longest gap was {} ms",
            longest_gap.as_millis()
        )),
        Event::Dossier { path, .. } => Some(format!("all that was gathered is in `{}`", path.display())),
        _ => None,
    }
}
