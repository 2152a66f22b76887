//! `logs`: what services and jobs have said, in one stream by time, and with `--follow` what they go on saying.

mod entry;
mod line;
mod screen;
mod speakers;

use self::entry::{Assembly, Entry};
use self::screen::Screen;
use super::unreadable;
use crate::Backends;
use crate::cli::LogsArgs;
use anyhow::Result;
use base::ctx::Ctx;
use base::error::{Exit, Fault};
use engine::backend::{LogRequest, LogSource, Said, Speaker};
use engine::deployment::Deployment;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant, SystemTime};

/// Lines that nobody has shown yet; whoever reads slowly slows down the reading.
const UNREAD: usize = 1000;
/// How often it is looked whether an entry is whole.
const SLICE: Duration = Duration::from_millis(50);

/// What is wanted of each entry.
struct Filter<'a> {
    args: &'a LogsArgs,
    from: Option<SystemTime>,
}

/// What came of the reading of one log: the number of its speaker, and a line, or how it ended.
type Heard = (usize, Result<Said>);

/// # Errors
/// When nobody of that name is known, or those that are have said nothing yet.
pub fn run(args: &LogsArgs, ctx: &Ctx, backends: &Backends) -> Result<Exit> {
    let deployment = Deployment::load_recorded(ctx, &args.environment, &[])?;
    unreadable::tell(&deployment);
    let target = (backends.open)(deployment, ctx)?;
    let speakers = speakers::meant(target.as_ref(), &args.names)?;
    let screen = Screen::new(ctx, args.raw, &speakers);
    let sources: Vec<Box<dyn LogSource + '_>> = speakers.iter().map(|speaker| target.logs(speaker)).collect();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (sender, heard) = sync_channel::<Heard>(UNREAD);
        for (nth, source) in sources.iter().enumerate() {
            let (sender, over) = (sender.clone(), &over);
            scope.spawn(move || listen(ctx, args, (nth, source.as_ref()), over, &sender));
        }
        drop(sender);
        let result = show(args, &speakers, &screen, &heard);
        over.store(true, Ordering::SeqCst);
        // Whoever waits to hand on a line is let go by this.
        drop(heard);
        result
    })?;
    Ok(ctx.interrupts.first().map_or(Exit::Done, Exit::Interrupted))
}

fn listen(
    ctx: &Ctx,
    args: &LogsArgs,
    (nth, source): (usize, &dyn LogSource),
    over: &AtomicBool,
    sender: &SyncSender<Heard>,
) {
    // Which of the last lines are wanted is known once they are in order, and those that are not are left out.
    let narrowed = args.grep.is_some() || args.level.is_some();
    let lines = if narrowed { usize::MAX } else { args.lines };
    let request = LogRequest { lines, since: args.since, follow: args.follow };
    let stop = || over.load(Ordering::SeqCst);
    let read = source.read(ctx, &request, &stop, &mut |said| Ok(sender.send((nth, Ok(said))).is_ok()));
    if let Err(error) = read {
        // Whoever is not there any more needs no answer.
        let _ = sender.send((nth, Err(error)));
    }
}

fn show(args: &LogsArgs, speakers: &[Speaker], screen: &Screen, heard: &Receiver<Heard>) -> Result<()> {
    let from = args.since.map(|since| SystemTime::now().checked_sub(since).unwrap_or(SystemTime::UNIX_EPOCH));
    let filter = Filter { args, from };
    let (so_far, mut assemblies) = so_far(speakers, &filter, heard)?;
    let wanted: Vec<&Entry> = so_far.iter().filter(|entry| filter.wants(entry)).collect();
    if !screen.print_last(&wanted, args.lines)? {
        return Ok(());
    }
    loop {
        let next = heard.recv_timeout(SLICE);
        let (now, ended) = (Instant::now(), matches!(next, Err(RecvTimeoutError::Disconnected)));
        match next {
            Ok((nth, Ok(Said::Line(line)))) => assemblies[nth].add(line, now),
            // One that cannot be followed any more leaves the others.
            Ok((nth, Err(error))) if speakers.len() > 1 => {
                base::terminal::say(&format!("- {}: {error:#}", speakers[nth].shown()));
            }
            Ok((_, Err(error))) => return Err(error),
            Ok((_, Ok(Said::UpToNow))) | Err(_) => {}
        }
        for assembly in &mut assemblies {
            let whole = assembly.take_whole(now, ended);
            for entry in whole.iter().filter(|entry| filter.wants(entry)) {
                if !screen.print(entry)? {
                    return Ok(());
                }
            }
        }
        if ended {
            return Ok(());
        }
    }
}

/// What was said up to now by all of them, in the order of time, and what goes on with the rest.
fn so_far(speakers: &[Speaker], filter: &Filter<'_>, heard: &Receiver<Heard>) -> Result<(Vec<Entry>, Vec<Assembly>)> {
    let mut assemblies: Vec<Assembly> = (0..speakers.len()).map(Assembly::of).collect();
    let mut silent: Vec<anyhow::Error> = Vec::new();
    let mut waited_for = speakers.len();
    while waited_for > 0 {
        match heard.recv() {
            Ok((nth, Ok(Said::Line(line)))) => assemblies[nth].add(line, Instant::now()),
            Ok((_, Ok(Said::UpToNow))) => waited_for -= 1,
            Ok((_, Err(error))) if is_silence(&error) => {
                waited_for -= 1;
                silent.push(error);
            }
            Ok((_, Err(error))) => return Err(error),
            // An interrupted one says nothing.
            Err(_) => break,
        }
    }
    if silent.len() == speakers.len() {
        return Err(silent.swap_remove(0));
    }
    let mut entries = Vec::new();
    for (assembly, speaker) in assemblies.iter_mut().zip(speakers) {
        let own = assembly.take_whole(Instant::now(), true);
        if filter.from.is_some() && !own.is_empty() && own.iter().all(|entry| entry.time.is_none()) {
            let cause = format!("the log of `{}` has no timestamps, so `--since` cannot be used", speaker.shown());
            return Err(Fault::usage(cause).hint("`--lines` shows the last ones").into());
        }
        entries.extend(own);
    }
    Ok((entry::sorted(entries, speakers.len()), assemblies))
}

fn is_silence(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Fault>().is_some_and(|fault| fault.code == "no-logs")
}

impl Filter<'_> {
    fn wants(&self, entry: &Entry) -> bool {
        let is_new = self.from.is_none_or(|from| entry.time.is_none_or(|time| time >= from));
        // What says no level may be of any.
        let is_grave = self.args.level.is_none_or(|least| entry.level.is_none_or(|level| level >= least));
        is_new && is_grave && self.args.grep.as_ref().is_none_or(|text| entry.contains(text))
    }
}
