//! Containers that an earlier version of the tool has deployed.

use super::carryover::{Carried, goes_on};
use super::deployment::Deployment;
use super::earlier::earlier;
use serde_json::Value;

impl Carried for Deployment {
    fn password(&self) -> Value {
        let conf = std::fs::read_to_string(self.sandbox.home().join("files/redis/redis.conf")).unwrap_or_default();
        conf.lines().find(|line| line.starts_with("requirepass ")).into()
    }
}

#[test]
fn what_an_earlier_version_has_deployed_goes_on() {
    let earlier = skip::unless!(earlier());
    let deployment = skip::unless!(Deployment::in_folder(|| earlier.copy("containers"), "earlier"));
    goes_on(earlier, &deployment);
}
