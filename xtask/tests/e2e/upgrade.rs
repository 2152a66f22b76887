//! Processes of this machine that an earlier version of the tool has deployed.

use super::carryover::{Carried, goes_on};
use super::earlier::earlier;
use super::sandbox::Sandbox;
use serde_json::Value;

pub(crate) fn redis_password(sandbox: &Sandbox) -> Option<String> {
    let conf = std::fs::read_to_string(sandbox.home().join("files/redis/redis.conf")).ok()?;
    let line = conf.lines().find_map(|line| line.strip_prefix("requirepass "))?;
    Some(line.trim_matches('"').to_owned())
}

impl Carried for Sandbox {
    fn password(&self) -> Value {
        redis_password(self).into()
    }
}

#[test]
fn what_an_earlier_version_has_deployed_goes_on() {
    skip::unless!(skip::program(&["redis-server"], "XTASK_REQUIRE_REDIS"));
    let earlier = skip::unless!(earlier());
    let settings = "target = \"host\"\nports = \"free\"\n".to_owned();
    goes_on(earlier, &Sandbox::with_settings(earlier.copy("host"), "earlier-host", true, settings));
}
