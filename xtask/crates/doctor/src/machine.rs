//! The machine itself.

use super::fix::Fix;
use super::{Check, Finding, Group};

pub(super) fn checks() -> Vec<Check> {
    let platform = |_: &super::Scene| judge(std::env::consts::OS, std::env::consts::ARCH);
    vec![Check::new(Group::Machine, "machine.platform", "platform", platform)]
}

fn judge(system: &str, architecture: &str) -> Finding {
    let finding = match architecture {
        "x86_64" | "aarch64" => Finding::pass(""),
        _ => Finding::warn("this architecture is untested; public images may not support it")
            .fix([Fix::by_hand("use an x86_64 or aarch64 machine when something fails")]),
    };
    finding.found(format!("{system} {architecture}")).want("x86_64 or aarch64")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Outcome;

    #[test]
    fn an_untried_architecture_is_a_warning() {
        assert_eq!(judge("macos", "aarch64").outcome, Outcome::Pass);
        let untried = judge("linux", "riscv64");
        assert_eq!((untried.outcome, untried.found.as_deref()), (Outcome::Warn, Some("linux riscv64")));
    }
}
