//! Who runs at the same time as whom: deployments go side by side, since most of their time they wait, but not beside one
//! that has to be alone.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

static TURNS: RwLock<()> = RwLock::new(());

#[expect(dead_code, reason = "held, never looked at")]
pub(crate) enum Turn {
    Shared(RwLockReadGuard<'static, ()>),
    Alone(RwLockWriteGuard<'static, ()>),
}

impl Turn {
    pub(crate) fn shared() -> Self {
        Self::Shared(TURNS.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn alone() -> Self {
        Self::Alone(TURNS.write().unwrap_or_else(PoisonError::into_inner))
    }
}
