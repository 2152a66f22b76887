//! The values of a release, as the chart in `helm/app` takes them (`values.schema.json` there says the same).

use super::wanted::Wanted;
use serde_json::{Value, json};

/// What the chart is given for a release: nothing in it changes unless the release does.
pub(super) fn of(_wanted: &Wanted) -> Value {
    json!({})
}
