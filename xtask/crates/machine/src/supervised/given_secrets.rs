//! Which secrets a recipe takes from where, and which of them nobody gives.

use super::Supervised;
use super::recipe::Recipe;
use super::records::newest_recipe;
use super::runtime::Provided;
use super::secrets::Secrets;
use anyhow::Result;
use base::ctx::Ctx;
use engine::secrets::{MissingSecret, read};
use model::name::{ServiceName, SystemName};
use model::secret::{SecretSource, Shape};
use model::system::{Reference, Template};
use std::collections::BTreeSet;

impl Supervised {
    /// What is started here, with the places of its secrets; and what is missing of those. One that is missing is taken to
    /// be as it was, so that what a deploy would change can be told without it.
    ///
    /// # Errors
    /// When what is there cannot be read.
    pub(super) fn provided(self: &std::sync::Arc<Self>, ctx: &Ctx) -> Result<(Provided, Vec<MissingSecret>)> {
        let mut provided = self.runtime.provide(self, ctx)?;
        let mut missing: BTreeSet<_> = provided.missing.drain(..).collect();
        for (system, planned) in &mut provided.systems {
            for planned in planned {
                self.place_secrets(&mut planned.recipe, &system.name, &mut missing)?;
            }
        }
        for lacked in &missing {
            let note = provided.notes.entry(lacked.system.clone()).or_default();
            let parted = if note.is_empty() { "" } else { "; " };
            note.push_str(&format!("{parted}a deploy needs the secret {}", lacked.told()));
        }
        Ok((provided, missing.into_iter().collect()))
    }

    fn place_secrets(
        &self,
        recipe: &mut Recipe,
        system: &SystemName,
        missing: &mut BTreeSet<MissingSecret>,
    ) -> Result<()> {
        let mut used = BTreeSet::new();
        recipe.templates().for_each(|template| self.add_secrets(&recipe.service, template, &mut used));
        for (service, name) in used {
            let Some(declared) = self.service(&service) else { continue };
            let Some(secret) = declared.secrets.get(&name) else { continue };
            let (own, key) = (format!("{service}.{name}"), declared.secret_key(&name));
            let place = match &secret.source {
                SecretSource::Generated(_) => key,
                source => match read(&self.deployment.root, &self.vars, source) {
                    Ok(value) => self.secrets.place(&key, &value)?,
                    Err(lack) => {
                        missing.insert(MissingSecret { system: system.clone(), key: key.clone(), lack });
                        let newest = newest_recipe(self.home(), system, &recipe.service)?;
                        let was = newest.and_then(|newest| newest.secrets.get(&own).cloned());
                        was.unwrap_or_else(|| Secrets::nowhere(&key))
                    }
                },
            };
            if place != own {
                recipe.secrets.insert(own, place);
            }
        }
        Ok(())
    }

    /// Adds the secrets that a text of a service refers to, those of what others provide among them.
    fn add_secrets(&self, service: &ServiceName, template: &Template, used: &mut BTreeSet<(ServiceName, String)>) {
        for reference in template.references() {
            match reference {
                Reference::Secret(name) => drop(used.insert((service.clone(), name.clone()))),
                Reference::Provided { service: other, name } => {
                    let provided = self.service(other).and_then(|other| other.provides.get(name));
                    provided.into_iter().for_each(|template| self.add_secrets(other, template, used));
                }
                _ => {}
            }
        }
    }

    /// Which secrets of a recipe somebody gives another value for than it was last proven with, in words.
    pub(super) fn changed_secrets(&self, system: &SystemName, recipe: &Recipe) -> Result<Vec<String>> {
        let Some(newest) = newest_recipe(self.home(), system, &recipe.service)? else { return Ok(Vec::new()) };
        let changed =
            recipe.secrets.iter().filter(|(name, place)| newest.secrets.get(*name).is_some_and(|was| was != *place));
        Ok(changed.map(|(name, _)| format!("the secret `{name}` changed")).collect())
    }

    /// Whether the variable of this name is filled in with a secret.
    pub fn is_filled_with_secret(&self, recipe: &Recipe, variable: &str) -> bool {
        let mut used = BTreeSet::new();
        let template = recipe.env.get(variable);
        template.into_iter().for_each(|template| self.add_secrets(&recipe.service, template, &mut used));
        !used.is_empty()
    }

    /// What a secret of a service looks like where it is made.
    pub(super) fn shape(&self, service: &ServiceName, name: &str) -> Shape {
        let source = self.service(service).and_then(|service| Some(&service.secrets.get(name)?.source));
        match source {
            Some(SecretSource::Generated(shape)) => *shape,
            _ => Shape::default(),
        }
    }
}
