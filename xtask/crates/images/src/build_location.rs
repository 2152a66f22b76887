//! Where the binary of an image is built: on this machine, or inside a container.

use super::elf::Glibc;
use model::container::Platform;
use model::environment::BuildPlace;
use std::fmt;

/// Where the binary of an image is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuildLocation {
    /// By cargo on this machine.
    Host,
    /// In a container of the builder image.
    Inside,
}

impl BuildLocation {
    /// Also the stage of the Dockerfile that it ends in.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Inside => "inside",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        [Self::Host, Self::Inside].into_iter().find(|location| location.as_str() == text)
    }
}

/// Which glibc a binary needs at least, and which one it would find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GlibcCheck {
    /// `None`: none at all.
    pub needs: Option<Glibc>,
    /// What the base has; `None`: none at all.
    pub has: Option<Glibc>,
}

impl GlibcCheck {
    pub(super) fn fits(self) -> bool {
        self.needs.is_none_or(|needs| self.has.is_some_and(|has| needs <= has))
    }
}

impl fmt::Display for GlibcCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.needs {
            Some(needs) => write!(f, "the binary needs glibc {needs}, ")?,
            None => write!(f, "the binary needs no glibc, ")?,
        }
        match self.has {
            Some(has) => write!(f, "`base` has {has}"),
            None => write!(f, "`base` has none"),
        }
    }
}

/// What decides the location before anything is built.
#[derive(Debug, Clone, Copy)]
pub(super) struct Circumstances {
    pub(super) place: BuildPlace,
    /// As `std::env::consts` has them.
    pub(super) system: &'static str,
    pub(super) architecture: &'static str,
    pub(super) platform: Platform,
    /// What an earlier run has found out about the binary that would be built here.
    pub(super) fit: Option<GlibcCheck>,
}

/// A location, and why it is the one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LocationChoice {
    pub(super) location: BuildLocation,
    pub(super) why: String,
}

impl Circumstances {
    /// # Errors
    /// Why it cannot be built where it was asked to be.
    pub(super) fn answer(self) -> Result<LocationChoice, String> {
        let host = |why: String| Ok(LocationChoice { location: BuildLocation::Host, why });
        let obstacle = self.obstacle();
        match (self.place, obstacle) {
            (BuildPlace::Inside, _) => Ok(inside("`build` is set to `inside`")),
            (BuildPlace::Host, Some(obstacle)) => Err(format!("`build` is set to `host`, but {obstacle}")),
            (BuildPlace::Auto, Some(obstacle)) => Ok(inside(&obstacle)),
            (_, None) => host(self.fit.map_or_else(|| "on this machine".to_owned(), on_this_machine)),
        }
    }

    /// Why a binary built here is none for the image.
    fn obstacle(self) -> Option<String> {
        if self.system != "linux" {
            let name = if self.system == "macos" { "macOS" } else { self.system };
            return Some(format!("this machine is {name}"));
        }
        if Platform::of_architecture(self.architecture) != Some(self.platform) {
            return Some(format!("this machine is {}, the image is for {}", self.architecture, self.platform));
        }
        self.fit.filter(|fit| !fit.fits()).map(|fit| format!("built here, {fit}"))
    }
}

fn inside(why: &str) -> LocationChoice {
    LocationChoice { location: BuildLocation::Inside, why: format!("inside a container: {why}") }
}

pub(super) fn on_this_machine(fit: GlibcCheck) -> String {
    format!("on this machine: {fit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circumstances() -> Circumstances {
        let platform = Platform::LinuxAmd64;
        Circumstances { place: BuildPlace::Auto, system: "linux", architecture: "x86_64", platform, fit: None }
    }

    fn fit(needs: &str, has: &str) -> Option<GlibcCheck> {
        Some(GlibcCheck { needs: needs.parse().ok(), has: has.parse().ok() })
    }

    fn answer(circumstances: Circumstances) -> String {
        match circumstances.answer() {
            Ok(choice) => format!("{}; {}", choice.location.as_str(), choice.why),
            Err(why) => format!("refused; {why}"),
        }
    }

    #[test]
    fn each_way_says_why() {
        assert_eq!(answer(circumstances()), "host; on this machine");
        let fits = Circumstances { fit: fit("2.34", "2.36"), ..circumstances() };
        assert_eq!(answer(fits), "host; on this machine: the binary needs glibc 2.34, `base` has 2.36");
        let newer = Circumstances { fit: fit("2.100", "2.36"), ..circumstances() };
        let why = "built here, the binary needs glibc 2.100, `base` has 2.36";
        assert_eq!(answer(newer), format!("inside; inside a container: {why}"));
        let mac = Circumstances { system: "macos", architecture: "aarch64", ..circumstances() };
        assert_eq!(answer(mac), "inside; inside a container: this machine is macOS");
        let arm = Circumstances { platform: Platform::LinuxArm64, ..circumstances() };
        let why = "this machine is x86_64, the image is for linux/arm64";
        assert_eq!(answer(arm), format!("inside; inside a container: {why}"));
        let asked = Circumstances { place: BuildPlace::Inside, ..circumstances() };
        assert_eq!(answer(asked), "inside; inside a container: `build` is set to `inside`");
        let forced = Circumstances { place: BuildPlace::Host, ..arm };
        assert_eq!(answer(forced), format!("refused; `build` is set to `host`, but {why}"));
    }

    #[test]
    fn a_base_without_glibc_suits_what_needs_none() {
        assert!(GlibcCheck { needs: None, has: None }.fits());
        assert!(!fit("2.2", "none").is_some_and(GlibcCheck::fits));
        assert!(fit("2.36", "2.36").is_some_and(GlibcCheck::fits));
        assert!(!fit("2.36", "2.4").is_some_and(GlibcCheck::fits), "versions are numbers, not text");
    }
}
