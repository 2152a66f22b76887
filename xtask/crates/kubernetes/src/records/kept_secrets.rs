//! The secrets of services and systems: those that were generated, and what others were last given. Each is kept under
//! `SERVICE.NAME` or `SYSTEM/NAME`; that of a service whose name another system has, too, under `SYSTEM_SERVICE.NAME`.

use super::Records;
use anyhow::{Context, Result};
use base::redact;
use engine::reconcile::UnitId;
use engine::secrets::generate;
use engine::store::DocumentName;
use model::name::{ServiceName, SystemName};
use model::secret::Shape;
use serde_json::{Map, Value, json};

impl Records {
    /// Has the generated secrets shown nowhere, as far as they can be read.
    pub(in super::super) fn learn_secrets(&self) {
        let document = self.read(&DocumentName::secrets()).unwrap_or_default();
        document.as_object().into_iter().flatten().filter_map(|(_, secret)| secret.as_str()).for_each(redact::learn);
    }

    /// Keeps the value that somebody gave a secret last, so that without it can be told what a deploy would change.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(in super::super) fn keep_secret(&self, key: &str, value: &str) -> Result<()> {
        if self.read(&DocumentName::secrets())?[key] == value {
            return Ok(());
        }
        self.change(&DocumentName::secrets(), |document| document[key] = json!(value))
    }

    /// What a secret of a service is kept under: its key, or that with the system in front where the key alone may be
    /// another's. One that was `released` keeps the key that it had.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub(in super::super) fn secret_key(
        &self,
        system: &SystemName,
        service: &ServiceName,
        key: String,
        released: impl FnOnce() -> Result<bool>,
    ) -> Result<String> {
        let both = key.strip_prefix(&format!("{service}.")).map(|name| format!("{}.{name}", service.qualified(system)));
        let Some(both) = both else { return Ok(key) };
        let has_own = self.read(&DocumentName::secrets())?[&both].is_string();
        Ok(if has_own || (service.system().is_some() && !released()?) { both } else { key })
    }

    /// The secret that is kept under a key, made in this shape if there is none; without a shape it is not made.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub(in super::super) fn secret(&self, name: &str, make: Option<Shape>) -> Result<Option<String>> {
        let known =
            |document: &Value| document[name].as_str().inspect(|secret| redact::learn(secret)).map(str::to_owned);
        let Some(shape) = make else { return Ok(known(&self.read(&DocumentName::secrets())?)) };
        let made = generate(shape).with_context(|| format!("generate the secret `{name}`"))?;
        self.documents.update(&DocumentName::secrets(), |document| {
            // Somebody else's may have been there first.
            if known(document).is_none() {
                document[name] = json!(made);
            }
            Ok(known(document))
        })
    }

    /// Gives a service the secrets that another one had, and those of its system, but for those that it has by now.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(in super::super) fn hand_secrets(&self, from: &UnitId, to: &UnitId) -> Result<()> {
        self.change(&DocumentName::secrets(), |document| {
            let Some(secrets) = document.as_object_mut() else { return };
            let [given, heir] = [from, to].map(|unit| owner(secrets, &unit.system, &unit.service));
            let key = |name: &str| match name.split_once('.') {
                Some((owner, own)) => (owner == given).then(|| format!("{heir}.{own}")),
                None => Some(format!("{}/{}", to.system, name.strip_prefix(&format!("{}/", from.system))?)),
            };
            let handed: Vec<(String, Value)> = secrets
                .iter()
                .filter_map(|(name, value)| Some((key(name)?, value.clone())))
                .filter(|(name, _)| !secrets.contains_key(name))
                .collect();
            secrets.extend(handed);
        })
    }

    /// Forgets the secrets of these services, and with any of them those of the system.
    ///
    /// # Errors
    /// When that cannot be written.
    pub(super) fn forget_secrets(&self, system: &SystemName, services: &[ServiceName]) -> Result<()> {
        self.change_what_is_there(&DocumentName::secrets(), |document| {
            let Some(secrets) = document.as_object_mut() else { return };
            let owners: Vec<String> = services.iter().map(|service| owner(secrets, system, service)).collect();
            secrets.retain(|name, _| {
                let is_shared =
                    !services.is_empty() && name.split_once('/').is_some_and(|(of, _)| of == system.as_str());
                !is_shared && !owners.iter().any(|owner| is_secret_of(name, owner))
            });
        })
    }
}

fn is_secret_of(name: &str, service: &str) -> bool {
    name.split_once('.').is_some_and(|(owner, _)| owner == service)
}

/// What the secrets of a service are kept under: its name, or both where it has any there, or where the name alone may be
/// another's.
fn owner(secrets: &Map<String, Value>, system: &SystemName, service: &ServiceName) -> String {
    let both = service.qualified(system).to_string();
    let has_own = service.system().is_some() || secrets.keys().any(|name| is_secret_of(name, &both));
    if has_own { both } else { service.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secrets_of_one_name_are_told_apart_by_their_systems() {
        let [shop, other]: [SystemName; 2] = ["shop", "other"].map(|name| name.parse().unwrap());
        let db: ServiceName = "db".parse().unwrap();
        let secrets = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), json!("x"))).collect::<Map<_, _>>();
        let alone = secrets(&["db.password"]);
        assert_eq!(owner(&alone, &shop, &db), "db");
        // The other one never takes what it was not given, nor does it once it is alone.
        assert_eq!(owner(&alone, &other, &db.marked(&other)), "other_db");
        assert_eq!(owner(&secrets(&["db.password", "other_db.password"]), &other, &db), "other_db");
        assert_eq!(owner(&secrets(&["db.password", "other_db.password"]), &shop, &db), "db");
    }

    #[test]
    fn the_secrets_of_a_service_are_told_from_those_of_one_with_a_longer_name() {
        let redis = "redis";
        assert!(is_secret_of("redis.password", redis));
        for other in ["redis-2.password", "redis", "schema", "deployment_id"] {
            assert!(!is_secret_of(other, redis), "{other}");
        }
    }
}
