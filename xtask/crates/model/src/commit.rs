//! `${git.commit}`: the commit that is checked out, in variables and build arguments. Once it is known it stands there as
//! text.

use super::load::Spec;
use super::name::{ServiceName, SystemName};
use super::system::{Piece, Reference, Source, Template};
use std::path::Path;

/// As it is written.
const WORD: &str = "${git.commit}";

/// Whether a text of a build refers to the commit, for a repository at `root`.
///
/// # Errors
/// When it refers to something else of git, or there is no git.
pub(super) fn check_text(text: &str, root: &Path) -> Result<(), String> {
    let mut named = text.match_indices("${git.").map(|(at, _)| &text[at..]);
    if let Some(unknown) = named.clone().find(|rest| !rest.starts_with(WORD)) {
        let unknown = unknown.split_inclusive('}').next().unwrap_or(unknown);
        return Err(format!("unknown reference `{unknown}`; of git there is `{WORD}`"));
    }
    named.next().map_or(Ok(()), |_| check_checkout(root))
}

/// # Errors
/// When there is no commit that could be told.
pub(super) fn check_checkout(root: &Path) -> Result<(), String> {
    let is_checkout = root.ancestors().any(|folder| folder.join(".git").exists());
    let why = || format!("`{WORD}` needs a git checkout, and this repository is none; `git init` makes one");
    is_checkout.then_some(()).ok_or_else(why)
}

impl Spec {
    /// The services that are told the commit, with their systems, and whether that is when their image is built.
    pub fn told_commit(&self) -> Vec<(&SystemName, &ServiceName, bool)> {
        let is_commit = |template: &Template| template.references().any(|one| *one == Reference::Commit);
        let all = self.systems.iter().flat_map(|system| system.services.iter().map(move |one| (&system.name, one)));
        let told = all.filter_map(|(system, service)| {
            let built = match &service.source {
                Source::Dockerfile { build, .. } => build.args.values().any(|text| text.contains(WORD)),
                _ => false,
            };
            (built || service.env.values().any(is_commit)).then_some((system, &service.name, built))
        });
        told.collect()
    }

    /// Writes the commit wherever it is referred to.
    pub fn tell_commit(&mut self, commit: &str) {
        for service in self.services_mut() {
            if let Source::Dockerfile { build, .. } = &mut service.source {
                build.args.values_mut().for_each(|text| *text = text.replace(WORD, commit));
            }
            for piece in service.env.values_mut().flat_map(|template| &mut template.0) {
                if *piece == Piece::Reference(Reference::Commit) {
                    *piece = Piece::Text(commit.to_owned());
                }
            }
        }
    }
}
