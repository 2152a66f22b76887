//! Public images under names of ours, for clusters whose nodes cannot fetch them.

use super::{Images, Pushes, base_image};
use anyhow::Result;
use builds::cleanup::IMAGE;
use engine::ledger;
use engine::plan::runner::StepCx;
use model::container::{Platform, Registry};
use model::image::{Digest, ImagePin};
use model::name::SystemName;
use serde_json::json;
use tools::oci::Engine;

/// The name of the public image that systems call `short`: no service has a full stop in its name. `of` is the digest that
/// it is pinned to, or else its ID, so that a name always stands for the same.
///
/// # Errors
/// When that is no name of an image.
pub fn name(registry: &Registry, short: &str, pin: &ImagePin, of: &str) -> Result<ImagePin, String> {
    let of = of.trim_start_matches("sha256:");
    format!("{registry}/public.{short}:{:.100}-{of:.12}", pin.tag).parse()
}

impl Images {
    /// Fetches a public image unless it is here; returns its ID.
    ///
    /// # Errors
    /// When it cannot be fetched, in the engine's words.
    pub fn fetch(&self, cx: &StepCx<'_>, pin: &ImagePin, platform: Platform) -> Result<(Engine, String)> {
        let engine = self.engine.get(cx.proc)?.engine;
        let id = base_image::have(cx, &engine, &pin.pull_reference(), platform)?;
        Ok((engine, id))
    }

    /// Gives an image a further name, which goes with a system.
    ///
    /// # Errors
    /// When the ledger cannot be written, or the engine refuses.
    pub fn name_as(
        &self,
        cx: &StepCx<'_>,
        engine: &Engine,
        id: &str,
        name: &ImagePin,
        system: &SystemName,
    ) -> Result<()> {
        let reference = name.to_string();
        (self.enter)(ledger::Entry {
            kind: IMAGE.to_owned(),
            id: reference.clone(),
            system: Some(system.to_string()),
            identity: json!({"engine": engine.kind.as_str(), "reference": reference}),
        })?;
        cx.proc.read(&engine.tag(id, &reference)).map(drop)
    }
}

impl Pushes {
    /// The digest that the registry has under a name.
    ///
    /// # Errors
    /// When neither the registry nor the engine can tell.
    pub fn digest(&self, cx: &StepCx<'_>, name: &ImagePin, platform: Platform) -> Result<Option<Digest>> {
        let engine = || Ok(self.images.engine.get(cx.proc)?.engine);
        self.publisher.digest(cx, &engine, name, platform)
    }

    /// Sends an image to where its name says.
    ///
    /// # Errors
    /// When the registry does not take it, in the engine's words.
    pub fn send(&self, cx: &StepCx<'_>, engine: &Engine, name: &ImagePin, platform: Platform) -> Result<Digest> {
        cx.status(format!("sends it to {}", self.registry));
        self.publisher.push(cx, engine, name, platform)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_one_image_whatever_its_tag_is() {
        let name = |registry: &str, pin: &str, of: &str| {
            name(&registry.parse().unwrap(), "redis", &pin.parse().unwrap(), of).unwrap().to_string()
        };
        let digest = format!("sha256:{}", "0a".repeat(32));
        let pin = "docker.io/library/redis:7.4";
        assert_eq!(name("localhost:5000/shop", pin, &digest), "localhost:5000/shop/public.redis:7.4-0a0a0a0a0a0a");
        assert_eq!(name("r.example", pin, "0b0b0b0b0b0b0b"), "r.example/public.redis:7.4-0b0b0b0b0b0b");
        let long = format!("docker.io/library/redis:{}", "x".repeat(128));
        assert!(name("r.example", &long, &digest).ends_with("x-0a0a0a0a0a0a"));
    }
}
