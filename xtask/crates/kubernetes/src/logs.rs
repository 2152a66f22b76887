//! What the pods of a service or a job say: all of them, in the order of time.
//!
//! Every line comes with its time, which is cut off again. It puts the lines of several pods in order, and tells where to
//! go on when a connection ends before its pod does.

mod follow;
mod line;

use self::line::{Line, Lines};
use super::{Kubernetes, pods};
use anyhow::Result;
use base::ctx::Ctx;
use base::error::Fault;
use base::terminal;
use engine::backend::{LogLine, LogRequest, LogSource, Said, Sink, Speaker};
use kube::object;
use kube::{Refusal, path};
use serde_json::Value;
use std::collections::BTreeMap;

pub(super) struct PodLogs<'t> {
    pub(super) core: &'t Kubernetes,
    pub(super) speaker: Speaker,
}

impl PodLogs<'_> {
    fn pods(&self) -> Result<Vec<Value>> {
        let name = match &self.speaker {
            Speaker::Service(_, service) => service.as_str(),
            Speaker::Job(_, job) => job.as_str(),
        };
        pods::of(self.core, self.speaker.system(), name)
    }
}

impl LogSource for PodLogs<'_> {
    fn read(
        &self,
        ctx: &Ctx,
        request: &LogRequest,
        stop: &(dyn Fn() -> bool + Sync),
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        self.core.records.learn_secrets();
        let found = self.pods()?;
        if found.is_empty() {
            let environment = &self.core.deployment.environment;
            let cause = format!("`{}` has no pod in environment `{}`", self.speaker.shown(), environment.name);
            let hint = match &self.speaker {
                Speaker::Service(..) => format!("`{}` shows what runs", environment.command("status")),
                // The pods of one that has ended are removed with it.
                Speaker::Job(..) => format!("`{}` shows what it said in a run", environment.command("report")),
            };
            return Err(Fault::failed("no-logs", cause).hint(hint).into());
        }
        let mut reading = Reading { core: self.core, named: found.len() > 1, last: BTreeMap::new() };
        for line in reading.so_far(ctx, request, &found)? {
            if !reading.hand_on(&line, sink)? {
                return Ok(());
            }
        }
        let is_read = sink(Said::UpToNow)?;
        if request.follow && is_read { follow::follow(&mut reading, self, ctx, stop, sink) } else { Ok(()) }
    }
}

struct Reading<'t> {
    core: &'t Kubernetes,
    /// There were several pods, so that each line says whose it is.
    named: bool,
    /// The time of the last line of each pod.
    last: BTreeMap<String, String>,
}

impl Reading<'_> {
    /// What was said up to now, in order.
    fn so_far(&self, ctx: &Ctx, request: &LogRequest, found: &[Value]) -> Result<Vec<Line>> {
        let read = |pod: &Value| {
            let mut lines = Lines::of(object::name(pod));
            let query = query(request);
            let query: Vec<(&str, &str)> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let at = path::with_query(&log_path(pod), &query);
            let api = self.core.access.api()?;
            let asked = api.stream(&at, &|| ctx.interrupts.stopping(), &mut |bytes| lines.add(bytes));
            Ok::<_, anyhow::Error>(asked.map(|()| lines.finish()))
        };
        let answers: Vec<_> = std::thread::scope(|scope| {
            let asked: Vec<_> = found.iter().map(|pod| scope.spawn(move || read(pod))).collect();
            asked.into_iter().filter_map(|asked| asked.join().ok()).collect()
        });
        let mut lines = Vec::new();
        for (pod, answer) in found.iter().zip(answers) {
            match answer? {
                Ok(own) => lines.extend(own),
                // One that has not begun has said nothing, for a reason of its own.
                Err(refusal) => unread(pod, &refusal),
            }
        }
        // Those of one pod stay as they came.
        lines.sort_by(|a, b| a.time.cmp(&b.time));
        Ok(lines)
    }

    /// Whether somebody still reads.
    fn hand_on(&mut self, line: &Line, sink: &mut Sink<'_>) -> Result<bool> {
        match self.last.get_mut(&line.pod) {
            Some(last) => last.clone_from(&line.time),
            None => drop(self.last.insert(line.pod.clone(), line.time.clone())),
        }
        sink(Said::Line(LogLine {
            text: line.text.clone().into_bytes(),
            time: humantime::parse_rfc3339(&line.time).ok(),
            instance: self.named.then(|| line.pod.clone()),
        }))
    }
}

fn unread(pod: &Value, refusal: &Refusal) {
    let why = pods::trouble(pod).unwrap_or_else(|| refusal.message.clone());
    terminal::say(&format!("- {} has logged nothing: {why}", object::name(pod)));
}

fn log_path(pod: &Value) -> String {
    format!("{}/log", path::POD.at(object::namespace(pod), object::name(pod)))
}

fn query(request: &LogRequest) -> Vec<(&'static str, String)> {
    let mut query = vec![("timestamps", "true".to_owned())];
    if request.lines != usize::MAX {
        query.push(("tailLines", request.lines.to_string()));
    }
    if let Some(since) = request.since {
        // Whole seconds, of which there must be one.
        query.push(("sinceSeconds", since.as_secs().max(1).to_string()));
    }
    query
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_cluster_is_asked_for_no_more_than_is_wanted() {
        let request = LogRequest { lines: 7, since: Some(Duration::from_millis(300)), follow: true };
        let asked =
            path::with_query("/log", &query(&request).iter().map(|(n, v)| (*n, v.as_str())).collect::<Vec<_>>());
        assert_eq!(asked, "/log?timestamps=true&tailLines=7&sinceSeconds=1");
        let request = LogRequest { lines: usize::MAX, since: None, follow: false };
        assert_eq!(query(&request), [("timestamps", "true".to_owned())]);
    }
}
