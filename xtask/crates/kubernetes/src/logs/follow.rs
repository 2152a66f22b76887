//! Goes on reading: a thread for each pod, those that come later included, until a signal comes.

use super::line::{Line, Lines};
use super::{PodLogs, Reading, log_path};
use crate::Kubernetes;
use anyhow::Result;
use base::ctx::Ctx;
use engine::backend::Sink;
use kube::object;
use kube::path;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

/// How often new pods are looked for, and a connection that has ended is opened again.
const LOOK: Duration = Duration::from_secs(1);
const SLICE: Duration = Duration::from_millis(100);
/// Lines that nobody has read yet; whoever reads slowly slows down the reading.
const UNREAD: usize = 1000;

pub(super) fn follow(
    reading: &mut Reading<'_>,
    logs: &PodLogs<'_>,
    ctx: &Ctx,
    stop: &(dyn Fn() -> bool + Sync),
    sink: &mut Sink<'_>,
) -> Result<()> {
    let core = reading.core;
    let over = AtomicBool::new(false);
    let stop = || over.load(Ordering::SeqCst) || stop() || ctx.interrupts.stopping();
    std::thread::scope(|scope| {
        let (sender, lines) = sync_channel(UNREAD);
        let readers = Readers { scope, core, sender, stop: &stop };
        let mut open = BTreeMap::new();
        let mut looked: Option<Instant> = None;
        let result = loop {
            if stop() {
                break Ok(());
            }
            if looked.is_none_or(|looked| looked.elapsed() >= LOOK) {
                looked = Some(Instant::now());
                // A cluster that does not answer for a moment does not end it.
                let found = logs.pods().unwrap_or_default();
                readers.open(reading, &mut open, &found);
            }
            match lines.recv_timeout(SLICE) {
                Ok(line) => match reading.hand_on(&line, sink) {
                    Ok(true) => {}
                    Ok(false) => break Ok(()),
                    Err(error) => break Err(error),
                },
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break Ok(()),
            }
        };
        over.store(true, Ordering::SeqCst);
        // Whoever waits to hand on a line is let go by this.
        drop(lines);
        result
    })
}

struct Readers<'s, 'e, F> {
    scope: &'s Scope<'s, 'e>,
    core: &'e Kubernetes,
    sender: SyncSender<Line>,
    stop: &'e F,
}

impl<'s, 'e: 's, F: Fn() -> bool + Sync> Readers<'s, 'e, F> {
    /// Has one for each pod that can still say something.
    fn open(&self, reading: &mut Reading<'_>, open: &mut BTreeMap<String, ScopedJoinHandle<'s, ()>>, found: &[Value]) {
        open.retain(|_, reader| !reader.is_finished());
        for pod in found {
            let name = object::name(pod);
            let begun = !matches!(object::text(pod, "/status/phase"), "" | "Pending");
            if !begun || open.contains_key(name) || is_read(reading, pod) {
                continue;
            }
            reading.named = reading.named || reading.last.keys().chain(open.keys()).any(|other| other != name);
            let (core, stop, sender) = (self.core, self.stop, self.sender.clone());
            let (pod, after) = (pod.clone(), reading.last.get(name).cloned().unwrap_or_default());
            open.insert(name.to_owned(), self.scope.spawn(move || read(core, &pod, &after, &sender, stop)));
        }
    }
}

/// Whether all that a pod has said is read: it has ended, and its last line is not new.
fn is_read(reading: &Reading<'_>, pod: &Value) -> bool {
    let ended = matches!(object::text(pod, "/status/phase"), "Succeeded" | "Failed");
    ended && reading.last.contains_key(object::name(pod))
}

/// Reads until the connection ends; it is opened again by whoever looks for pods, as long as there is the pod.
fn read(core: &Kubernetes, pod: &Value, after: &str, sender: &SyncSender<Line>, stop: &dyn Fn() -> bool) {
    let Ok(api) = core.access.api() else { return };
    // Only whole seconds are told apart; what was read already is left out below.
    let since = after.get(..19).map(|second| format!("{second}Z")).unwrap_or_default();
    let at = path::with_query(&log_path(pod), &[("follow", "true"), ("timestamps", "true"), ("sinceTime", &since)]);
    let mut lines = Lines::of(object::name(pod));
    let mut hand_on = |bytes: &[u8]| {
        lines.add(bytes);
        lines.take().into_iter().filter(|line| line.time.as_str() > after).all(|line| sender.send(line).is_ok())
    };
    // Why it has ended shows when it is opened again, or is that the pod is gone.
    let _ = api.stream(&at, stop, &mut hand_on);
}
