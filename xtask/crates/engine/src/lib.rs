//! What happens to a deployment, whatever it runs on: the plan and its runner, the journal, the lease, the state
//! store with the ledger in it, the stages of a teardown, the smoke contract, and the contract that a backend fulfils.
//! Nothing here knows which backends there are.

pub mod backend;
mod commit;
pub mod deployment;
pub mod home;
pub mod identity;
pub mod job;
pub mod journal;
pub mod lease;
pub mod ledger;
pub mod plan;
pub mod reconcile;
pub mod recorded_settings;
pub mod release;
pub mod rendering;
pub mod secrets;
pub mod smoke;
pub mod store;
pub mod teardown;
