//! git: which commit is checked out, and whether something differs from it.

use anyhow::Result;
use base::proc::{CommandLine, Proc};
use std::path::{Path, PathBuf};

/// The commit that is checked out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub commit: String,
    /// In seconds since 1970.
    pub time: u64,
    /// As RFC 3339 has it.
    pub date: String,
}

/// Asks without taking a lock, so that nobody's own git has to wait.
fn question(root: &Path) -> CommandLine {
    CommandLine::new("git").arg("-C").arg(root).env("GIT_OPTIONAL_LOCKS", "0").env("TZ", "UTC")
}

/// For [`Head::parse`].
pub fn last_commit(root: &Path) -> CommandLine {
    question(root)
        .args(["log", "-1", "--no-show-signature", "--date=format-local:%Y-%m-%dT%H:%M:%SZ"])
        .arg("--format=%H %ct %cd")
}

/// Prints a line for everything in these places that is not as the commit has it.
pub fn changes(root: &Path, paths: &[PathBuf]) -> CommandLine {
    question(root).args(["status", "--porcelain", "--"]).args(paths)
}

/// Succeeds when git ignores a path, be it there or not.
pub fn ignores(root: &Path, path: &str) -> CommandLine {
    question(root).args(["check-ignore", "--quiet", "--", path])
}

/// Prints the address of the repository that a folder's commits are sent to.
pub fn origin(folder: &Path) -> CommandLine {
    question(folder).args(["remote", "get-url", "origin"])
}

/// Prints the way from a repository's root to a folder in it, with a slash at its end unless that is the root.
pub fn prefix(folder: &Path) -> CommandLine {
    question(folder).args(["rev-parse", "--show-prefix"])
}

/// A repository's address as others may see and use it: none of this machine alone, and without a user's password.
pub fn public_address(origin: &str) -> Option<String> {
    let Some((scheme, rest)) = origin.split_once("://") else {
        // `git@github.com:shop/deploy.git`; a slash before the colon makes it a path.
        let (host, path) = origin.split_once(':')?;
        return (host.contains('@') && !host.contains('/') && !path.is_empty()).then(|| origin.to_owned());
    };
    match scheme {
        "ssh" => Some(origin.to_owned()),
        "http" | "https" => {
            let (host, path) = rest.split_once('/')?;
            let host = host.rsplit('@').next().unwrap_or(host);
            Some(format!("{scheme}://{host}/{path}"))
        }
        _ => None,
    }
}

impl Head {
    /// The commit of a repository; `None` where there is no git or no repository.
    ///
    /// # Errors
    /// When git cannot be started.
    pub fn read(proc: &Proc, root: &Path) -> Result<Option<Self>> {
        if proc.find("git").is_none() {
            return Ok(None);
        }
        let finished = proc.try_read(&last_commit(root))?;
        Ok(Self::parse(&finished.stdout).filter(|_| finished.success))
    }

    pub fn parse(stdout: &str) -> Option<Self> {
        let mut words = stdout.split_whitespace();
        let (commit, time, date) = (words.next()?, words.next()?, words.next()?);
        Some(Self { commit: commit.to_owned(), time: time.parse().ok()?, date: date.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_shows_no_password_and_is_no_path() {
        let cases = [
            ("https://me:secret@example.com/shop/deploy.git", Some("https://example.com/shop/deploy.git")),
            ("https://example.com/shop", Some("https://example.com/shop")),
            ("git@example.com:shop/deploy.git", Some("git@example.com:shop/deploy.git")),
            ("ssh://git@example.com:7999/shop.git", Some("ssh://git@example.com:7999/shop.git")),
            ("/srv/git/shop", None),
            ("../shop", None),
            ("file:///srv/git/shop", None),
        ];
        for (origin, wanted) in cases {
            assert_eq!(public_address(origin).as_deref(), wanted, "{origin}");
        }
    }

    #[test]
    fn a_commit_is_read() {
        let head = Head::parse("0123abc 1700000000 2023-11-14T22:13:20Z\n").unwrap();
        assert_eq!((head.commit.as_str(), head.time), ("0123abc", 1_700_000_000));
        assert_eq!(head.date, "2023-11-14T22:13:20Z");
        assert_eq!(Head::parse(""), None);
        let line = changes(Path::new("/r"), &["app/a".into()]).to_string();
        assert_eq!(line, "git -C /r status --porcelain -- app/a");
    }
}
