//! Why a system is left as it is.

use super::values::{Change, Changes};
use base::error::Fault;
use model::environment::Environment;
use model::name::{ServiceName, SystemName};

/// A deploy would fail for this service, and touches nothing of its system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub service: ServiceName,
    pub fault: Fault,
}

impl Changes {
    /// Why nothing of a system is touched: a unit of it cannot be made, or some would leave behind what they have stored.
    pub fn refusal(&self, system: &SystemName, environment: &Environment) -> Option<Refusal> {
        let own = || self.units.iter().filter(|(unit, _)| unit.system == *system);
        let blocked = own().find_map(|(unit, change)| match change {
            Change::Blocked { reason } => Some((&unit.service, reason)),
            _ => None,
        });
        if let Some((service, reason)) = blocked {
            let fault = Fault::failed("system-blocked", format!("`{system}` is left as it is: {reason}"));
            return Some(Refusal { service: service.clone(), fault });
        }
        let moves = own().filter_map(|(unit, change)| match change {
            Change::Moves { reason } => Some((&unit.service, reason.as_str())),
            _ => None,
        });
        let (services, reasons): (Vec<&ServiceName>, Vec<&str>) = moves.unzip();
        let service = (*services.first()?).clone();
        let deploy = environment.command(&format!("deploy {system} --move-state {system}"));
        let hint = format!(
            "set back what changed it, such as `needs` or `replicas`; or let it begin there without what it has stored, \
             which is kept and not carried over: `{deploy}`"
        );
        Some(Refusal { service, fault: Fault::failed("state-moves", reasons.join("; ")).hint(hint) })
    }
}
