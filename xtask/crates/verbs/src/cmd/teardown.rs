//! `teardown`: removes what deploy made and nothing else, then looks everything up again and shows the receipt.

use super::dry_run::Rehearsal;
use super::execute::{Execution, changed_meanwhile, execute};
use super::unreadable;
use crate::cli::TeardownArgs;
use crate::{Backends, ui};
use anyhow::Result;
use base::ctx::Ctx;
use base::error::Exit;
use base::text;
use engine::backend::{NOT_LOOKED_UP, Remains, Survivor, Target};
use engine::deployment::{Deployment, Scope};
use engine::plan::Plan;
use engine::reconcile::UnitId;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// # Errors
/// When nothing could be tried; what could not be removed is in the receipt and in the exit code.
pub fn run(args: &TeardownArgs, ctx: &Ctx, backends: &Backends) -> Result<Exit> {
    let systems = &args.systems.systems;
    let deployment = Deployment::load_recorded(ctx, &args.environment, systems)?.agreed(args.mutation.yes);
    unreadable::tell(&deployment);
    let environment = deployment.environment.clone();
    let named = deployment.scope.clone();
    let target = (backends.open)(deployment, ctx)?;
    // To look may leave something there: what the target is asked with.
    let was_known = target.home().exists();
    engine::backend::check_names(target.as_ref())?;
    let scope = target.widened(named.clone())?;
    if args.verify {
        let remains = target.remains(&scope, false)?;
        return conclude_unknown(args, target.as_ref(), &scope, was_known, remains);
    }
    let plan = Plan::new(Arc::clone(&target).teardown(&scope, args.keep_data)?)?;
    if args.mutation.dry_run {
        return Rehearsal { environment: &environment, plan: &plan, skipped: &[] }.print(args.json.json);
    }
    let before = target.remains(&scope, args.keep_data)?;
    if before.survivors.is_empty() && !was_known {
        return conclude_unknown(args, target.as_ref(), &scope, was_known, before);
    }
    let known = known(target.as_ref(), &scope);
    if !may_remove(args, ctx, target.as_ref(), &scope)? {
        ui::say("nothing was removed");
        return Ok(Exit::Failed);
    }
    let execution = execute(ctx, target.as_ref(), "teardown", environment.name.as_str(), plan, || {
        // What somebody has deployed beside it since is nothing that this removal was agreed to for.
        let is_same = target.widened(named)? == scope && self::known(target.as_ref(), &scope).is_subset(&known);
        if is_same { Ok(None) } else { Err(changed_meanwhile("teardown").into()) }
    })?;
    execution.print_failures();
    let remains = target.remains(&scope, args.keep_data)?;
    let result = match execution.exit() {
        Exit::Done => verdict(&remains),
        Exit::Interrupted(_) => "interrupted",
        _ => "failed",
    };
    if result == "clean" {
        target.forget(&scope, args.keep_data)?;
    }
    let is_there = |found: &Survivor| remains.survivors.contains(found) || remains.kept.contains(found);
    let removed = before.survivors.into_iter().filter(|found| !is_there(found)).collect();
    let exit = conclude(args, &Receipt { result, removed, remains })?;
    Ok(worse(&execution, exit))
}

/// What was made of the scope. Records that cannot be read keep nobody from a teardown.
fn known(target: &dyn Target, scope: &Scope) -> BTreeSet<UnitId> {
    let recorded = target.recorded().unwrap_or_default();
    recorded.units().map(|(unit, _)| unit).filter(|unit| scope.has(&unit.system)).collect()
}

/// The receipt of a look at what is there. Where nothing is, and this machine knew of nothing, it does not afterwards.
fn conclude_unknown(
    args: &TeardownArgs,
    target: &dyn Target,
    scope: &Scope,
    was_known: bool,
    remains: Remains,
) -> Result<Exit> {
    let result = verdict(&remains);
    if result == "clean" && !was_known && scope.everything {
        target.forget(scope, false)?;
    }
    conclude(args, &Receipt { result, removed: Vec::new(), remains })
}

fn may_remove(args: &TeardownArgs, ctx: &Ctx, target: &dyn Target, scope: &Scope) -> Result<bool> {
    if let Some(name) = target.name_to_type(scope) {
        return ui::confirm_name(ctx, args.mutation.yes, &name, &format!("this removes all of `{name}`"));
    }
    let stored = target.stored_data(scope);
    if args.keep_data || stored.is_empty() {
        return Ok(true);
    }
    let stored: Vec<_> = stored.iter().map(|service| format!("`{service}`")).collect();
    let loss = format!("this removes what {} stored (`--keep-data` keeps it)", stored.join(", "));
    ui::confirm(ctx, args.mutation.yes, &loss)
}

fn worse(execution: &Execution, exit: Exit) -> Exit {
    match execution.exit() {
        Exit::Done => exit,
        other => other,
    }
}

/// What was removed, and the proof: what could still be found afterwards.
struct Receipt {
    result: &'static str,
    removed: Vec<Survivor>,
    remains: Remains,
}

fn verdict(remains: &Remains) -> &'static str {
    if remains.survivors.is_empty() { "clean" } else { "survivors" }
}

fn conclude(args: &TeardownArgs, receipt: &Receipt) -> Result<Exit> {
    if args.json.json {
        ui::document(&receipt.document())?;
    } else {
        ui::result(&receipt.text())?;
    }
    Ok(if receipt.result == "clean" { Exit::Done } else { Exit::Failed })
}

impl Receipt {
    fn document(&self) -> Value {
        let list = |found: &[Survivor]| found.iter().map(Survivor::to_json).collect::<Vec<_>>();
        let removed = |found: &Survivor| json!({"kind": found.kind, "id": found.id, "owner": found.owner});
        json!({
            "schema": 1, "result": self.result, "removed": self.removed.iter().map(removed).collect::<Vec<_>>(),
            "survivors": list(&self.remains.survivors), "kept": list(&self.remains.kept),
        })
    }

    fn text(&self) -> String {
        let line = |word: &str, found: &Survivor| {
            format!("  {word} {} {} of {}{}", found.kind, found.id, found.owner, size(found))
        };
        let priced = |word: &str, found: &Survivor| format!("{}{}", line(word, found), price(found));
        let mut lines: Vec<String> = self.removed.iter().map(|found| line("removed", found)).collect();
        lines.extend(self.remains.kept.iter().map(|found| priced("kept", found)));
        for found in &self.remains.survivors {
            let is_known = found.kind != NOT_LOOKED_UP;
            lines.push(priced(if is_known { "STILL THERE:" } else { "PERHAPS THERE:" }, found));
            lines.push(format!("    {} it with `{}`", if is_known { "remove" } else { "look for" }, found.remove));
        }
        lines.extend(total(&self.remains));
        lines.push(match self.result {
            "clean" if self.remains.kept.is_empty() => "receipt: clean, nothing is left".to_owned(),
            "clean" => "receipt: clean, nothing is left but what is kept".to_owned(),
            "survivors" => {
                format!(
                    "receipt: {} still there",
                    text::counted(self.remains.survivors.len(), "thing is", "things are")
                )
            }
            "interrupted" => {
                "receipt: the teardown was interrupted; run it again, it continues where it stopped".to_owned()
            }
            _ => "receipt: the teardown failed; run it again, it continues where it stopped".to_owned(),
        });
        lines.join("\n")
    }
}

fn size(found: &Survivor) -> String {
    found.bytes.map(|bytes| format!(" ({})", text::bytes(bytes))).unwrap_or_default()
}

/// What it goes on to cost, where that is known and not nothing.
fn price(found: &Survivor) -> String {
    match found.monthly_usd {
        Some(dollars) if dollars >= CENT => format!(", {dollars:.2} USD a month"),
        _ => String::new(),
    }
}

/// Less than that is not told.
const CENT: f64 = 0.005;

/// What all that is left costs a month; nothing where nothing of it costs anything.
fn total(remains: &Remains) -> Option<String> {
    let left = || remains.survivors.iter().chain(&remains.kept);
    let dollars: f64 = left().filter_map(|found| found.monthly_usd).sum();
    // Off AWS no price is known of anything, nor asked.
    let unknown = left().filter(|found| found.monthly_usd.is_none()).count();
    let rest = if unknown == 0 { "" } else { ", and what has no price here" };
    (dollars >= CENT).then(|| format!("  what is left costs {dollars:.2} USD a month{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn survivor(monthly_usd: Option<f64>) -> Survivor {
        let text = |text: &str| text.to_owned();
        let (kind, id, owner, remove) = (text("volume"), text("v"), text("shop"), text("aws x"));
        Survivor { kind, id, owner, bytes: Some(1 << 30), monthly_usd, remove }
    }

    #[test]
    fn a_receipt_tells_what_is_left_to_pay() {
        let remains = Remains { survivors: vec![survivor(Some(1.6)), survivor(None)], kept: vec![survivor(Some(0.0))] };
        let text = Receipt { result: "survivors", removed: Vec::new(), remains }.text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "  kept volume v of shop (1.0 GB)");
        assert_eq!(lines[1], "  STILL THERE: volume v of shop (1.0 GB), 1.60 USD a month");
        assert_eq!(lines[5], "  what is left costs 1.60 USD a month, and what has no price here");
        assert_eq!(total(&Remains { survivors: vec![survivor(None)], kept: Vec::new() }), None);
    }
}
