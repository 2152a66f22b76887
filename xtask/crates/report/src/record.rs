//! A run as its journal tells it, read back into types.
//!
//! A journal may end in the middle of a line, when its run was killed, and may hold events that only a later version of
//! this tool knows: neither keeps the rest from being read.

use anyhow::Result;
use base::error::Fault;
use engine::journal::{SCHEMA, StepResult};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

/// All that is known of a run. Times are milliseconds since it began.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Run {
    pub name: String,
    pub command: String,
    pub environment: String,
    /// `None` while the run has not ended, or when it never did.
    pub result: Option<String>,
    /// When the last thing that is known of it happened.
    pub last: u64,
    /// When the steps were planned.
    pub planned: u64,
    /// In the order of the plan.
    pub steps: Vec<Step>,
    pub log: Vec<Entry>,
    pub traffic: Vec<Traffic>,
    pub diagnostics: Vec<Diagnostics>,
    /// How many lines could not be read.
    pub unread: usize,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Step {
    pub id: String,
    pub title: String,
    pub needs: Vec<String>,
    /// When it found something to do.
    pub started: Option<u64>,
    pub end: Option<End>,
    /// When it ran which outside program.
    pub commands: Vec<(u64, Vec<String>)>,
    /// What it said that it does or waits for.
    pub said: Vec<(u64, String)>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct End {
    pub at: u64,
    pub result: Option<StepResult>,
    /// From its first question to its end, in milliseconds.
    pub took: u64,
    pub reason: Option<String>,
    pub failure: Option<Finding>,
}

/// A cause, as a failure or its diagnostics have it.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    pub code: String,
    pub cause: String,
    pub hint: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Diagnostics {
    pub step: String,
    pub path: String,
    /// The first cause first.
    pub findings: Vec<Finding>,
}

/// A line of the log; of the whole run when it is of no step.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub at: u64,
    pub step: Option<String>,
    pub text: String,
}

/// What a service was asked while a step replaced it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Traffic {
    pub step: String,
    pub service: String,
    pub samples: Vec<Sample>,
    pub total: Option<Total>,
}

/// Since the sample before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    pub at: u64,
    pub requests: u64,
    pub failed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Total {
    pub requests: u64,
    pub failed: u64,
    /// Between two answers, in milliseconds.
    pub longest_gap: u64,
}

impl Run {
    /// # Errors
    /// When the file cannot be read or is no journal.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|error| {
            Fault::could_not_run("journal-unreadable", format!("`{}` cannot be read: {error}", path.display()))
        })?;
        // A line that was cut off may end within a character.
        let text = String::from_utf8_lossy(&bytes);
        let refused = |why| Fault::could_not_run("not-a-journal", format!("`{}` {why}", path.display()));
        Self::parse(&text).map_err(|why| refused(why).into())
    }

    /// # Errors
    /// Why the text is no journal, to follow the file's name.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut lines = text.lines();
        let first: Value = lines
            .next()
            .and_then(|line| serde_json::from_str(line).ok())
            .filter(|first: &Value| first["event"] == "run")
            .ok_or("is not the journal of a run: its first line does not say which")?;
        if first["schema"].as_u64() != Some(SCHEMA) {
            return Err(format!(
                "was written by another version of this tool: its schema is {}, this one reads {SCHEMA}",
                first["schema"]
            ));
        }
        let mut run = Self {
            name: text_of(&first, "run"),
            command: text_of(&first, "command"),
            environment: text_of(&first, "env"),
            ..Self::default()
        };
        for line in lines {
            match serde_json::from_str::<Value>(line) {
                Ok(record) => run.take(&record),
                Err(_) => run.unread += 1,
            }
        }
        Ok(run)
    }

    fn take(&mut self, record: &Value) {
        let at = record["ms"].as_u64().unwrap_or(self.last);
        self.last = self.last.max(at);
        let step = record["step"].as_str();
        match (record["event"].as_str().unwrap_or_default(), step) {
            ("plan", _) => {
                self.planned = at;
                self.steps.extend(list(record, "steps").iter().map(planned));
            }
            ("note", _) => self.log.push(Entry { at, step: None, text: text_of(record, "text") }),
            ("finished", _) => self.result = Some(text_of(record, "result")),
            (event, Some(step)) => self.take_of_step(event, step, at, record),
            _ => {}
        }
    }

    fn take_of_step(&mut self, event: &str, step: &str, at: u64, record: &Value) {
        match event {
            "started" => self.step(step).started = Some(at),
            "status" | "output" => self.step(step).said.push((at, text_of(record, "text"))),
            "command" => {
                let argv = list(record, "argv").iter().filter_map(Value::as_str).map(str::to_owned).collect();
                self.step(step).commands.push((at, argv));
            }
            "ended" => self.step(step).end = Some(end(at, record)),
            "news" => self.log.push(Entry { at, step: Some(step.to_owned()), text: text_of(record, "text") }),
            "asked" => {
                let sample = Sample { at, requests: count(record, "requests"), failed: count(record, "failed") };
                self.traffic_of(step, &text_of(record, "service")).samples.push(sample);
            }
            "measured" => {
                let total = Total {
                    requests: count(record, "requests"),
                    failed: count(record, "failed"),
                    longest_gap: millis(record, "longest_gap_seconds"),
                };
                self.traffic_of(step, &text_of(record, "service")).total = Some(total);
            }
            // Journals of earlier versions say `dossier`.
            "diagnostics" | "dossier" => self.diagnostics.push(Diagnostics {
                step: step.to_owned(),
                path: text_of(record, "path"),
                findings: list(record, "findings").iter().filter_map(finding).collect(),
            }),
            _ => {}
        }
    }

    /// The step of that name; a journal whose plan was lost still has what became of its steps.
    fn step(&mut self, id: &str) -> &mut Step {
        let index = self.steps.iter().position(|step| step.id == id).unwrap_or_else(|| {
            self.steps.push(Step { id: id.to_owned(), ..Step::default() });
            self.steps.len() - 1
        });
        &mut self.steps[index]
    }

    fn traffic_of(&mut self, step: &str, service: &str) -> &mut Traffic {
        let same = |traffic: &Traffic| traffic.step == step && traffic.service == service;
        let index = self.traffic.iter().position(same).unwrap_or_else(|| {
            let (step, service) = (step.to_owned(), service.to_owned());
            self.traffic.push(Traffic { step, service, ..Traffic::default() });
            self.traffic.len() - 1
        });
        &mut self.traffic[index]
    }
}

fn planned(step: &Value) -> Step {
    let needs = list(step, "needs").iter().filter_map(Value::as_str).map(str::to_owned).collect();
    Step { id: text_of(step, "id"), title: text_of(step, "title"), needs, ..Step::default() }
}

fn end(at: u64, record: &Value) -> End {
    End {
        at,
        result: record["result"].as_str().and_then(StepResult::of_word),
        // A step cannot have begun before the run.
        took: millis(record, "seconds").min(at),
        reason: record["reason"].as_str().map(str::to_owned),
        failure: finding(&record["failure"]),
    }
}

fn finding(value: &Value) -> Option<Finding> {
    let hint = value["hint"].as_str().map(str::to_owned);
    Some(Finding { code: text_of(value, "code"), cause: value["cause"].as_str()?.to_owned(), hint })
}

fn text_of(record: &Value, key: &str) -> String {
    record[key].as_str().unwrap_or_default().to_owned()
}

fn count(record: &Value, key: &str) -> u64 {
    record[key].as_u64().unwrap_or_default()
}

fn list<'r>(record: &'r Value, key: &str) -> &'r [Value] {
    record[key].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Seconds as whole milliseconds.
fn millis(record: &Value, key: &str) -> u64 {
    let seconds = record[key].as_f64().unwrap_or_default().max(0.0);
    // What no duration can hold is as long as can be.
    let duration = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::journal::{Event, PlannedStep, StepEnd};

    const RUN: &str = r#"{"event":"run","schema":1,"run":"20261121T081344Z-7","command":"deploy","env":"try","ms":0}"#;

    fn parse(lines: &[&str]) -> Run {
        Run::parse(&[&[RUN], lines].concat().join("\n")).unwrap()
    }

    /// What the journal writes is what is read here, whatever the journal says of it.
    #[test]
    fn every_event_that_the_journal_writes_is_read_back() {
        let step = || "s".to_owned();
        let fault = Fault::failed("image-pull", "no such image").hint("push it");
        let failed = StepEnd { result: StepResult::Failed, seconds: 1.5, reason: None, failure: Some(fault.clone()) };
        let planned = PlannedStep { id: step(), title: "t".into(), system: Some("x".into()), needs: vec!["n".into()] };
        let events = [
            Event::Run { run: "r".into(), command: "deploy".into(), environment: "try".into() },
            Event::Plan { steps: vec![planned] },
            Event::Started { step: step() },
            Event::Status { step: step(), text: "waits".into() },
            Event::News { step: step(), text: "seen".into() },
            Event::Command { step: step(), argv: vec!["helm".into(), "upgrade".into()] },
            Event::Asked { step: step(), service: "epoch".into(), requests: 200, failed: 1 },
            Event::Measured {
                step: step(),
                service: "epoch".into(),
                requests: 400,
                failed: 2,
                longest_gap: Duration::from_millis(35),
            },
            Event::Diagnostics { step: step(), path: "/d".into(), findings: vec![fault] },
            Event::Ended { step: step(), end: failed },
            Event::Note { text: "taken over".into() },
            Event::Finished { result: "failed".into() },
        ];
        let record = |(index, event): (usize, &Event)| {
            let mut record = event.to_json();
            record["ms"] = serde_json::json!(index * 1000);
            record.to_string()
        };
        let text: Vec<_> = events.iter().enumerate().map(record).collect();
        let run = Run::parse(&text.join("\n")).unwrap();
        let finding =
            Finding { code: "image-pull".into(), cause: "no such image".into(), hint: Some("push it".into()) };
        assert_eq!((run.name.as_str(), run.command.as_str(), run.environment.as_str()), ("r", "deploy", "try"));
        assert_eq!((run.result.as_deref(), run.planned, run.last, run.unread), (Some("failed"), 1000, 11000, 0));
        let wanted = Step {
            id: "s".into(),
            title: "t".into(),
            needs: vec!["n".into()],
            started: Some(2000),
            said: vec![(3000, "waits".into())],
            commands: vec![(5000, vec!["helm".into(), "upgrade".into()])],
            end: Some(End {
                at: 9000,
                result: Some(StepResult::Failed),
                took: 1500,
                reason: None,
                failure: Some(finding.clone()),
            }),
        };
        assert_eq!(run.steps, [wanted]);
        let total = Some(Total { requests: 400, failed: 2, longest_gap: 35 });
        let samples = vec![Sample { at: 6000, requests: 200, failed: 1 }];
        assert_eq!(run.traffic, [Traffic { step: "s".into(), service: "epoch".into(), samples, total }]);
        assert_eq!(run.diagnostics, [Diagnostics { step: "s".into(), path: "/d".into(), findings: vec![finding] }]);
        let log: Vec<_> = run.log.iter().map(|entry| (entry.at, entry.step.as_deref(), entry.text.as_str())).collect();
        assert_eq!(log, [(4000, Some("s"), "seen"), (10000, None, "taken over")]);
    }

    #[test]
    fn a_killed_run_is_read_up_to_where_it_ends() {
        let plan = r#"{"event":"plan","steps":[{"id":"a","title":"A","system":null,"needs":[]}],"ms":3}"#;
        let run = parse(&[plan, r#"{"event":"started","step":"a","ms":9}"#, r#"{"event":"ended","st"#]);
        assert_eq!((run.result, run.last, run.unread), (None, 9, 1));
        assert_eq!((run.steps[0].started, &run.steps[0].end), (Some(9), &None));
    }

    #[test]
    fn what_a_later_version_adds_is_passed_over() {
        let run = parse(&[
            r#"{"event":"paused","step":"a","ms":3}"#,
            r#"{"event":"ended","step":"a","result":"postponed","seconds":0.5,"extra":[1],"ms":700}"#,
            r#"{"event":"note","ms":"late"}"#,
        ]);
        assert_eq!((run.steps.len(), run.unread, run.last), (1, 0, 700));
        let end = run.steps[0].end.as_ref().unwrap();
        assert_eq!((end.result, end.took), (None, 500));
    }

    #[test]
    fn numbers_that_cannot_be_are_bounded() {
        let run = parse(&[
            r#"{"event":"ended","step":"a","result":"done","seconds":1e300,"ms":700}"#,
            r#"{"event":"ended","step":"b","result":"done","seconds":-3,"ms":700}"#,
        ]);
        let took: Vec<_> = run.steps.iter().filter_map(|step| Some(step.end.as_ref()?.took)).collect();
        assert_eq!(took, [700, 0]);
    }

    #[test]
    fn what_is_no_journal_is_refused() {
        for text in ["", "\n", "hello", "[]", r#"{"event":"note","text":"x","ms":1}"#] {
            assert!(Run::parse(text).unwrap_err().starts_with("is not the journal of a run"), "{text}");
        }
        let later = RUN.replace(r#""schema":1"#, r#""schema":2"#);
        assert_eq!(
            Run::parse(&later).unwrap_err(),
            "was written by another version of this tool: its schema is 2, this one reads 1"
        );
    }
}
