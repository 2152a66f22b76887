//! The steps to nothing on AWS, in the order that lets each controller clean up after itself, with gates that wait for
//! AWS's own truth; and what is found afterwards.

use super::Eks;
use crate::plan::Step;
use crate::target::{Remains, Scope};
use anyhow::Result;
use std::sync::Arc;

pub(super) fn widened(eks: &Eks, scope: Scope) -> Result<Scope> {
    let _ = (eks, scope);
    todo!("H8")
}

pub(super) fn steps(eks: &Arc<Eks>, scope: &Scope, keep_data: bool) -> Result<Vec<Step>> {
    let _ = (eks, scope, keep_data);
    todo!("H8")
}

pub(super) fn remains(eks: &Eks, scope: &Scope, keep_data: bool) -> Result<Remains> {
    let _ = (eks, scope, keep_data);
    todo!("H8")
}

pub(super) fn forget(eks: &Eks, scope: &Scope, keep_data: bool) -> Result<()> {
    let _ = (eks, scope, keep_data);
    todo!("H8")
}
