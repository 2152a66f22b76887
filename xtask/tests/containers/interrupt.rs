//! Runs that are killed at any instant, and what follows them.

use super::deployment::Deployment;
use super::killed::Killed;
use super::sandbox::get;
use serde_json::Value;
use std::cell::RefCell;
use std::time::{Duration, Instant};

/// How long a container may take to end after another one has taken its place.
const GONE_WITHIN: Duration = Duration::from_secs(60);

#[test]
fn a_run_killed_at_any_instant_is_followed_by_one_that_converges() {
    let deployment = skip::unless!(Deployment::new("instants"));
    let sandbox = &deployment.sandbox;
    // The port stays what it was, whatever a killed run has left on it.
    let port = RefCell::new(None);
    let stands = || {
        let status = sandbox.status("epoch");
        assert_eq!(status["state"], "running", "{status:#}");
        let via = status["via"].as_str().unwrap().to_owned();
        assert_eq!(port.borrow_mut().get_or_insert(via.clone()), &via);
        assert_eq!(get(&via, "/").unwrap().0, 200);
        // The service and the edge in front of it.
        // One that was on its way out is given the time that it has for its requests.
        let deadline = Instant::now() + GONE_WITHIN;
        while deployment.containers().len() > 2 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(100));
        }
        assert_eq!(deployment.containers().len(), 2, "{:#?}", deployment.containers());
        assert!(!sandbox.home().join("lease.json").exists());
    };
    let is_gone = || {
        port.take();
        assert!(!sandbox.home().exists(), "{:?} is still there", sandbox.home());
        assert_eq!(deployment.containers(), Vec::<Value>::new());
        assert!(sandbox.processes().is_empty(), "{:#?}", sandbox.processes());
    };
    Killed { sandbox, systems: &["epoch"], stands: &stands, is_gone: &is_gone }.again_and_again();
}
