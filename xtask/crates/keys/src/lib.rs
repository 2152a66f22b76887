//! The content key: one hash over everything a build of a service can see, and nothing else.
//!
//! It decides "nothing changed" without asking cargo or an engine, so it must never miss a change that could alter
//! the result, and should not change with anything else.
//!
//! What counts:
//! - every file and symlink in the folder of the crate and of the crates of this repository that it depends on
//!   (build dependencies, optional ones and those of every platform included, dev-dependencies not) that git would add;
//! - what a symlink among them leads to and what their sources read (`include_str!` and the like), as long as it lies
//!   in this repository, whether git ignores it or not;
//! - the entries of `Cargo.lock` that those crates need, and the parts of the root `Cargo.toml` that they see;
//! - `.cargo/config.toml` with what it includes, and `rust-toolchain.toml`;
//! - what the caller adds: the toolchain, build arguments, a base image, a platform.
//!
//! What does not: the path of the checkout, modification times, owners, the order in which a directory is read,
//! empty directories (git does not keep them, so a fresh clone would never agree), `.git`, what editors and desktops
//! leave beside files, and the directories that a tool marks as its cache. Of a file's mode the bits of its owner count and setuid, setgid and
//! sticky; those of group and others follow the umask of whoever made the checkout.
//!
//! Limits: what a build reads from elsewhere is the caller's to add: variables, of which [`Manifest::variables`] has the
//! names that sources mention, cargo's configuration above the repository, for which there is
//! [`configuration_outside`], and what is known of a build only afterwards, for which there is [`read_beyond`]. Features
//! and platforms are not resolved: an optional dependency counts whether or not it is switched on, and so does what the
//! lock lists for another system. Every profile of the root `Cargo.toml` counts, unless the one that is built with was
//! named.
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! use keys::{Input, Kind, Workspace, diff};
//! let workspace = Workspace::read(std::path::Path::new("."))?;
//! let mut manifests = workspace.manifests(&["epoch"])?;
//! if let Some(mut manifest) = manifests.remove("epoch") {
//!     manifest.add(Input::toolchain("rustc 1.95.0 (59807616e 2026-04-14)\nhost: x86_64-unknown-linux-gnu"));
//!     manifest.add(Input::new(Kind::Argument, "PROFILE", "release"));
//!     println!("{}", manifest.key());
//!     for change in diff(&manifest, &manifest) {
//!         println!("{change}");
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod configuration;
mod copy;
mod crates;
mod diff;
mod document;
mod excerpt;
mod folder;
mod git;
mod input;
mod lock;
mod manifest;
mod mentions;
mod patterns;
mod tree;
mod workspace;

pub use configuration::outside as configuration_outside;
pub use copy::{Copied, copied};
pub use diff::{Change, diff};
pub use folder::of_folder;
pub use input::{Digest, Input, Kind};
pub use manifest::{Key, Manifest};
pub use tree::{is_tagged_cache, read_beyond, read_folder};
pub use workspace::{UnknownCrate, Workspace};
