//! What an earlier version of the tool has deployed to AWS.

use super::carryover::{Carried, goes_on};
use super::deployment::{Deployment, asked_for};
use super::earlier::earlier;
use serde_json::Value;

impl Carried for Deployment {
    fn password(&self) -> Value {
        let secrets = self.objects("secrets", "shortener");
        secrets.iter().find_map(|secret| secret["data"].get("file.redis.conf")).cloned().unwrap_or_default()
    }
}

#[test]
fn what_an_earlier_version_has_deployed_goes_on() {
    skip::unless!(asked_for());
    let earlier = skip::unless!(earlier());
    let deployment = skip::unless!(Deployment::in_folder(|| earlier.copy("eks"), "earlier"));
    goes_on(earlier, &deployment);
}
