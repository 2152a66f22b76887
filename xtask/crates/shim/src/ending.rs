//! Why a container ended, in words.

use super::client::Detail;
use nix::sys::signal::Signal;
use tools::oci::Container;

/// The exit codes by which an engine's client says that it was not the program that ended.
const ENGINE_FAILED: i32 = 125;
const NOT_RUNNABLE: i32 = 126;
const NOT_FOUND: i32 = 127;
/// A program that was ended by a signal has this and the signal's number.
const BY_SIGNAL: i32 = 128;

/// What is known of a container whose client has ended.
pub(super) struct Remains<'a> {
    /// The client's exit code, which is that of the container's program where that has ended.
    pub(super) code: i32,
    /// `None` when there is no container any more, or never was.
    pub(super) container: Option<&'a (Container, Detail)>,
    /// The command that the image names itself, as far as that was asked.
    pub(super) own_command: Option<Vec<String>>,
    /// The last that the client said.
    pub(super) words: String,
}

impl Remains<'_> {
    /// Why it ended, where its exit code does not say all.
    pub(super) fn reason(&self) -> Option<String> {
        let Some((container, detail)) = self.container else {
            return Some(match self.code {
                ENGINE_FAILED => format!("the engine cannot make the container: {}", self.words),
                code => format!("the container is gone, and its client ended with code {code}"),
            });
        };
        if container.running {
            return Some(format!("the engine's client ended with code {} while the container ran", self.code));
        }
        if container.state == "created" {
            return Some(self.why_not_started(&container.error, detail));
        }
        let limit = detail.memory.map(|memory| memory.to_string());
        if container.out_of_memory {
            let limit = limit.map(|limit| format!("its {limit} of memory"));
            let limit = limit.unwrap_or_else(|| "memory".to_owned());
            return Some(format!("was ended by the kernel: out of {limit}"));
        }
        let signal = i32::try_from(container.exit_code).ok().and_then(|code| code.checked_sub(BY_SIGNAL));
        match Signal::try_from(signal.unwrap_or_default()) {
            // Not every engine notices.
            Ok(Signal::SIGKILL) => {
                let limit = limit.map(|limit| format!("; it may have {limit}")).unwrap_or_default();
                Some(format!("was ended by SIGKILL, which usually means out of memory{limit}"))
            }
            Ok(signal) => Some(format!("was ended by {signal}")),
            Err(_) => None,
        }
    }

    /// `error` are the engine's words as the container has them; not every engine keeps them there.
    fn why_not_started(&self, error: &str, Detail { command, image, .. }: &Detail) -> String {
        let words = if error.is_empty() { &self.words } else { error };
        match self.code {
            NOT_FOUND => match self.own_command.as_deref() {
                Some([own, ..]) if own == command => {
                    format!("the command `{command}`, which the image `{image}` itself names, does not exist in it")
                }
                Some([]) => format!("the command `{command}` does not exist in the image `{image}`, which names none"),
                Some(own) => {
                    let own = own.join(" ");
                    format!(
                        "the command `{command}` does not exist in the image `{image}`, whose own command is `{own}`"
                    )
                }
                None => format!("the command `{command}` does not exist in the image `{image}`"),
            },
            NOT_RUNNABLE => format!("the command `{command}` of the image `{image}` cannot be run: {words}"),
            _ => format!("the engine cannot start the container: {words}"),
        }
    }
}

/// What matters of the last that an engine's client said: its error, without what it calls itself.
pub(super) fn last_words(text: &str) -> String {
    const LONGEST: usize = 500;
    const MARK: &str = "Error";
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = lines().rfind(|line| line.contains(MARK)).or_else(|| lines().next_back());
    let line = line.unwrap_or("it says nothing");
    let after = line.split_once(MARK).and_then(|(_, rest)| rest.split_once(": "));
    after.map_or(line, |(_, words)| words).chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Ended = (Container, Detail);

    fn ended(change: impl Fn(&mut Container)) -> Ended {
        let detail = Detail {
            command: "/nope".to_owned(),
            image: "docker.io/library/busybox:1.37".to_owned(),
            memory: "64Mi".parse().ok(),
        };
        let answer = r#"[{"Name": "a-1", "Image": "85792c96", "State": {"Running": false, "Status": "exited"}}]"#;
        let mut container = Container::parse(answer).into_iter().next().unwrap();
        change(&mut container);
        (container, detail)
    }

    fn reason(code: i32, container: Option<&Ended>, own: &[&str]) -> Option<String> {
        let own_command = Some(own.iter().map(|word| (*word).to_owned()).collect());
        Remains { code, container, own_command, words: "its words".to_owned() }.reason()
    }

    fn not_started() -> Ended {
        ended(|container| container.state = "created".to_owned())
    }

    #[test]
    fn a_program_that_exits_has_nothing_to_add() {
        for code in [0, 1, 125, 126, 127] {
            let container = ended(|container| container.exit_code = code.into());
            assert_eq!(reason(code, Some(&container), &[]), None);
        }
    }

    #[test]
    fn a_command_that_is_not_in_the_image_is_named_with_the_one_that_is() {
        let container = not_started();
        let start = "the command `/nope` does not exist in the image `docker.io/library/busybox:1.37`";
        assert_eq!(reason(127, Some(&container), &["sh"]).unwrap(), format!("{start}, whose own command is `sh`"));
        assert_eq!(reason(127, Some(&container), &[]).unwrap(), format!("{start}, which names none"));
        let own =
            "the command `/nope`, which the image `docker.io/library/busybox:1.37` itself names, does not exist in it";
        assert_eq!(reason(127, Some(&container), &["/nope", "x"]).unwrap(), own);
        let denied = "the command `/nope` of the image `docker.io/library/busybox:1.37` cannot be run: its words";
        assert_eq!(reason(126, Some(&container), &["sh"]).unwrap(), denied);
    }

    #[test]
    fn the_engine_has_the_word_where_nothing_ran() {
        assert_eq!(reason(125, None, &[]).unwrap(), "the engine cannot make the container: its words");
        let start = "the engine cannot start the container: ";
        assert_eq!(reason(125, Some(&not_started()), &[]).unwrap(), format!("{start}its words"));
        let mut container = not_started();
        container.0.error = "port is taken".to_owned();
        assert_eq!(reason(125, Some(&container), &[]).unwrap(), format!("{start}port is taken"));
        assert_eq!(reason(137, None, &[]).unwrap(), "the container is gone, and its client ended with code 137");
    }

    #[test]
    fn memory_and_signals_are_named() {
        let container = ended(|container| (container.out_of_memory, container.exit_code) = (true, 137));
        let kernel = "was ended by the kernel: out of its 64Mi of memory";
        assert_eq!(reason(137, Some(&container), &[]).unwrap(), kernel);
        let container = ended(|container| container.exit_code = 137);
        let unsure = "was ended by SIGKILL, which usually means out of memory; it may have 64Mi";
        assert_eq!(reason(137, Some(&container), &[]).unwrap(), unsure);
        let container = ended(|container| container.exit_code = 139);
        assert_eq!(reason(139, Some(&container), &[]).unwrap(), "was ended by SIGSEGV");
    }

    #[test]
    fn a_container_that_outlives_its_client_is_told_of() {
        let container = ended(|container| container.running = true);
        let reason = reason(137, Some(&container), &[]).unwrap();
        assert_eq!(reason, "the engine's client ended with code 137 while the container ran");
    }

    #[test]
    fn of_what_an_engine_says_its_error_is_kept() {
        let podman = "time=\"…\" level=warning msg=\"x\"\nError: unable to find network with name or ID x: not found\n";
        assert_eq!(last_words(podman), "unable to find network with name or ID x: not found");
        let docker = "docker: Error response from daemon: No such image: x\n\nRun 'docker run --help'\n";
        assert_eq!(last_words(docker), "No such image: x");
        assert_eq!(last_words("something\n\n"), "something");
        assert_eq!(last_words(""), "it says nothing");
    }
}
