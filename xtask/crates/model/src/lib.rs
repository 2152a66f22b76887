//! What is deployed and where: the files in `deploy/`, parsed into types.
//!
//! Everything here is a value without side effects. Strings from files and flags become types at this edge, so
//! that no later module has to ask whether a name, a port or a reference is well formed.

mod alias;
pub mod allowance;
mod apart;
pub mod asset;
mod asset_file;
pub mod aws;
pub mod build;
mod build_file;
pub mod cluster;
mod cluster_files;
mod cluster_jobs;
mod commit;
pub mod container;
mod container_file;
pub mod cron;
mod decode;
pub mod environment;
mod environment_file;
mod environment_settings;
pub mod error;
mod grammar;
mod host_file;
pub mod image;
mod image_file;
pub mod job;
mod job_file;
mod load;
pub mod name;
mod order;
pub mod port;
mod port_file;
pub mod price;
mod probe_file;
pub mod public_name;
pub mod reach;
mod references;
pub mod secret;
mod secret_file;
mod service_file;
mod service_settings;
pub mod smoke;
mod smoke_file;
mod source;
pub mod system;
mod system_file;
pub mod template;
pub mod tool;
pub mod trace;
pub mod version;
pub mod volume;

#[cfg(test)]
mod tests;

pub use apart::{Holder, is_named};
pub use environment_file::{environment, environment_names, recorded_environment};
pub use error::SpecErrors;
pub use image_file::{IMAGES, LOCAL_IMAGES, public_images};
pub use load::{Readable, Spec, load, load_readable, programs};
pub use price::{PRICES, prices};
pub use service_settings::ambiguous;
pub use tool::tools;
