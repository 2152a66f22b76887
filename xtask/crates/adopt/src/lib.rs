//! Writes the file of a system from what is there already: a folder with a Dockerfile, a public image, a compose file.
//!
//! Each of the three becomes a [`Sketch`]: what the system's file is to say, with a note at each place where something was
//! found, guessed or cannot be carried over. [`render`] makes the text of it. Only [`look`] and
//! [`trial`] ask an engine, only [`files`] writes.

pub mod compose;
mod confinement;
mod dockerfile;
pub mod files;
pub mod folder;
pub mod image;
mod known;
mod listens;
pub mod look;
mod names;
mod render;
mod sketch;
pub mod trial;

pub use names::{name_of, reference};
pub use render::render;
pub use sketch::Sketch;

use model::image::ImagePins;
use model::name::ServiceName;
use std::collections::BTreeSet;
use std::path::Path;

/// The repository that a system comes to.
pub struct Repository<'a> {
    pub root: &'a Path,
    /// The public images that have a name already.
    pub images: &'a ImagePins,
    /// The names of what other systems have for the public, which are host names in a cluster.
    pub public: &'a BTreeSet<ServiceName>,
}
