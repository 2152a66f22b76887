//! One verb a file; each reads as the story of its task.

pub mod build;
pub mod cert;
pub mod ci;
pub mod cluster;
pub mod completions;
pub mod deploy;
pub mod diagram;
pub mod doctor;
mod dry_run;
mod execute;
pub mod hidden;
pub mod infra;
pub mod logs;
pub mod plan;
pub mod render;
pub mod report;
pub mod rollback;
pub mod smoke;
pub mod status;
pub mod teardown;
mod update_pins;
