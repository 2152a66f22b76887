//! The verbs that are not for this machine alone, or that a newcomer does not begin with; one a file.

pub(crate) mod add;
pub(crate) mod build;
pub(crate) mod cert;
pub(crate) mod ci;
pub(crate) mod cluster;
pub(crate) mod container;
pub(crate) mod diagram;
pub(crate) mod infra;
pub(crate) mod reference;
pub(crate) mod render;
pub(crate) mod report;
mod update_pins;
