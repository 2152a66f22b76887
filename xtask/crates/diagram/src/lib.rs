//! The architecture as Mermaid diagrams, which GitHub draws: the systems as the spec has them, and the AWS platform as
//! `terraform/` has it.
//!
//! The same files give the same text, so `ci` can tell that the page is fresh. What a diagram does not show is
//! left out on purpose: rights, routes and rules are parts of what is shown.

mod mermaid;
mod platform;
mod systems;
mod terraform;

use base::error::Fault;

use anyhow::{Context, Result};
use std::path::Path;

/// Where the page is, relative to the root.
pub const PAGE: &str = "docs/architecture.md";
const TERRAFORM: &str = "terraform";

/// The whole page.
///
/// # Errors
/// When the spec is wrong, or the Terraform files cannot be read.
pub fn page(root: &Path) -> Result<String> {
    let spec = model::load(root).map_err(Fault::from)?.told_apart();
    let files = terraform_files(root)?;
    let concerns = terraform::read(&files);
    let parts = [
        "<!-- Made by `cargo xtask diagram` from deploy/systems/ and terraform/. Change those instead. -->".to_owned(),
        "# Architecture".to_owned(),
        "## The systems".to_owned(),
        "An arrow leads from the caller to the service that it calls, dotted where that service is not always there. \
         What no thick arrow leads to is not reachable from outside. Double sides mark public images."
            .to_owned(),
        mermaid::fence(&systems::diagram(&spec.systems)),
        "What runs where:".to_owned(),
        systems::table(&spec.systems),
        "## The platform on AWS".to_owned(),
        "A box for each file in `terraform/`. Thick arrows are traffic, thin ones references, without those that \
         follow from others; dotted ones are what a deploy does outside Terraform. A dashed border means that a \
         variable switches it on."
            .to_owned(),
        mermaid::fence(&platform::diagram(&concerns, &systems::public(&spec.systems))),
    ];
    Ok(format!("{}\n", parts.join("\n\n")))
}

/// The texts of `terraform/*.tf` by their stems, sorted. There need not be any.
fn terraform_files(root: &Path) -> Result<Vec<(String, String)>> {
    let folder = root.join(TERRAFORM);
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let entries = std::fs::read_dir(&folder).with_context(|| format!("read `{TERRAFORM}`"))?;
    let mut files = Vec::new();
    for entry in entries {
        let name = entry.with_context(|| format!("read `{TERRAFORM}`"))?.file_name().to_string_lossy().into_owned();
        // Hidden files are an editor's.
        let Some(stem) = name.strip_suffix(".tf").filter(|stem| !stem.starts_with('.')) else { continue };
        let text = std::fs::read_to_string(folder.join(&name)).with_context(|| format!("read `{TERRAFORM}/{name}`"))?;
        files.push((stem.to_owned(), text));
    }
    files.sort();
    Ok(files)
}
