//! Progress on a terminal: a live line for every step that runs, and above them a line for each that has ended.

use super::{Paint, end_line, news};
use base::redact;
use engine::journal::{Event, Watcher};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::time::Duration;

pub(super) struct Bars {
    paint: Paint,
    all: MultiProgress,
    running: BTreeMap<String, ProgressBar>,
    titles: BTreeMap<String, String>,
}

impl Bars {
    pub(super) fn new(paint: Paint) -> Self {
        Self { paint, all: MultiProgress::new(), running: BTreeMap::new(), titles: BTreeMap::new() }
    }

    fn print(&self, line: &str) {
        // A terminal that has gone away takes nothing more; the journal has it all.
        let _ = self.all.println(redact::text(line));
    }
}

impl Watcher for Bars {
    fn event(&mut self, event: &Event) {
        match event {
            Event::Plan { steps } => {
                self.titles = steps.iter().map(|step| (step.id.clone(), step.title.clone())).collect();
            }
            Event::Started { step } => {
                let bar = self.all.add(ProgressBar::new_spinner());
                let style = ProgressStyle::with_template("{spinner} {prefix} {elapsed:>4} {wide_msg}");
                bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
                bar.set_prefix(step.clone());
                bar.set_message(self.titles.get(step).map(|title| redact::text(title)).unwrap_or_default());
                bar.enable_steady_tick(Duration::from_millis(100));
                self.running.insert(step.clone(), bar);
            }
            Event::Status { step, text } | Event::Output { step, text } => {
                if let Some(bar) = self.running.get(step) {
                    bar.set_message(redact::text(text));
                }
            }
            Event::Ended { step, end } => {
                if let Some(bar) = self.running.remove(step) {
                    bar.finish_and_clear();
                }
                self.print(&end_line(self.paint, step, end));
            }
            Event::Note { text } => self.print(&format!("note: {text}")),
            Event::News { step, text } => self.print(&format!("  {step}: {text}")),
            Event::Measured { step, .. } | Event::Diagnostics { step, .. } => {
                if let Some(text) = news(event) {
                    self.print(&format!("  {step}: {text}"));
                }
            }
            Event::Asked { .. } | Event::Run { .. } | Event::Command { .. } | Event::Finished { .. } => {}
        }
    }
}
