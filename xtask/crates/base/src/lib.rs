//! What everything else stands on: errors, processes, signals, HTTP, redaction, files. Nothing here knows of services,
//! environments or deployments.

pub mod base64;
pub mod children;
pub mod ctx;
pub mod error;
pub mod fence;
pub mod files;
pub mod http;
pub mod lasting;
pub mod os;
pub mod ports;
pub mod proc;
pub mod random;
pub mod redact;
pub mod signal;
pub mod socket;
pub mod table;
pub mod terminal;
pub mod text;
