//! What is deployed and where: the files in `deploy/`, parsed into types.
//!
//! Everything here is a value without side effects. Strings from files and flags become types at this edge, so
//! that no later module has to ask whether a name, a port or a reference is well formed.

pub mod environment;
pub mod image;
pub mod name;
pub mod smoke;
pub mod system;
