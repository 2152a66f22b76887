//! Progress where no terminal is: a line when a step starts to act, a line when it ends.

use super::{Paint, end_line, news, say};
use engine::journal::{Event, Watcher};

pub(super) struct Lines {
    paint: Paint,
    titles: Vec<(String, String)>,
    /// What jobs say is a result.
    aloud: bool,
}

impl Lines {
    pub(super) fn new(paint: Paint, aloud: bool) -> Self {
        Self { paint, titles: Vec::new(), aloud }
    }
}

impl Watcher for Lines {
    fn event(&mut self, event: &Event) {
        match event {
            Event::Plan { steps } => {
                self.titles = steps.iter().map(|step| (step.id.clone(), step.title.clone())).collect();
            }
            Event::Started { step } => {
                let title = self.titles.iter().find(|(id, _)| id == step).map_or("", |(_, title)| title);
                say(&format!("> {step} {title}"));
            }
            Event::Ended { step, end } => say(&end_line(self.paint, step, end)),
            Event::Note { text } => say(&format!("note: {text}")),
            Event::News { step, text } => say(&format!("  {step}: {text}")),
            Event::Measured { step, .. } | Event::Diagnostics { step, .. } => {
                if let Some(text) = news(event) {
                    say(&format!("  {step}: {text}"));
                }
            }
            Event::Output { text, .. } if self.aloud => {
                // A reader that has gone away has seen enough.
                let _ = super::result(text);
            }
            Event::Output { .. }
            | Event::Asked { .. }
            | Event::Run { .. }
            | Event::Status { .. }
            | Event::Command { .. }
            | Event::Finished { .. } => {}
        }
    }
}
