//! What the files ask for, what was written down as made and what is really there, compared in one place. Nothing here
//! reads or writes anything: each target says what it has recorded and observes, and gets back what is to become of it.

mod compare;
mod refusal;
#[cfg(test)]
mod tests;
mod values;

pub use compare::compare;
pub use refusal::Refusal;
pub use values::{
    Change, Changes, DataPolicy, Desired, DesiredService, DesiredSystem, Entrance, Extent, Left, Observed, Order,
    Recorded, RecordedService, RecordedSystem, StateMove, Stored, Unit, UnitId, Why,
};
