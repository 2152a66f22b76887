//! One verb a file; each reads as the story of its task.

pub mod completions;
pub mod deploy;
pub mod doctor;
pub mod dry_run;
pub mod execute;
pub mod hidden;
pub mod logs;
pub mod plan;
pub mod rollback;
pub mod run;
pub mod smoke;
pub mod status;
pub mod teardown;
pub mod unreadable;
