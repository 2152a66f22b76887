//! What a process is given, and what is said when it cannot be started.

use crate::scratch::{Scratch, await_candidate, service, status};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use supervisor::{LaunchSpec, LaunchStrategy, State};

fn failure(scratch: &Scratch, spec: &LaunchSpec) -> String {
    let client = scratch.supervisor();
    let number = client.start(spec).unwrap();
    let reason = await_candidate(&client, State::Failed).reason.unwrap();
    client.discard(&service(), number).unwrap();
    assert_eq!(client.status().unwrap(), []);
    reason
}

#[test]
fn a_program_that_cannot_be_started_fails_with_the_words_of_the_system() {
    let scratch = Scratch::new("refused");
    let file = |name: &str, mode: u32| -> PathBuf {
        let path = scratch.dir.join(name);
        std::fs::write(&path, "#!/no/such/interpreter\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    };
    for (program, words) in [
        (scratch.dir.join("missing"), "No such file or directory"),
        (file("data", 0o600), "Permission denied"),
        (file("script", 0o700), "No such file or directory"),
    ] {
        for style in [LaunchStrategy::Handover, LaunchStrategy::Plain] {
            let spec = LaunchSpec { program: program.clone(), style: style.clone(), ..scratch.spec("v1") };
            let reason = failure(&scratch, &spec);
            let expected = format!("cannot start `{}`: {words}", program.display());
            assert!(reason.starts_with(&expected), "{style:?}: {reason}");
        }
    }
}

#[test]
fn a_folder_that_is_missing_is_not_taken_for_a_missing_program() {
    let scratch = Scratch::new("folder");
    let spec = LaunchSpec { dir: scratch.dir.join("missing"), ..scratch.spec("v1") };
    assert_eq!(failure(&scratch, &spec), format!("the folder `{}` does not exist", spec.dir.display()));
}

#[test]
fn a_port_in_use_is_reported_with_its_holder() {
    let scratch = Scratch::new("taken");
    for style in [LaunchStrategy::Handover, LaunchStrategy::Plain] {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let spec = LaunchSpec { style, listen: taken.local_addr().unwrap(), ..scratch.spec("v1") };
        let reason = failure(&scratch, &spec);
        assert!(reason.starts_with(&format!("port {} is held by `", spec.listen.port())), "{reason}");
        assert!(reason.contains(&format!("(process {}", std::process::id())), "{reason}");
    }
}

#[test]
fn no_file_holds_what_the_environment_holds() {
    let scratch = Scratch::new("secret");
    let client = scratch.supervisor();
    let mut spec = scratch.spec("v1");
    spec.env.insert("REDIS_PASSWORD".to_owned(), "correct-horse-battery".to_owned());
    scratch.deploy(&client, &spec);
    let mut files = vec![scratch.dir.clone()];
    let mut texts = 0;
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if !path.ends_with("bin/xtask") {
            // What is being written has another name until it is whole.
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            assert!(!text.contains("correct-horse"), "{}", path.display());
            texts += 1;
        }
    }
    assert!(texts >= 4, "the records, the contact and two logs were looked at");
}

#[cfg(target_os = "linux")]
#[test]
fn a_process_has_its_sockets_its_log_and_nothing_else() {
    let scratch = Scratch::new("open");
    let client = scratch.supervisor();
    scratch.deploy(&client, &LaunchSpec { probe_every: std::time::Duration::from_secs(60), ..scratch.spec("v1") });
    let pid = status(&client).current.unwrap().pid.unwrap();
    let open = crate::scratch::eventually("no probe is being answered", || {
        let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
        let mut open: Vec<(u32, PathBuf)> = entries
            .filter_map(|entry| {
                Some((entry.file_name().to_str()?.parse().ok()?, std::fs::read_link(entry.path()).ok()?))
            })
            .collect();
        open.sort();
        (open.len() <= 5).then_some(open)
    });
    assert_eq!(open.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    assert_eq!(open[0].1, PathBuf::from("/dev/null"));
    assert_eq!((&open[1].1, &open[2].1), (&scratch.log(), &scratch.log()));
    assert!(open[3..].iter().all(|(_, target)| target.to_string_lossy().starts_with("socket:")), "{open:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_log_that_cannot_be_opened_does_not_keep_a_service_from_running() {
    let scratch = Scratch::new("full");
    let client = scratch.supervisor();
    scratch.deploy(&client, &LaunchSpec { log: "/proc/no-such-folder/fixture.log".into(), ..scratch.spec("v1") });
    assert_eq!(scratch.get().unwrap(), "v1");
}

// The processes are found by their environment, which macOS hides for programs of its own.
#[cfg(target_os = "linux")]
#[test]
fn what_a_service_has_started_ends_with_it() {
    let scratch = Scratch::new("tree");
    let client = scratch.supervisor();
    let script = "trap '' TERM; sleep 600 & sleep 600 & echo started; exec sleep 600";
    let mut spec = LaunchSpec {
        program: "/bin/sh".into(),
        args: vec!["-c".to_owned(), script.to_owned()],
        style: LaunchStrategy::Plain,
        ready: model::system::Probe::Tcp { send: None, expect: None },
        stop_within: std::time::Duration::from_millis(200),
        ..scratch.spec("v1")
    };
    spec.env.insert("PATH".to_owned(), "/usr/bin:/bin".to_owned());
    let number = client.start(&spec).unwrap();
    crate::scratch::eventually("the whole tree runs", || (scratch.processes().len() == 4).then_some(()));
    // None of them heeds SIGTERM, so they are killed.
    client.discard(&service(), number).unwrap();
    crate::scratch::eventually("the whole tree has ended", || (scratch.processes().len() == 1).then_some(()));
}

// The processes are found by their environment, which macOS hides for programs of its own.
#[cfg(target_os = "linux")]
#[test]
fn what_a_crashed_service_leaves_running_is_killed() {
    let scratch = Scratch::new("leftover");
    let client = scratch.supervisor();
    let mut spec = LaunchSpec {
        program: "/bin/sh".into(),
        args: vec!["-c".to_owned(), "trap '' TERM; sleep 600 & exit 3".to_owned()],
        style: LaunchStrategy::Plain,
        ..scratch.spec("v1")
    };
    spec.env.insert("PATH".to_owned(), "/usr/bin:/bin".to_owned());
    client.start(&spec).unwrap();
    let failed = await_candidate(&client, State::Failed);
    assert_eq!(failed.reason.as_deref(), Some("exited with code 3"));
    crate::scratch::eventually("nothing of it is left", || (scratch.processes().len() == 1).then_some(()));
}
