//! `--dry-run`: the settings with their origins, the steps and the exact command lines. Runs nothing, writes nothing.

use crate::ui;
use anyhow::Result;
use base::error::Exit;
use engine::backend::SkippedSystem;
use engine::plan::{Plan, Preview, Step, StepId};
use model::environment::{Environment, Origin, Setting};
use serde_json::{Value, json};

/// What a run would do, and with which settings.
pub struct Rehearsal<'a> {
    pub environment: &'a Environment,
    pub plan: &'a Plan,
    pub skipped: &'a [SkippedSystem],
}

impl Rehearsal<'_> {
    /// # Errors
    /// When standard output cannot be written.
    pub fn print(&self, json: bool) -> Result<Exit> {
        if json {
            ui::document(&self.document())?;
        } else {
            ui::result(self.text().trim_end())?;
        }
        Ok(Exit::Done)
    }

    fn text(&self) -> String {
        let mut text = format!("environment `{}`\n", self.environment.name);
        for setting in &self.environment.origins {
            text.push_str(&format!("    {} = {}  ({})\n", setting.key, setting.shown(), origin(setting)));
        }
        for system in self.skipped {
            text.push_str(&format!("`{}` is skipped: {}\n", system.name, system.reason));
        }
        text.push_str(&self.plan.to_string());
        text
    }

    fn document(&self) -> Value {
        let setting =
            |setting: &Setting| json!({"key": setting.key, "value": setting.shown(), "origin": origin(setting)});
        let skipped = |system: &SkippedSystem| json!({"name": system.name.as_str(), "reason": system.reason});
        json!({
            "schema": 1, "env": self.environment.name.as_str(), "dry_run": true,
            "settings": self.environment.origins.iter().map(setting).collect::<Vec<_>>(),
            "skipped": self.skipped.iter().map(skipped).collect::<Vec<_>>(),
            "steps": self.plan.steps().iter().map(step).collect::<Vec<_>>(),
        })
    }
}

fn origin(setting: &Setting) -> String {
    match &setting.origin {
        Origin::Default => "default".to_owned(),
        Origin::File { path, line } => format!("{path}:{line}"),
        Origin::Flag => "--set".to_owned(),
    }
}

fn step(step: &Step) -> Value {
    let lines = step.preview.iter().map(|preview| match preview {
        Preview::Run(command) => json!({"run": command.shown()}),
        Preview::Do(sentence) => json!({"do": sentence}),
    });
    json!({
        "id": step.id.as_str(), "title": step.title, "system": step.system,
        "needs": step.needs.iter().map(StepId::as_str).collect::<Vec<_>>(), "would": lines.collect::<Vec<_>>(),
    })
}
