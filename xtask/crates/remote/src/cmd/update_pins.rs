//! `build --update-pins`: the digests of public images, as their registries have them now.

use anyhow::Result;
use base::ctx::Ctx;
use base::error::Exit;
use base::table;
use images::pins;
use images::pins::{Change, PinChange};
use serde_json::{Value, json};
use verbs::ui;

/// # Errors
/// When the file is wrong or cannot be written. Registries that did not answer are in the exit code.
pub(super) fn run(as_json: bool, ctx: &Ctx) -> Result<Exit> {
    let changes = pins::update(ctx, &ctx.root)?;
    let failure = pins::failure(&changes);
    if as_json {
        let failure = failure.as_ref().map(|f| json!({"code": f.code, "cause": f.cause, "hint": f.hint}));
        let pins: Vec<Value> = changes.iter().map(document).collect();
        ui::document(&json!({"schema": 1, "pins": pins, "failure": failure}))?;
    } else {
        let row = |change: &PinChange| vec![change.name.clone(), change.word().to_owned(), now(change)];
        ui::result(table::layout(&changes.iter().map(row).collect::<Vec<_>>()).trim_end())?;
    }
    if let Some(fault) = failure {
        ui::print_fault(&fault);
        return Ok(fault.exit);
    }
    Ok(Exit::Done)
}

/// The pin as it is now, and what a tag that has moved stood for before.
fn now(change: &PinChange) -> String {
    match &change.change {
        Change::Moved { from, .. } => format!("{}, was {from}", change.now()),
        _ => change.now().to_string(),
    }
}

fn document(change: &PinChange) -> Value {
    json!({
        "name": change.name, "result": change.word(), "before": change.pin.to_string(),
        "now": change.now().to_string(), "reason": change.failure(),
    })
}
