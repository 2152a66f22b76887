//! The three values that are compared, and what comes of it.

use base::text;
use model::name::{ServiceName, SystemName};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A service of a system: what is created, kept and removed as one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitId {
    pub system: SystemName,
    pub service: ServiceName,
}

impl UnitId {
    pub fn new(system: &SystemName, service: &ServiceName) -> Self {
        Self { system: system.clone(), service: service.clone() }
    }
}

/// "SYSTEM/SERVICE", as people name one.
impl fmt::Display for UnitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.system, self.service.local())
    }
}

/// What only one unit of a deployment can have at a time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entrance {
    /// A port of the machine that all share.
    Port(u16),
    /// A host name, where requests are told apart by it.
    Host(String),
}

impl fmt::Display for Entrance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(port) => write!(f, "port {port}"),
            Self::Host(host) => write!(f, "`{host}`"),
        }
    }
}

/// What the files ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Desired {
    pub systems: BTreeMap<SystemName, DesiredSystem>,
    /// Systems whose file is there and cannot be read: they declare nothing, and undeclare nothing.
    pub unreadable: BTreeSet<SystemName>,
    /// Units that would begin elsewhere without what they have stored, which nobody asked for.
    pub moving: BTreeMap<UnitId, StateMove>,
}

/// State that would be left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateMove {
    /// The unit that has it stored; `None` where no unit of the deployment has.
    pub holder: Option<UnitId>,
    /// Where it is, and where it would begin with nothing: "`redis`", "a volume of its own".
    pub from: String,
    pub to: String,
}

impl StateMove {
    /// Why it is refused.
    pub(super) fn reason(&self, unit: &UnitId, size: Option<u64>) -> String {
        let size = size.map(|bytes| format!(" ({})", text::bytes(bytes))).unwrap_or_default();
        let (service, Self { from, to, .. }) = (&unit.service, self);
        format!("`{service}` keeps its state in {from}{size} and would begin with nothing in {to}")
    }

    /// What becomes of what is stored, where the move was asked for.
    pub fn told(&self, unit: &UnitId) -> String {
        format!("what `{unit}` has in {} is kept and not carried over to {}", self.from, self.to)
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DesiredSystem {
    pub services: BTreeMap<ServiceName, DesiredService>,
    /// Earlier names of the system.
    pub was: BTreeSet<SystemName>,
}

impl Desired {
    pub fn declares(&self, unit: &UnitId) -> bool {
        self.systems.get(&unit.system).is_some_and(|system| system.services.contains_key(&unit.service))
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DesiredService {
    pub entrances: BTreeSet<Entrance>,
    /// Earlier names of the service, within this system or one that this system was.
    pub was: BTreeSet<ServiceName>,
}

/// What was written down as made: drawn from the ledger and the revisions, never from the files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recorded {
    pub systems: BTreeMap<SystemName, RecordedSystem>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordedSystem {
    pub services: BTreeMap<ServiceName, RecordedService>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordedService {
    /// Those that it was given; none where that is not known.
    pub entrances: BTreeSet<Entrance>,
    /// What it has stored; `None` where it stores nothing.
    pub data: Option<Stored>,
    /// Nothing of it is meant to run any more: what is left of it is its data.
    pub only_data: bool,
}

/// Data that outlives the service which stored it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stored {
    /// In bytes, where that can be told.
    pub size: Option<u64>,
}

impl Recorded {
    pub fn service(&self, unit: &UnitId) -> Option<&RecordedService> {
        self.systems.get(&unit.system)?.services.get(&unit.service)
    }

    /// Whether something of a unit is meant to run.
    pub fn was_made(&self, unit: &UnitId) -> bool {
        self.service(unit).is_some_and(|known| !known.only_data)
    }

    pub fn units(&self) -> impl Iterator<Item = (UnitId, &RecordedService)> {
        let services = |(system, recorded): (&SystemName, _)| services_of(system, recorded);
        self.systems.iter().flat_map(services)
    }
}

fn services_of<'r>(system: &SystemName, recorded: &'r RecordedSystem) -> Vec<(UnitId, &'r RecordedService)> {
    recorded.services.iter().map(|(service, recorded)| (UnitId::new(system, service), recorded)).collect()
}

/// What is found running by the deployment's mark, whatever files and records say of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    pub units: BTreeMap<UnitId, Unit>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unit {
    /// Those that it holds at this moment.
    pub entrances: BTreeSet<Entrance>,
}

/// What a command is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extent {
    Everything,
    /// These systems, and what is in their way.
    Systems(BTreeSet<SystemName>),
}

impl Extent {
    pub fn has(&self, system: &SystemName) -> bool {
        match self {
            Self::Everything => true,
            Self::Systems(systems) => systems.contains(system),
        }
    }
}

/// What becomes of one unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It is declared and recorded: its release decides whether it changes.
    Keep,
    /// Nothing is recorded of it.
    Create,
    /// It takes over the entrances of what nobody declares any more.
    Replace { old: BTreeSet<UnitId> },
    /// It begins with the data, and the generated secrets, of another unit or of its own former self. What nobody
    /// declares any more and stands in its way is in `old`.
    Adopt { from: UnitId, old: BTreeSet<UnitId> },
    /// Nobody declares it any more.
    Remove { data: DataPolicy, order: Order, why: Why },
    /// It cannot be made, and nothing of it is touched.
    Blocked { reason: String },
    /// It would begin elsewhere without what it has stored, and nothing of it is touched until that is asked for.
    Moves { reason: String },
}

/// What becomes of the data of a unit that is removed. It is never deleted by a deploy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataPolicy {
    /// There is none.
    None,
    /// It stays under the name that stored it.
    Keep(Stored),
    /// It goes to another unit.
    Hand { to: UnitId },
}

/// When a unit is removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Nothing waits for that.
    Free,
    /// Once these are proven, and have taken over its entrances.
    After(BTreeSet<UnitId>),
    /// It stops before these start, since they share what it has stored; the rest of it goes once they are proven.
    Before(BTreeSet<UnitId>),
}

/// Why something is removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// Its system declares it no longer.
    ServiceUndeclared,
    /// No file declares its system.
    SystemUndeclared,
    /// It has another name now.
    Renamed { to: UnitId },
    /// It is in another system now.
    Moved { to: UnitId },
    /// Nobody declares it, and it holds what a system of this command declares.
    InTheWay { of: UnitId, entrance: Entrance },
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ServiceUndeclared => f.write_str("its system declares it no longer"),
            Self::SystemUndeclared => f.write_str("no file declares its system any more"),
            Self::Renamed { to } => write!(f, "it is called `{to}` now"),
            Self::Moved { to } => write!(f, "it belongs to `{}` now", to.system),
            Self::InTheWay { of, entrance } => {
                write!(f, "nothing declares it any more, and it holds {entrance}, which `{of}` declares")
            }
        }
    }
}

/// Something undeclared that this command leaves as it is, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    pub unit: UnitId,
    pub reason: String,
}

/// What is to be done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    pub units: BTreeMap<UnitId, Change>,
    pub left: Vec<Left>,
    /// The units that begin elsewhere without what they have stored, as was asked for.
    pub agreed: BTreeMap<UnitId, StateMove>,
}

impl Changes {
    /// The units that nobody declares any more and that go, with how.
    pub fn removals(&self) -> impl Iterator<Item = (&UnitId, &DataPolicy, &Order, &Why)> {
        self.units.iter().filter_map(|(unit, change)| match change {
            Change::Remove { data, order, why } => Some((unit, data, order, why)),
            _ => None,
        })
    }

    /// Where a unit's data comes from, when that is not what it has stored itself.
    pub fn adopted(&self, unit: &UnitId) -> Option<&UnitId> {
        match self.units.get(unit) {
            Some(Change::Adopt { from, .. }) if from != unit => Some(from),
            _ => None,
        }
    }

    /// What would be removed and what is left, for `plan --json` and `deploy --json`.
    pub fn document(&self) -> Value {
        let removed = self.removals().map(|(unit, data, _, why)| {
            let data = match data {
                DataPolicy::None => Value::Null,
                DataPolicy::Keep(stored) => json!({"kept": true, "bytes": stored.size}),
                DataPolicy::Hand { to } => json!({"to": to.to_string()}),
            };
            json!({"system": unit.system.as_str(), "service": unit.service.local(), "why": why.to_string(), "data": data})
        });
        let left = self.left.iter().map(|left| {
            json!({"system": left.unit.system.as_str(), "service": left.unit.service.local(), "why": left.reason})
        });
        json!({"removed": removed.collect::<Vec<_>>(), "left": left.collect::<Vec<_>>()})
    }
}
