//! Images: which change makes another one, how they are built by real engines, and what is in them.

#![expect(clippy::disallowed_methods, reason = "tests start the program that they are about")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod building;
mod keys;
mod place;
