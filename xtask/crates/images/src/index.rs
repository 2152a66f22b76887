//! One image for several platforms: a list of those that were built for each.
//!
//! Every platform's image has a key of its own, since the platform is among what it is built from. The key of the list
//! is made of theirs.

use super::{BuildLocation, DesiredImage, Images};
use anyhow::Result;
use base::error::Fault;
use engine::plan::runner::StepCx;
use engine::plan::{Action, Holds, Outcome, Preview, Step, StepId, Work};
use model::container::{EngineKind, Platform};
use model::image::Digest;
use std::path::Path;
use std::sync::Arc;
use tools::oci::{Engine, Found};

/// The step that looks whether the engine can build for all platforms.
const PLATFORMS: Action = Action::new("platforms");

/// The key of a list, as long as theirs.
pub(super) fn key(images: &[(Platform, String)]) -> String {
    let mut images: Vec<_> = images.iter().collect();
    images.sort();
    let lines = images.iter().map(|(platform, key)| format!("{platform} {key}\n"));
    let text: String = std::iter::once("image-index 1\n".to_owned()).chain(lines).collect();
    let length = images.first().map_or(0, |(_, key)| key.len());
    let digest = Digest::of(text.as_bytes());
    digest.as_str().trim_start_matches("sha256:").chars().take(length).collect()
}

impl Images {
    /// A step to come before all that build, where something is built for another platform than the engine's may be.
    /// It fails when that cannot be done here.
    pub(super) fn platform_step(self: &Arc<Self>, needs: &[StepId]) -> Option<Step> {
        let foreign =
            |wanted: &DesiredImage| Platform::of_architecture(std::env::consts::ARCH) != Some(wanted.platform);
        self.wanted().iter().any(foreign).then(|| Step {
            id: StepId::new(PLATFORMS),
            title: "look whether images for every platform can be built".to_owned(),
            system: None,
            needs: needs.to_vec(),
            holds: Holds::Nothing,
            preview: vec![Preview::Do("ask the engine for its platform and its builder".to_owned())],
            work: Box::new(PlatformWork { images: Arc::clone(self) }),
        })
    }
}

struct PlatformWork {
    images: Arc<Images>,
}

impl Work for PlatformWork {
    fn is_done(&self, cx: &StepCx<'_>) -> Result<Option<String>> {
        if !self.images.builds() {
            return Ok(Some("every image is current".to_owned()));
        }
        let found = self.images.engine.get(cx.proc)?;
        let missing = self.images.wanted().iter().filter(|wanted| self.images.recorded(wanted).is_none());
        let inside: Vec<Platform> =
            missing.filter(|wanted| wanted.location == BuildLocation::Inside).map(|wanted| wanted.platform).collect();
        possible(&found, &inside, &|platform| emulates(Path::new(EMULATORS), platform))?;
        Ok(Some(format!("{} can build them", found.engine.kind)))
    }

    fn run(&self, _: &StepCx<'_>) -> Result<Outcome> {
        Ok(Outcome::Done)
    }
}

/// Where Linux lists what runs the programs of other architectures.
const EMULATORS: &str = "/proc/sys/fs/binfmt_misc";

fn emulates(folder: &Path, platform: Platform) -> bool {
    let name = match platform {
        Platform::LinuxAmd64 => "x86_64",
        Platform::LinuxArm64 => "aarch64",
    };
    std::fs::read_to_string(folder.join(format!("qemu-{name}"))).is_ok_and(|text| text.starts_with("enabled"))
}

/// Whether the engine can build for these platforms in containers, whose programs it has to run.
fn possible(found: &Found, platforms: &[Platform], emulates: &dyn Fn(Platform) -> bool) -> Result<(), Fault> {
    let Found { engine, facts } = found;
    let Some(foreign) = platforms.iter().find(|platform| Some(**platform) != facts.platform) else { return Ok(()) };
    let own = facts.platform.map_or("another platform", Platform::as_str);
    let code = "platform-impossible";
    let only = |hint: &str| format!("{hint}; or build for {own} alone: --set platforms={own}");
    if engine.kind == EngineKind::Docker && !facts.cache_mounts {
        let cause = format!("docker without buildx builds for {own}, and not for {foreign}");
        return Err(Fault::could_not_run(code, cause).hint(only("install docker's buildx plugin")));
    }
    // The virtual machines of engines come with emulators; what is in them cannot be seen from here.
    if !facts.remote && !emulates(*foreign) {
        let cause =
            format!("{} runs on {own}, and this machine cannot run programs of {foreign} in a build", engine.kind);
        return Err(Fault::could_not_run(code, cause).hint(only(emulator(engine))));
    }
    Ok(())
}

fn emulator(engine: &Engine) -> &'static str {
    match engine.kind {
        EngineKind::Docker => "docker run --privileged --rm docker.io/tonistiigi/binfmt:latest --install all",
        EngineKind::Podman => "install QEMU's user emulation (`qemu-user-static` on Debian and Fedora)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tools::oci::Facts;

    fn found(kind: EngineKind, cache_mounts: bool, remote: bool) -> Found {
        let facts = Facts {
            version: "4.3.1".parse().unwrap(),
            rootless: false,
            remote,
            cgroups: 2,
            unlimited: Vec::new(),
            platform: Some(Platform::LinuxAmd64),
            storage: "/s".into(),
            identity: String::new(),
            free: None,
            cache_mounts,
            builder: "x".to_owned(),
        };
        Found { engine: Engine { kind, program: kind.as_str().into() }, facts }
    }

    #[test]
    fn the_key_of_a_list_is_made_of_all_keys_in_any_order() {
        let pair = |platform, key: &str| (platform, key.to_owned());
        let (amd, arm) = (pair(Platform::LinuxAmd64, "0123456789ab"), pair(Platform::LinuxArm64, "ba9876543210"));
        let both = key(&[amd.clone(), arm.clone()]);
        assert_eq!(both, key(&[arm, amd.clone()]));
        assert_eq!(both.len(), 12);
        assert_ne!(both, key(&[amd, pair(Platform::LinuxArm64, "ba9876543211")]));
    }

    #[test]
    fn what_cannot_be_built_is_refused_with_what_would_help() {
        let both = Platform::ALL;
        let refused = |found: &Found, emulates: bool| possible(found, &both, &|_| emulates).unwrap_err();
        let fault = refused(&found(EngineKind::Docker, false, false), true);
        assert_eq!(fault.cause, "docker without buildx builds for linux/amd64, and not for linux/arm64");
        let hint = "install docker's buildx plugin; or build for linux/amd64 alone: --set platforms=linux/amd64";
        assert_eq!(fault.hint.as_deref(), Some(hint));
        let fault = refused(&found(EngineKind::Podman, true, false), false);
        let cause = "podman runs on linux/amd64, and this machine cannot run programs of linux/arm64 in a build";
        assert_eq!(fault.cause, cause);
        assert_eq!(possible(&found(EngineKind::Podman, true, false), &both, &|_| true), Ok(()));
        assert_eq!(possible(&found(EngineKind::Docker, true, true), &both, &|_| false), Ok(()));
        assert_eq!(possible(&found(EngineKind::Docker, false, false), &both[..1], &|_| false), Ok(()));
    }

    #[test]
    fn an_emulator_counts_once_it_is_enabled() {
        let folder = std::env::temp_dir().join(format!("slipway-binfmt-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        assert!(!emulates(&folder, Platform::LinuxArm64));
        for (state, runs) in [("disabled\n", false), ("enabled\ninterpreter /usr/bin/qemu\n", true)] {
            std::fs::write(folder.join("qemu-aarch64"), state).unwrap();
            assert_eq!(emulates(&folder, Platform::LinuxArm64), runs);
        }
        std::fs::remove_dir_all(folder).unwrap();
    }
}
