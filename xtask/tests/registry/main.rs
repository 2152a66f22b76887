//! Registries: what they have, how images get there and how pins follow them, with real registries and real engines.

#![expect(clippy::disallowed_methods, reason = "tests start the registries and clients that they are about")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod asking;
mod head;
mod lists;
mod pins;
mod place;
mod proxy;
mod pushing;
mod trust;
