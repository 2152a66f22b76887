//! What every target promises, in one place: each target's tests keep these promises with a deployment of their own, and
//! add what is particular to it.

pub(crate) mod document;
mod life;
mod undeclared;

pub(crate) use life::*;
pub(crate) use undeclared::*;

use super::client::Hammer;
use super::sandbox::{Sandbox, eventually};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A deployment to some target, asked apart from the program under test where that is possible.
pub(crate) trait Deployed {
    /// How `status` calls the target.
    const TARGET: &'static str;
    /// What the step is called that proves a system.
    const PROOF: &'static str;
    /// The code of a service that exits when it starts.
    const CRASHED: &'static str;
    /// The services that there are none of here.
    const ABSENT: &'static [&'static str];
    /// Whether it can be refused here that somebody reaches a service.
    const CONFINES: bool;

    fn sandbox(&self) -> &Sandbox;

    /// What runs of a service: identities that a new start does not have.
    fn running(&self, service: &str) -> BTreeSet<String>;

    /// Whether a variable of a service, as it runs, has this value.
    fn has_variable(&self, service: &str, name: &str, value: &str) -> bool;

    fn get(&self, service: &str, path: &str) -> Result<(u16, String), String>;
    fn post(&self, service: &str, path: &str, body: &Value) -> Result<(u16, Value), String>;

    /// Where a public service is asked, whether it still runs or not; `None` where its name alone leads there.
    fn place(&self, service: &str) -> Option<String>;

    /// What is left of it, by name.
    fn left(&self) -> Vec<String>;

    /// How many of a service there are at least, where that is known.
    fn replicas(&self, service: &str) -> Option<u32>;

    /// Whether a deploy that finds nothing to do may run this nevertheless.
    fn may_run(_command: &Value) -> bool {
        false
    }

    #[track_caller]
    fn deploy(&self, args: &[&str]) -> Value {
        document::deploy(self.sandbox(), args)
    }

    /// Tears down what is there, and looks whether anything is left.
    #[track_caller]
    fn ends_clean(&self) {
        let receipt = self.ends();
        assert!(!receipt["removed"].as_array().unwrap().is_empty(), "{receipt:#}");
    }

    /// The receipt of a teardown, after which nothing is left, as the program finds when it is asked. An earlier one that was
    /// killed may have removed all there was.
    #[track_caller]
    fn ends(&self) -> Value {
        let receipt = self.sandbox().xtask(["teardown", "--yes", "--json"]).success().json();
        assert_eq!((&receipt["result"], &receipt["survivors"]), (&json!("clean"), &json!([])), "{receipt:#}");
        assert!(!self.sandbox().home().exists());
        assert_eq!(self.left(), Vec::<String>::new());
        let found = self.sandbox().xtask(["teardown", "--verify", "--json"]).success().json();
        assert_eq!(found["result"], "clean", "{found:#}");
        receipt
    }

    #[track_caller]
    fn hammer(&self, service: &str) -> Option<Hammer> {
        self.place(service).map(|place| Hammer::start(&place, 40))
    }

    /// Waits until nothing runs of a service but this; what was there is given the time to end.
    #[track_caller]
    fn runs_only(&self, service: &str, wanted: &BTreeSet<String>) {
        eventually("those alone that are to run", || {
            let running = self.running(service);
            if running == *wanted { Ok(()) } else { Err(format!("{running:?} of `{service}`, not {wanted:?}")) }
        });
    }

    /// Waits until a new start has taken the place of all that ran.
    #[track_caller]
    fn is_replaced(&self, service: &str, old: &BTreeSet<String>) {
        eventually("a new start in the place of the old", || {
            let running = self.running(service);
            let is_new = !running.is_empty() && running.is_disjoint(old);
            if is_new { Ok(()) } else { Err(format!("{running:?} of `{service}` after {old:?}")) }
        });
    }
}
