//! The comparison.

use super::values::{
    Change, Changes, DataPolicy, Desired, DesiredService, Entrance, Extent, Left, Observed, Order, Recorded, Stored,
    UnitId, Why,
};
use model::name::SystemName;
use std::collections::{BTreeMap, BTreeSet};

/// What is to become of everything that is declared within `extent`, and of everything that no file declares any more.
pub fn compare(desired: &Desired, recorded: &Recorded, observed: &Observed, extent: &Extent) -> Changes {
    let gone = undeclared(desired, recorded, observed);
    Comparison { desired, recorded, observed, extent, gone }.changes()
}

/// All that is known of and that no file declares. What stands in a file that cannot be read is not among it.
fn undeclared(desired: &Desired, recorded: &Recorded, observed: &Observed) -> BTreeSet<UnitId> {
    let recorded = recorded.units().map(|(unit, _)| unit);
    let all = recorded.chain(observed.units.keys().cloned());
    all.filter(|unit| !desired.declares(unit) && !desired.unreadable.contains(&unit.system)).collect()
}

struct Comparison<'a> {
    desired: &'a Desired,
    recorded: &'a Recorded,
    observed: &'a Observed,
    extent: &'a Extent,
    /// What is known of and no longer declared.
    gone: BTreeSet<UnitId>,
}

/// A unit that takes the place of one that nobody declares any more.
struct Heir {
    unit: UnitId,
    /// A file says so, and it is not only that both have one name.
    is_named: bool,
}

impl Comparison<'_> {
    fn changes(&self) -> Changes {
        let mut changes = Changes::default();
        for (unit, service) in self.declared().filter(|(unit, _)| self.extent.has(&unit.system)) {
            let change = self.change(&unit, service);
            changes.units.insert(unit, change);
        }
        let blocked: BTreeSet<UnitId> =
            changes.units.iter().filter(|(_, change)| is_blocked(change)).map(key).collect();
        for unit in &self.gone {
            match self.removal(unit, &blocked) {
                Ok(change) => drop(changes.units.insert(unit.clone(), change)),
                Err(reason) => changes.left.push(Left { unit: unit.clone(), reason }),
            }
        }
        changes
    }

    fn declared(&self) -> impl Iterator<Item = (UnitId, &DesiredService)> {
        let systems = self.desired.systems.iter();
        systems.flat_map(|(system, desired)| {
            desired.services.iter().map(|(service, desired)| (UnitId::new(system, service), desired))
        })
    }

    /// Whether something of it is meant to run, or runs.
    fn is_there(&self, unit: &UnitId) -> bool {
        self.observed.units.contains_key(unit) || self.recorded.was_made(unit)
    }

    fn data(&self, unit: &UnitId) -> Option<&Stored> {
        self.recorded.service(unit)?.data.as_ref()
    }

    /// The entrances that a unit has: what it holds now tells more than what it was given.
    fn entrances(&self, unit: &UnitId) -> BTreeSet<Entrance> {
        let recorded = self.recorded.service(unit).map(|known| known.entrances.clone()).unwrap_or_default();
        let observed = self.observed.units.get(unit).map(|seen| seen.entrances.clone()).unwrap_or_default();
        recorded.into_iter().chain(observed).collect()
    }

    fn change(&self, unit: &UnitId, service: &DesiredService) -> Change {
        if let Some(reason) = self.contradiction(unit, service) {
            return Change::Blocked { reason };
        }
        if let Some(moved) = self.desired.moving.get(unit) {
            let size = moved.holder.as_ref().and_then(|holder| self.data(holder)?.size);
            return Change::Moves { reason: moved.reason(unit, size) };
        }
        let inherited: Vec<&UnitId> = self.gone.iter().filter(|old| self.is_heir(unit, old)).collect();
        let stored: Vec<&UnitId> = inherited.iter().copied().filter(|old| self.data(old).is_some()).collect();
        let in_the_way = self.gone.iter().filter(|old| self.is_there(old) && self.shared(service, old).is_some());
        let running = inherited.iter().copied().filter(|old| self.is_there(old));
        let old: BTreeSet<UnitId> = running.chain(in_the_way).cloned().collect();
        if let Some(reason) = self.unreadable_in_the_way(unit, service, !old.is_empty() || !stored.is_empty()) {
            return Change::Blocked { reason };
        }
        match (stored.as_slice(), self.data(unit)) {
            ([first, second, ..], _) => Change::Blocked {
                reason: format!("`{first}` and `{second}` both have stored data that it would take over"),
            },
            ([from], Some(_)) => Change::Blocked {
                reason: format!("`{from}`, which it was, has stored data, and so has `{unit}` itself by now"),
            },
            ([from], None) => Change::Adopt { from: (*from).clone(), old },
            ([], Some(_)) if !self.is_there(unit) => Change::Adopt { from: unit.clone(), old },
            ([], _) if !old.is_empty() => Change::Replace { old },
            ([], _) if self.is_there(unit) => Change::Keep,
            ([], _) => Change::Create,
        }
    }

    /// What a file says of earlier names and cannot be meant.
    fn contradiction(&self, unit: &UnitId, service: &DesiredService) -> Option<String> {
        for earlier in &service.was {
            let still = UnitId::new(&unit.system, earlier);
            if self.desired.declares(&still) {
                return Some(format!("it `was` `{earlier}`, and `{still}` is declared beside it"));
            }
        }
        let system = self.desired.systems.get(&unit.system)?;
        if let Some(still) = system.was.iter().find(|was| self.desired.systems.contains_key(*was)) {
            return Some(format!("its system `was` `{still}`, and a system of that name is declared beside it"));
        }
        let claimed: Vec<&UnitId> = self.gone.iter().filter(|old| self.is_named_heir(unit, old)).collect();
        let claims = |other: &UnitId| claimed.iter().any(|old| self.is_named_heir(other, old));
        let rival = self.declared().find(|(other, _)| other != unit && claims(other));
        rival.map(|(rival, _)| format!("`{rival}` claims the same earlier name"))
    }

    /// While a file cannot be read, nothing is removed for being undeclared: it may well stand in there.
    fn unreadable_in_the_way(&self, unit: &UnitId, service: &DesiredService, takes_over: bool) -> Option<String> {
        let unreadable = self.desired.unreadable.iter().next()?;
        let holder =
            self.recorded.units().map(|(other, _)| other).chain(self.observed.units.keys().cloned()).find(|other| {
                other != unit
                    && self.desired.unreadable.contains(&other.system)
                    && self.is_there(other)
                    && self.shared(service, other).is_some()
            });
        if let Some(holder) = holder {
            let entrance = self.shared(service, &holder)?;
            return Some(format!("{entrance} is that of `{holder}`, whose file cannot be read"));
        }
        let why = format!(
            "it takes the place of what nothing declares any more, and while the file of `{unreadable}` cannot be read, nothing is removed"
        );
        takes_over.then_some(why)
    }

    fn shared(&self, service: &DesiredService, old: &UnitId) -> Option<Entrance> {
        self.entrances(old).intersection(&service.entrances).next().cloned()
    }

    fn is_heir(&self, unit: &UnitId, old: &UnitId) -> bool {
        self.heir(old).is_some_and(|heir| heir.unit == *unit)
    }

    fn heir(&self, old: &UnitId) -> Option<Heir> {
        let named = self.declared().find(|(unit, _)| self.is_named_heir(unit, old));
        if let Some((unit, _)) = named {
            return Some(Heir { unit, is_named: true });
        }
        // What was made under both names was not moved. One that only runs is on its way, in a run that was killed.
        let moved = |unit: &UnitId| unit.service == old.service && !self.recorded.was_made(unit);
        let unit = self.declared().map(|(unit, _)| unit).find(moved)?;
        Some(Heir { unit, is_named: false })
    }

    /// Whether a file says that this unit was that one. An earlier name stands for a service of the same system, of one
    /// that the system was, or of any other.
    fn is_named_heir(&self, unit: &UnitId, old: &UnitId) -> bool {
        let Some(system) = self.desired.systems.get(&unit.system) else { return false };
        let Some(service) = system.services.get(&unit.service) else { return false };
        let was_system = system.was.contains(&old.system);
        if unit.service == old.service {
            return was_system;
        }
        if !service.was.contains(&old.service) {
            return false;
        }
        let nearer = |name: &SystemName| *name == unit.system || system.was.contains(name);
        nearer(&old.system)
            || !self.recorded.units().any(|(other, _)| other.service == old.service && nearer(&other.system))
    }

    fn removal(&self, old: &UnitId, blocked: &BTreeSet<UnitId>) -> Result<Change, String> {
        if let Some(unreadable) = self.desired.unreadable.iter().next() {
            return Err(format!(
                "nothing declares it, and nothing is removed while the file of `{unreadable}` cannot be read"
            ));
        }
        if let Some((unit, _)) = self.desired.moving.iter().find(|(_, moved)| moved.holder.as_ref() == Some(old)) {
            return Err(format!("`{unit}` keeps its state in it"));
        }
        let heir = self.heir(old).filter(|heir| self.extent.has(&heir.unit.system));
        let takers = self.takers(old);
        if let Some(blocked) =
            heir.iter().map(|heir| &heir.unit).chain(takers.keys()).find(|unit| blocked.contains(*unit))
        {
            return Err(format!("`{blocked}`, which is to take its place, cannot"));
        }
        let data = match (self.data(old), &heir) {
            (None, _) => DataPolicy::None,
            (Some(_), Some(heir)) => DataPolicy::Hand { to: heir.unit.clone() },
            (Some(stored), None) => DataPolicy::Keep(stored.clone()),
        };
        let why = match (&heir, takers.first_key_value()) {
            (Some(Heir { unit, is_named: true }), _) => Why::Renamed { to: unit.clone() },
            (Some(Heir { unit, is_named: false }), _) => Why::Moved { to: unit.clone() },
            (None, _) if !self.is_there(old) => return Err(kept()),
            (None, _) if self.extent.has(&old.system) => match self.desired.systems.contains_key(&old.system) {
                true => Why::ServiceUndeclared,
                false => Why::SystemUndeclared,
            },
            (None, Some((of, entrance))) => Why::InTheWay { of: of.clone(), entrance: entrance.clone() },
            (None, None) => return Err("nothing declares it any more; a whole `deploy` removes it".to_owned()),
        };
        let after: BTreeSet<UnitId> = heir.map(|heir| heir.unit).into_iter().chain(takers.into_keys()).collect();
        let order = match &data {
            DataPolicy::Hand { .. } => Order::Before(after),
            _ if after.is_empty() => Order::Free,
            _ => Order::After(after),
        };
        Ok(Change::Remove { data, order, why })
    }

    /// The declared units of this command that take over an entrance of something undeclared.
    fn takers(&self, old: &UnitId) -> BTreeMap<UnitId, Entrance> {
        if !self.is_there(old) {
            return BTreeMap::new();
        }
        let within = self.declared().filter(|(unit, _)| self.extent.has(&unit.system));
        within.filter_map(|(unit, service)| Some((unit, self.shared(service, old)?))).collect()
    }
}

fn kept() -> String {
    "nothing declares it any more; what it stored is kept".to_owned()
}

fn is_blocked(change: &Change) -> bool {
    matches!(change, Change::Blocked { .. } | Change::Moves { .. })
}

fn key((unit, _): (&UnitId, &Change)) -> UnitId {
    unit.clone()
}
