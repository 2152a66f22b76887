//! A lease that many machines see: an object in a cluster or a bucket.
//!
//! No clock but our own is trusted: an owner lives as long as we see it renew its lease, and is dead when we have not for
//! as long as the lease lasts. One that ran from this very folder is known to be dead, as we hold the lock on that.
//! Whoever writes names the version that it has seen, so that of two who take the lease one gets it.
//!
//! An owner that could not renew its lease changes nothing any more before anybody else may take it: see [`base::fence`].

mod keep;

use self::keep::{keep, watch_over};
use anyhow::Result;
use base::error::Fault;
use base::os;
use base::proc::Proc;
use base::signal::Interrupts;
use engine::journal::Journal;
use engine::lease::{Claim, describe};
use serde_json::{Value, json};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// How often it is tried anew because somebody else has written.
const CONFLICTS: usize = 8;

/// Where a lease is kept, and how it is written there.
pub trait Place: Clone + Send + 'static {
    /// The lease as it was read, with what names its version.
    type Found: Send;

    /// # Errors
    /// When it cannot be read.
    fn read(&self) -> Result<Option<Self::Found>, Refused>;

    /// Writes it as ours in the place of what was found.
    ///
    /// # Errors
    /// When somebody else was faster, or it cannot be written.
    fn write(&self, claim: &Claim<'_>, found: Option<&Self::Found>) -> Result<Self::Found, Refused>;

    /// Writes a sign of life.
    ///
    /// # Errors
    /// Those of [`Place::write`].
    fn renew(&self, lease: &Self::Found) -> Result<Self::Found, Refused>;

    /// Gives it back; whose it was last is kept. Where that does not come to pass it ends by itself.
    fn free(&self, lease: Self::Found);

    fn seen(&self, lease: &Self::Found) -> Seen;

    /// What it means that the lease has gone while we held it; `None` where its end is our own doing.
    fn gone(&self) -> Option<String>;

    fn pace(&self) -> Pace;
}

/// Why a lease was not read or written.
pub enum Refused {
    /// It is another one than was thought.
    Conflict,
    Fault(Fault),
}

/// How a lease is kept.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// How often its owner renews it.
    pub heartbeat: Duration,
    /// How often somebody else's is looked at.
    pub look: Duration,
    /// How long its return is waited for.
    pub return_within: Duration,
}

/// What there is to see of a lease.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Empty when it is nobody's.
    pub holder: String,
    /// The folder of state that it runs from, as a word that no other folder has.
    pub folder: String,
    /// Another one after each renewal.
    pub renewed: Value,
    /// How long it lasts that is not renewed.
    pub lasts: Duration,
    /// Whose it is, for [`describe`].
    pub owner: Value,
}

/// Who wants a lease, and whom it tells.
#[derive(Clone)]
pub struct Candidate {
    /// The environment's name, for people.
    pub environment: String,
    /// See [`Seen::folder`].
    pub folder: String,
    pub interrupts: Interrupts,
    pub journal: Journal,
    /// Runs what the lease is for.
    pub proc: Proc,
}

/// The right to change a deployment from anywhere, held until it is dropped.
pub struct SharedLease {
    end: Option<End>,
    return_within: Duration,
    was_free: bool,
}

/// Ends the keeping of a lease, which is then neither renewed nor given back.
#[derive(Clone)]
pub struct End {
    stop: Sender<Stop>,
    returned: Arc<Mutex<Receiver<()>>>,
}

enum Stop {
    GiveBack,
    LetGo,
}

impl SharedLease {
    /// Takes the lease, or says who holds it. A dead owner's is taken over.
    ///
    /// # Errors
    /// When a live owner holds it, the wait for a sign of life is interrupted, or the place refuses.
    pub fn take(place: &impl Place, candidate: &Candidate, claim: &Claim<'_>) -> Result<Self> {
        let found = place.read().map_err(fault)?;
        Self::take_with(place, candidate, claim, found)
    }

    /// The same when the lease has just been read.
    ///
    /// # Errors
    /// Those of [`SharedLease::take`].
    pub fn take_with<P: Place>(
        place: &P,
        candidate: &Candidate,
        claim: &Claim<'_>,
        found: Option<P::Found>,
    ) -> Result<Self> {
        let Taken { lease, asked, was_free } = acquire(place, candidate, claim, found)?;
        let fence = candidate.proc.fence();
        fence.renewed(asked, place.seen(&lease).lasts);
        watch_over(fence.clone(), candidate.clone());
        let (stop, stopped) = channel();
        let (done, returned) = channel();
        let (place, candidate) = (place.clone(), candidate.clone());
        let return_within = place.pace().return_within;
        std::thread::spawn(move || {
            keep(&place, &candidate, lease, &stopped);
            let _ = done.send(());
        });
        Ok(Self { end: Some(End { stop, returned: Arc::new(Mutex::new(returned)) }), return_within, was_free })
    }

    /// Whether it was taken at the first attempt, so that nobody has held it since it was read.
    pub fn was_free(&self) -> bool {
        self.was_free
    }

    /// For whoever removes the place of the lease.
    pub fn end(&self) -> Option<End> {
        self.end.clone()
    }
}

impl Drop for SharedLease {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            end.order(Stop::GiveBack, self.return_within);
        }
    }
}

impl End {
    /// Waits until nothing more is written.
    pub fn let_go(&self, within: Duration) {
        self.order(Stop::LetGo, within);
    }

    fn order(&self, stop: Stop, within: Duration) {
        // One that is kept no longer has no ear, and nothing to wait for either.
        if self.stop.send(stop).is_ok() {
            let _ = self.returned.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(within);
        }
    }
}

/// A lease that has become ours.
struct Taken<F> {
    lease: F,
    /// Before it was written, in the time of [`os::uptime`].
    asked: Duration,
    /// See [`SharedLease::was_free`].
    was_free: bool,
}

fn acquire<P: Place>(
    place: &P,
    candidate: &Candidate,
    claim: &Claim<'_>,
    mut found: Option<P::Found>,
) -> Result<Taken<P::Found>> {
    let mut watch = Watch::default();
    let mut conflicts = 0;
    let mut was_free = true;
    loop {
        let seen = found.as_ref().map(|found| place.seen(found));
        let sight = seen.as_ref().map_or(Sight::Free, |seen| watch.look(seen, &candidate.folder, Instant::now()));
        let who = || seen.as_ref().map(|seen| describe(&seen.owner)).unwrap_or_default();
        match sight {
            Sight::Free | Sight::Left => {}
            Sight::Dead => {
                let who = who();
                candidate.journal.note(format!("taking over from {who}, which ended without releasing the lease"));
            }
            Sight::Alive => return Err(candidate.held(&who()).into()),
            Sight::Unknown { first } => {
                was_free = false;
                if first {
                    let lasts = seen.as_ref().map(|seen| seen.lasts.as_secs()).unwrap_or_default();
                    candidate.journal.note(format!(
                        "`{}` is held by {}; checking for up to {lasts} s whether that run is alive",
                        candidate.environment,
                        who()
                    ));
                }
                if candidate.interrupts.pause(place.pace().look) {
                    return Err(Fault::interrupted(candidate.interrupts.first().unwrap_or_default()).into());
                }
                found = place.read().map_err(fault)?;
                continue;
            }
        }
        let asked = os::uptime();
        match place.write(claim, found.as_ref()) {
            Ok(lease) => return Ok(Taken { lease, asked, was_free: was_free && conflicts == 0 }),
            // Somebody else was faster, who is then alive, or it was ours without an answer; the next look tells.
            Err(Refused::Conflict) if conflicts < CONFLICTS => {
                conflicts += 1;
                watch.begin(Value::Null, Instant::now());
                found = place.read().map_err(fault)?;
            }
            Err(refused) => return Err(fault(refused).into()),
        }
    }
}

fn fault(refused: Refused) -> Fault {
    match refused {
        Refused::Fault(fault) => fault,
        Refused::Conflict => {
            let cause = "the lease on this deployment was taken by another run at each attempt";
            Fault::could_not_run("lease-contended", cause).hint("try again in a moment")
        }
    }
}

impl Candidate {
    fn held(&self, who: &str) -> Fault {
        let cause = format!("environment `{}` is held by {who}", self.environment);
        Fault::could_not_run("lease-held", cause).hint("wait for it, or stop it where it runs")
    }
}

/// What somebody else's lease looks like.
#[derive(Debug, PartialEq)]
enum Sight {
    /// Nobody's.
    Free,
    /// A killed run of this folder's, of which the lease on that has told already.
    Left,
    Alive,
    Dead,
    Unknown {
        /// Seen for the first time.
        first: bool,
    },
}

/// Watches a lease for a sign of life.
#[derive(Default)]
struct Watch(Option<(Value, Instant)>);

impl Watch {
    fn begin(&mut self, sign: Value, now: Instant) {
        self.0 = Some((sign, now));
    }

    fn look(&mut self, found: &Seen, folder: &str, now: Instant) -> Sight {
        if found.holder.is_empty() {
            return Sight::Free;
        }
        if found.folder == folder {
            return Sight::Left;
        }
        let sign = json!([found.holder, found.renewed]);
        match &self.0 {
            None => {
                self.begin(sign, now);
                Sight::Unknown { first: true }
            }
            Some((seen, _)) if *seen != sign => Sight::Alive,
            Some((_, since)) if now.saturating_duration_since(*since) >= found.lasts => Sight::Dead,
            Some(_) => Sight::Unknown { first: false },
        }
    }
}

/// Whose a lease is to be, as one word.
pub fn holder(claim: &Claim<'_>) -> String {
    format!("{} {} {}", claim.who, std::process::id(), claim.run)
}

/// The time of a renewal.
pub fn micro_time(time: SystemTime) -> String {
    humantime::format_rfc3339_micros(time).to_string()
}

/// Notes in an owner's document, for people, when a lease was renewed last: seconds are enough.
pub fn heard_of(owner: &mut Value, renewed: &str) {
    let seconds = renewed.split('.').next().unwrap_or(renewed).trim_end_matches('Z');
    owner["heartbeat"] = json!(format!("{seconds}Z"));
}

#[cfg(test)]
mod tests;
