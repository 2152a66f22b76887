use super::*;
use base::proc::{Children, CommandLine};

/// Long enough for a machine that has much to do.
const LASTS: Duration = Duration::from_secs(1);

/// A lease in this process's memory.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    lease: Option<Lease>,
    writes: u64,
    /// So many writes are made without an answer that says so.
    unheard: usize,
    /// Nothing gets through.
    is_away: bool,
}

#[derive(Debug, Clone, PartialEq)]
struct Lease {
    holder: String,
    folder: String,
    version: u64,
}

impl Memory {
    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.0.lock().unwrap()
    }

    fn put(&self, holder: &str, folder: &str) {
        let mut kept = self.kept();
        kept.writes += 1;
        let version = kept.writes;
        kept.lease = Some(Lease { holder: holder.to_owned(), folder: folder.to_owned(), version });
    }

    fn replace(&self, wanted: Option<u64>, holder: &str, folder: &str) -> Result<Lease, Refused> {
        if self.kept().is_away {
            return Err(Refused::Fault(Fault::failed("away", "nobody answers")));
        }
        if self.kept().lease.as_ref().map(|lease| lease.version) != wanted {
            return Err(Refused::Conflict);
        }
        self.put(holder, folder);
        let mut kept = self.kept();
        if kept.unheard > 0 {
            kept.unheard -= 1;
            return Err(Refused::Conflict);
        }
        Ok(kept.lease.clone().unwrap())
    }

    fn holder(&self) -> Option<String> {
        self.kept().lease.as_ref().map(|lease| lease.holder.clone())
    }
}

impl Place for Memory {
    type Found = Lease;

    fn read(&self) -> Result<Option<Lease>, Refused> {
        Ok(self.kept().lease.clone())
    }

    fn write(&self, claim: &Claim<'_>, found: Option<&Lease>) -> Result<Lease, Refused> {
        self.replace(found.map(|lease| lease.version), &holder(claim), "here")
    }

    fn renew(&self, lease: &Lease) -> Result<Lease, Refused> {
        self.replace(Some(lease.version), &lease.holder, &lease.folder)
    }

    fn free(&self, lease: Lease) {
        let _ = self.replace(Some(lease.version), "", "");
    }

    fn seen(&self, lease: &Lease) -> Seen {
        Seen {
            holder: lease.holder.clone(),
            folder: lease.folder.clone(),
            renewed: json!(lease.version),
            lasts: LASTS,
            owner: json!({"who": lease.holder}),
        }
    }

    fn gone(&self) -> Option<String> {
        Some("was removed".to_owned())
    }

    fn pace(&self) -> Pace {
        Pace {
            heartbeat: Duration::from_millis(30),
            look: Duration::from_millis(10),
            return_within: Duration::from_secs(5),
        }
    }
}

fn candidate() -> Candidate {
    Candidate {
        environment: "aws".to_owned(),
        folder: "here".to_owned(),
        interrupts: Interrupts::default(),
        journal: Journal::open(None, "deploy", "aws", engine::journal::nobody()).unwrap(),
        proc: Proc::new(Children::default(), Interrupts::default(), std::ffi::OsString::new()),
    }
}

fn claim() -> Claim<'static> {
    Claim { who: "me@here".to_owned(), command: "deploy", run: "r" }
}

fn notes(candidate: &Candidate) -> Vec<String> {
    let note = |event| match event {
        engine::journal::Event::Note { text } => Some(text),
        _ => None,
    };
    candidate.journal.events().into_iter().filter_map(note).collect()
}

/// Waits for what another thread is about to do.
#[track_caller]
fn eventually(so: impl Fn() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < Duration::from_secs(10), "it never came to pass");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_lease_is_renewed_and_given_back() {
    let (place, candidate) = (Memory::default(), candidate());
    let lease = SharedLease::take(&place, &candidate, &claim()).unwrap();
    assert_eq!(place.holder(), Some(holder(&claim())));
    eventually(|| place.kept().writes > 3);
    drop(lease);
    assert_eq!(place.holder().as_deref(), Some(""));
    assert!(SharedLease::take(&place, &candidate, &claim()).is_ok() && notes(&candidate).is_empty());
}

#[test]
fn a_live_owner_is_named_and_a_dead_one_outlived() {
    let (place, candidate) = (Memory::default(), candidate());
    place.put("you@there", "there");
    let (beats, stop) = (place.clone(), Arc::new(Mutex::new(false)));
    let stopped = Arc::clone(&stop);
    let heart = std::thread::spawn(move || {
        while !*stopped.lock().unwrap() {
            std::thread::sleep(Duration::from_millis(20));
            beats.put("you@there", "there");
        }
    });
    let refused = SharedLease::take(&place, &candidate, &claim()).err().unwrap();
    let fault = Fault::of(&refused);
    assert_eq!(fault.code, "lease-held");
    assert!(fault.cause.starts_with("environment `aws` is held by you@there ("), "{}", fault.cause);
    *stop.lock().unwrap() = true;
    heart.join().unwrap();
    assert!(SharedLease::take(&place, &candidate, &claim()).is_ok());
    let told = notes(&candidate);
    assert!(told.last().unwrap().starts_with("taking over from you@there ("), "{told:?}");
}

#[test]
fn a_renewal_whose_answer_was_lost_counts() {
    let (place, candidate) = (Memory::default(), candidate());
    let lease = SharedLease::take(&place, &candidate, &claim()).unwrap();
    place.kept().unheard = 2;
    eventually(|| place.kept().writes > 6);
    assert!(!candidate.interrupts.stopping());
    drop(lease);
    assert_eq!(place.holder().as_deref(), Some(""));
}

#[test]
fn a_lease_that_went_to_somebody_else_stops_the_run() {
    let (place, candidate) = (Memory::default(), candidate());
    let lease = SharedLease::take(&place, &candidate, &claim()).unwrap();
    place.put("you@there", "there");
    eventually(|| candidate.interrupts.stopping());
    assert!(notes(&candidate)[0].starts_with("the lease on this deployment went to you@there ("));
    drop(lease);
    assert_eq!(place.holder().as_deref(), Some("you@there"));
}

#[test]
fn a_lease_that_was_removed_stops_the_run_unless_we_let_it_go() {
    let (place, candidate) = (Memory::default(), candidate());
    let lease = SharedLease::take(&place, &candidate, &claim()).unwrap();
    lease.end().unwrap().let_go(Duration::from_secs(5));
    place.kept().lease = None;
    std::thread::sleep(Duration::from_millis(100));
    drop(lease);
    assert!(!candidate.interrupts.stopping() && place.holder().is_none());

    let _lease = SharedLease::take(&place, &candidate, &claim()).unwrap();
    place.kept().lease = None;
    eventually(|| candidate.interrupts.stopping());
    assert_eq!(notes(&candidate), ["the lease on this deployment was removed; nothing more is started"]);
}

#[test]
fn an_owner_that_cannot_renew_changes_nothing_before_another_may_begin() {
    let (place, candidate) = (Memory::default(), candidate());
    let fence = candidate.proc.fence();
    let lease = SharedLease::take(&place, &candidate, &claim()).unwrap();
    assert!(candidate.proc.may_change().is_ok());
    let last = Instant::now();
    place.kept().is_away = true;
    eventually(|| !fence.is_certain());
    assert!(last.elapsed() < LASTS, "another one could have begun after {:?}", last.elapsed());
    let (proc, started) = (candidate.proc.clone(), Instant::now());
    let change = std::thread::spawn(move || proc.may_change());
    let told = ["the lease on this deployment was not renewed in time; nothing is changed until it is"];
    eventually(|| notes(&candidate) == told);
    // Nobody has taken it meanwhile, so that it goes on.
    place.kept().is_away = false;
    assert!(change.join().unwrap().is_ok(), "after {:?}", started.elapsed());
    assert!(!candidate.interrupts.stopping());
    drop(lease);
    assert_eq!(place.holder().as_deref(), Some(""));
}

#[test]
fn a_lease_that_was_taken_meanwhile_is_left_alone_even_when_it_was_given_back() {
    for (holder, told) in [("you@there", "went to you@there ("), ("", "went to somebody, which has released it since")]
    {
        let (place, candidate) = (Memory::default(), candidate());
        let lease = SharedLease::take(&place, &candidate, &claim()).unwrap();
        place.kept().is_away = true;
        eventually(|| !candidate.proc.fence().is_certain());
        place.put(holder, "there");
        let proc = candidate.proc.clone();
        let change = std::thread::spawn(move || proc.may_change());
        place.kept().is_away = false;
        let fault = Fault::of(&change.join().unwrap().unwrap_err());
        assert!(fault.code == "lease-lost" && fault.cause.contains(told), "{}", fault.cause);
        let writes = place.kept().writes;
        drop(lease);
        assert_eq!((place.holder().as_deref(), place.kept().writes), (Some(holder), writes));
    }
}

#[test]
fn what_runs_for_a_lost_lease_is_ended_but_not_what_only_builds() {
    let (place, mut candidate) = (Memory::default(), candidate());
    candidate.proc = Proc::new(Children::default(), Interrupts::default(), std::env::var_os("PATH").unwrap());
    let _lease = SharedLease::take(&place, &candidate, &claim()).unwrap();
    let scratch = std::env::temp_dir().join(format!("xtask-builds-{}", std::process::id()));
    std::fs::create_dir_all(&scratch).unwrap();
    let builder = scratch.join("cargo");
    std::os::unix::fs::symlink("/bin/sh", &builder).unwrap();
    let wait = "trap 'exit 7' TERM; while [ -d \"$0\" ]; do sleep 0.01; done";
    let run = |program: &std::path::Path| {
        let line = CommandLine::new(program).args(["-c", wait]).arg(&scratch);
        let proc = candidate.proc.clone();
        std::thread::spawn(move || proc.try_read(&line).unwrap())
    };
    let (changes, builds) = (run(std::path::Path::new("sh")), run(&builder));
    eventually(|| candidate.proc.children().count() == 2);
    place.put("you@there", "there");
    assert_eq!(changes.join().unwrap().status, "exit status: 7");
    assert!(!builds.is_finished());
    std::fs::remove_dir_all(&scratch).unwrap();
    assert_eq!(builds.join().unwrap().status, "exit status: 0");
}

fn seen(holder: &str, folder: &str, renewed: &str) -> Seen {
    Seen {
        holder: holder.to_owned(),
        folder: folder.to_owned(),
        renewed: json!(renewed),
        lasts: Duration::from_secs(15),
        owner: Value::Null,
    }
}

#[test]
fn a_lease_that_is_renewed_before_our_eyes_has_a_live_owner() {
    let (mut watch, start) = (Watch::default(), Instant::now());
    let after = |seconds| start + Duration::from_secs(seconds);
    assert_eq!(watch.look(&seen("a", "there", "1"), "here", start), Sight::Unknown { first: true });
    assert_eq!(watch.look(&seen("a", "there", "1"), "here", after(14)), Sight::Unknown { first: false });
    assert_eq!(watch.look(&seen("a", "there", "2"), "here", after(14)), Sight::Alive);
    assert_eq!(watch.look(&seen("b", "there", "1"), "here", after(14)), Sight::Alive);
}

#[test]
fn a_lease_that_is_not_renewed_for_as_long_as_it_lasts_is_nobody_s() {
    let (mut watch, start) = (Watch::default(), Instant::now());
    let found = seen("a", "there", "1");
    watch.look(&found, "here", start);
    assert_eq!(watch.look(&found, "here", start + Duration::from_secs(15)), Sight::Dead);
}

#[test]
fn what_ran_from_our_own_folder_is_dead() {
    let mut watch = Watch::default();
    assert_eq!(watch.look(&seen("a", "here", "1"), "here", Instant::now()), Sight::Left);
    assert_eq!(watch.look(&seen("", "there", "1"), "here", Instant::now()), Sight::Free);
}

#[test]
fn of_two_who_take_a_free_lease_one_is_refused_at_once() {
    let (place, candidate) = (Memory::default(), candidate());
    let read = place.read().ok().flatten();
    place.put("you@there", "there");
    let refused = SharedLease::take_with(&place, &candidate, &claim(), read).err().unwrap();
    assert_eq!(Fault::of(&refused).code, "lease-held");
    assert!(notes(&candidate).is_empty());
}
