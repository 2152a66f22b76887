//! The tool behind `cargo xtask`.
//!
//! Data flows one way: files in `deploy/` → [`spec`] (types) → [`plan`] (a graph of steps, contributed by a
//! [`target`]) → the runner → [`tools`] (pure argv) → [`proc`], the only module that spawns. What happens goes to the
//! [`journal`], and every form of output is drawn from it.

pub mod aws;
pub mod base64;
pub mod build;
pub mod check;
pub mod cli;
pub mod cmd;
pub mod container;
pub mod cost;
pub mod ctx;
pub mod diagram;
pub mod error;
pub mod home;
pub mod http;
pub mod image;
pub mod infra;
pub mod journal;
pub mod key;
pub mod kube;
pub mod lease;
pub mod ledger;
pub mod local_settings;
pub mod os;
pub mod plan;
pub mod proc;
pub mod redact;
pub mod report;
pub mod scratch;
pub mod signal;
pub mod smoke;
pub mod spec;
pub mod supervisor;
pub mod target;
pub mod tools;
pub mod ui;
