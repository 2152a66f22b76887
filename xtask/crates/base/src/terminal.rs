//! What a person is told and asked on a terminal, and how it is coloured. Standard error carries it.

use crate::ctx::Ctx;
use crate::error::Fault;
use crate::redact;
use anyhow::Result;
use std::io::{BufRead, IsTerminal, Write};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// How often a wait for an answer looks whether a signal has arrived.
const SLICE: Duration = Duration::from_millis(20);
/// How much later than the end of standard input the signal may come that tells of a terminal's end.
const HANGUP_WITHIN: Duration = Duration::from_millis(300);

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

    /// The name of one of several, each in a colour of its own as far as there are any.
    pub fn name(self, nth: usize, text: &str) -> String {
        const COLOURS: [&str; 6] = ["36", "35", "34", "32", "33", "96"];
        self.wrap(COLOURS[nth % COLOURS.len()], text)
    }
}

/// Says something to whoever watches.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", redact::text(text));
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
        let cause = format!("{about}; this is not a terminal, so you cannot be asked");
        return Err(Fault::usage(cause).hint("add `--yes`").into());
    }
    let answer = ask(ctx, &format!("{about}. Go on? [y/N] "))?;
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
        let cause = format!("{about}; this is not a terminal, so you cannot be asked");
        return Err(Fault::usage(cause).hint("add `--yes`").into());
    }
    let answer = ask(ctx, &format!("{about}. Type its name to continue: "))?;
    Ok(answer.trim() == name)
}

/// Asks, and waits for a line. The only place that reads what a person types.
///
/// # Errors
/// When a signal arrives first, or standard input cannot be read.
fn ask(ctx: &Ctx, question: &str) -> Result<String> {
    let _ = write!(std::io::stderr().lock(), "{}", redact::text(question));
    let interrupted = |signal| {
        // The cursor is behind the question.
        say("");
        Fault::interrupted(signal).into()
    };
    let (sender, answered) = channel();
    // A read cannot be ended, so that somebody else waits for it, to the end of the process if need be.
    std::thread::spawn(move || {
        let mut answer = String::new();
        let read = std::io::stdin().lock().read_line(&mut answer);
        let _ = sender.send(read.map(|_| answer));
    });
    loop {
        if let Some(signal) = ctx.interrupts.first() {
            return Err(interrupted(signal));
        }
        let answer = match answered.recv_timeout(SLICE) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return Ok(String::new()),
        };
        // An answer without an end of its line: the terminal may be gone.
        let ended = answer.as_ref().is_ok_and(|answer| answer.ends_with('\n'));
        return match ctx.interrupts.first() {
            _ if !ended && ctx.interrupts.pause(HANGUP_WITHIN) => {
                Err(interrupted(ctx.interrupts.first().unwrap_or_default()))
            }
            Some(signal) => Err(interrupted(signal)),
            None => Ok(answer?),
        };
    }
}
