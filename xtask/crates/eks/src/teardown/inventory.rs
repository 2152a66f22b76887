//! Asks every service of AWS at once for what a deployment has there.
//!
//! A service that cannot be asked hides what it may have: that is told in the receipt, which is then not clean. What means
//! that nothing can be asked at all, such as credentials that have run out, ends the look.

use super::aws_resource::AwsResource;
use super::{balancers, ec2, services};
use anyhow::Result;
use aws::infra::names::Names;
use aws::{Aws, Refusal, Trouble, fault};
use engine::ledger::Entry;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// How many questions are asked at the same time.
const AT_ONCE: usize = 8;

/// What every question is given.
pub(super) struct LookupContext<'a> {
    pub(super) aws: &'a Aws,
    pub(super) names: &'a Names,
    /// What the ledger knows.
    pub(super) entries: &'a [Entry],
    /// What public services' names end in, where there is a domain.
    pub(super) domain: Option<String>,
    pub(super) reach: Reach,
}

/// How much is asked for, the widest first: each question takes a program half a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reach {
    Everything,
    /// What may be there without Terraform's knowledge.
    Unmanaged,
    /// What goes with a system though the platform stays.
    OfSystems,
}

impl LookupContext<'_> {
    /// What the ledger knows of a kind.
    pub(super) fn noted<'s>(&'s self, kind: &'s str) -> impl Iterator<Item = &'s Entry> {
        self.entries.iter().filter(move |entry| entry.kind == kind)
    }

    pub(super) fn is_noted(&self, kind: &str, id: &str) -> bool {
        self.noted(kind).any(|entry| entry.id == id)
    }
}

/// A question, with the words for what it is about and the line that a person would type to ask it.
pub(super) struct Lookup {
    pub(super) about: &'static str,
    pub(super) line: &'static [&'static str],
    /// The narrowest reach in which it may find something.
    pub(super) reach: Reach,
    pub(super) ask: fn(&LookupContext<'_>) -> Result<Vec<AwsResource>, Refusal>,
}

/// What a look has found.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    pub(super) resources: Vec<AwsResource>,
    /// What could not be asked: what it is about, the line that asks it, and AWS's words.
    pub(super) unknown: Vec<(&'static str, &'static [&'static str], String)>,
}

fn questions(reach: Reach) -> impl Iterator<Item = &'static Lookup> {
    let all = balancers::QUESTIONS.iter().chain(&ec2::QUESTIONS).chain(services::QUESTIONS);
    all.filter(move |question| question.reach >= reach)
}

/// Asks for all that is in reach.
///
/// # Errors
/// When AWS cannot be asked at all.
pub(super) fn look(context: &LookupContext<'_>) -> Result<Inventory> {
    let questions: Vec<&Lookup> = questions(context.reach).collect();
    let next = AtomicUsize::new(0);
    let answers = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(questions.len()) {
            scope.spawn(|| {
                while let Some(question) = questions.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let answer = (question.ask)(context);
                    answers.lock().unwrap_or_else(PoisonError::into_inner).push((*question, answer));
                }
            });
        }
    });
    let mut seen = Inventory::default();
    for (question, answer) in answers.into_inner().unwrap_or_else(PoisonError::into_inner) {
        match answer {
            Ok(resources) => seen.resources.extend(resources),
            Err(refusal) => match judge(&refusal) {
                Silence::Empty => {}
                Silence::Unknown => seen.unknown.push((question.about, question.line, refusal.to_string())),
                Silence::Fatal => return Err(fault(&format!("look for {}", question.about), &refusal).into()),
            },
        }
    }
    seen.resources.sort_by(|one, other| (one.kind, &one.id).cmp(&(other.kind, &other.id)));
    seen.resources.dedup_by(|one, other| one.kind == other.kind && one.id == other.id);
    seen.unknown.sort();
    Ok(seen)
}

/// What it means that a question was refused.
#[derive(Debug, PartialEq)]
enum Silence {
    /// The service is not offered there: nothing can be in it.
    Empty,
    /// There may be something.
    Unknown,
    /// No other question would be answered either.
    Fatal,
}

fn judge(refusal: &Refusal) -> Silence {
    let words = format!("{} {}", refusal.code, refusal.message).to_lowercase();
    let missing =
        ["notimplemented", "not implemented", "not been implemented", "notyetimplemented", "unknownoperation"];
    match refusal.trouble {
        _ if missing.iter().any(|word| words.contains(word)) => Silence::Empty,
        Trouble::Absent => Silence::Empty,
        Trouble::Expired | Trouble::Unknown | Trouble::Interrupted => Silence::Fatal,
        _ => Silence::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_with_systems_is_found_without_asking_for_the_platform() {
        let abouts = |reach| questions(reach).map(|question| question.about).collect::<Vec<_>>();
        let of_systems =
            ["load balancers and target groups", "networks, addresses, volumes and instances", "records of the domain"];
        assert_eq!(abouts(Reach::OfSystems), of_systems);
        let (all, unmanaged) = (abouts(Reach::Everything), abouts(Reach::Unmanaged));
        assert!(of_systems.iter().all(|about| unmanaged.contains(about)), "{unmanaged:?}");
        assert!(unmanaged.iter().all(|about| all.contains(about)) && unmanaged.len() < all.len(), "{unmanaged:?}");
    }

    #[test]
    fn what_is_refused_is_not_taken_for_nothing() {
        let refusal = |trouble, code: &str, message: &str| Refusal::new(trouble, code, message);
        assert_eq!(judge(&refusal(Trouble::Absent, "NotFoundException", "no such")), Silence::Empty);
        assert_eq!(judge(&refusal(Trouble::Denied, "AccessDenied", "may not")), Silence::Unknown);
        assert_eq!(judge(&refusal(Trouble::Other, "ValidationError", "what")), Silence::Unknown);
        let missing = "The action list-x has not been implemented";
        assert_eq!(judge(&refusal(Trouble::Other, "NotYetImplemented", missing)), Silence::Empty);
        assert_eq!(judge(&refusal(Trouble::Expired, "ExpiredToken", "expired")), Silence::Fatal);
    }
}
