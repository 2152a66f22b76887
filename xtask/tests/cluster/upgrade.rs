//! What an earlier version of the tool has deployed to a cluster.

use super::carryover::{Carried, goes_on};
use super::deployment::Deployment;
use super::earlier::earlier;
use serde_json::Value;

impl Carried for Deployment {
    fn password(&self) -> Value {
        let secrets = self.cluster.list("secrets", &self.namespace("shortener"));
        secrets.iter().find_map(|secret| secret["data"].get("file.redis.conf")).cloned().unwrap_or_default()
    }
}

#[test]
fn what_an_earlier_version_has_deployed_goes_on() {
    let earlier = skip::unless!(earlier());
    let deployment = skip::unless!(Deployment::in_folder(|| earlier.copy("cluster"), "earlier"));
    goes_on(earlier, &deployment);
}
