//! The keeper of a lease that is ours: renews it, says how long it is certain, and sees to it that nothing goes on without.

use super::{Candidate, Place, Refused, Stop};
use base::fence::Fence;
use base::os;
use base::proc::Children;
use engine::lease::{describe, name};
use nix::sys::signal::Signal;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

/// The longest that its keeper waits before it looks at the clock, which goes on while the machine sleeps.
const LOOK: Duration = Duration::from_secs(1);

/// What may go on while it is not known who has the lease: what builds changes nothing that others share, and a call to AWS
/// is over before it could be ended. The lease's own keeper makes some.
const SPARED: [&str; 5] = ["aws", "cargo", "docker", "nerdctl", "podman"];

/// Ends the programs that change something whenever nobody can be certain of the lease any more.
pub(super) fn watch_over(fence: Fence, candidate: Candidate) {
    let end = |children: &Children| {
        let is_spared = |program: &str| SPARED.contains(&program.rsplit('/').next().unwrap_or(program));
        children.signal_those(Signal::SIGTERM, |program| !is_spared(program));
    };
    std::thread::spawn(move || {
        let mut doubted = false;
        while fence.await_doubt(doubted) {
            doubted = !doubted;
            if doubted {
                end(candidate.proc.children());
                if fence.lost().is_none() {
                    let words = "the lease on this deployment was not renewed in time; nothing is changed until it is";
                    candidate.journal.note(words);
                }
            }
        }
    });
}

/// What became of a renewal.
enum Beat<F> {
    Renewed(F),
    /// It was renewed before, without an answer that said so.
    Found(F),
    /// Not this time; the next may.
    Missed,
    /// We have removed it ourselves.
    Over,
    /// Somebody else has it, or had it meanwhile, or nobody any more.
    Lost(String),
}

/// Renews the lease until there is nobody who needs it, and gives it back.
pub(super) fn keep<P: Place>(place: &P, candidate: &Candidate, mut lease: P::Found, stopped: &Receiver<Stop>) {
    let fence = candidate.proc.fence();
    fence.is_kept_here();
    let heartbeat = place.pace().heartbeat;
    let mut asked = os::uptime();
    loop {
        // Somebody waits for the renewal of one that has run out.
        let due = if fence.is_certain() { heartbeat } else { heartbeat.min(LOOK) };
        match stopped.recv_timeout(heartbeat.min(LOOK)) {
            Err(RecvTimeoutError::Timeout) if os::uptime().saturating_sub(asked) < due => continue,
            Err(RecvTimeoutError::Timeout) => {}
            Ok(Stop::LetGo) => return fence.lift(),
            Ok(Stop::GiveBack) | Err(RecvTimeoutError::Disconnected) => break,
        }
        asked = os::uptime();
        match beat(place, fence, &lease) {
            Beat::Renewed(renewed) => {
                fence.renewed(asked, place.seen(&renewed).lasts);
                lease = renewed;
            }
            Beat::Found(found) => lease = found,
            Beat::Missed => {}
            Beat::Over => return fence.lift(),
            Beat::Lost(how) => {
                fence.lose(&how);
                candidate.journal.note(format!("the lease on this deployment {how}; nothing more is started"));
                // Ends what waits.
                candidate.interrupts.stop();
                return;
            }
        }
    }
    // One that may be somebody else's ends by itself.
    if fence.is_certain() {
        place.free(lease);
        fence.lift();
    }
}

fn beat<P: Place>(place: &P, fence: &Fence, lease: &P::Found) -> Beat<P::Found> {
    match place.renew(lease) {
        Ok(renewed) => Beat::Renewed(renewed),
        Err(Refused::Fault(_)) => Beat::Missed,
        Err(Refused::Conflict) => match place.read() {
            Ok(Some(found)) => {
                let seen = place.seen(&found);
                if seen.holder == place.seen(lease).holder {
                    Beat::Found(found)
                } else if seen.holder.is_empty() {
                    let who = name(&seen.owner).unwrap_or_else(|| "somebody".to_owned());
                    Beat::Lost(format!("went to {who}, which has released it since"))
                } else {
                    Beat::Lost(format!("went to {}", describe(&seen.owner)))
                }
            }
            Ok(None) => match place.gone() {
                None if fence.is_certain() => Beat::Over,
                None => Beat::Lost("is gone".to_owned()),
                Some(how) => Beat::Lost(how),
            },
            Err(_) => Beat::Missed,
        },
    }
}
