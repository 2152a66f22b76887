//! The values of secrets: making those that are generated, reading those that somebody gives, and saying which are
//! missing. Whatever is read or made here is shown nowhere from then on.

use anyhow::Result;
use base::ctx::Vars;
use base::error::Fault;
use base::{base64, random, redact};
use model::environment::Environment;
use model::name::SystemName;
use model::secret::{Alphabet, FOLDER, SecretSource, Shape};
use std::fs::Metadata;
use std::io::ErrorKind;
use std::path::Path;

/// As much as a Secret of Kubernetes may hold.
const LARGEST: u64 = 1 << 20;

/// A secret that a system uses and whose value is not there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MissingSecret {
    pub system: SystemName,
    /// What its value is kept under.
    pub key: String,
    pub lack: Lack,
}

/// Why a value is not there, and what helps.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lack {
    pub why: String,
    pub remedy: String,
}

impl Lack {
    pub fn new(why: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { why: why.into(), remedy: remedy.into() }
    }
}

impl MissingSecret {
    pub fn name(&self) -> &str {
        self.key.rsplit(['.', '/']).next().unwrap_or_default()
    }

    /// "`token` of `shop`: the variable `TOKEN` is not set"
    pub fn told(&self) -> String {
        format!("`{}` of `{}`: {}", self.name(), self.system, self.lack.why)
    }
}

/// All that are missing in one fault, with the verb to type once they are there; nothing when none is.
pub fn fault(missing: &[MissingSecret], environment: &Environment, verb: &str) -> Option<Fault> {
    let told = missing.iter().map(|missing| format!("\n  {}", missing.told())).collect::<String>();
    let mut remedies: Vec<&str> = missing.iter().map(|missing| missing.lack.remedy.as_str()).collect();
    remedies.sort_unstable();
    remedies.dedup();
    let again = environment.command(verb);
    let fault = Fault::could_not_run("secrets-missing", format!("secrets are missing, so nothing was begun:{told}"));
    (!missing.is_empty()).then(|| fault.hint(format!("{}; then `{again}` again", remedies.join(", "))))
}

/// Makes a value of this shape.
///
/// # Errors
/// When the system has no randomness to give.
pub fn generate(shape: Shape) -> Result<String> {
    let value = match shape.alphabet {
        Alphabet::Hex => random::many(shape.bytes)?.iter().map(|byte| format!("{byte:02x}")).collect(),
        Alphabet::Base64 => base64::encode(&random::many(shape.bytes)?),
        Alphabet::Alphanumeric => random::alphanumeric(shape.bytes)?,
    };
    redact::learn(&value);
    Ok(value)
}

/// The value of a secret that this machine has: of a variable or a file. Where it is elsewhere, it is not here.
///
/// # Errors
/// Why it is not there.
pub fn read(root: &Path, vars: &Vars, source: &SecretSource) -> Result<String, Lack> {
    let value = match source {
        SecretSource::Env(name) => vars
            .get(name)
            .map(str::to_owned)
            .ok_or_else(|| Lack::new(format!("the variable `{name}` is not set, or empty"), format!("set `{name}`")))?,
        SecretSource::File(name) => read_file(root, name)?,
        SecretSource::Generated(_) | SecretSource::Aws(_) => {
            return Err(Lack::new(format!("{source} is not here"), ""));
        }
    };
    redact::learn(&value);
    Ok(value)
}

fn read_file(root: &Path, name: &str) -> Result<String, Lack> {
    let shown = format!("{FOLDER}/{name}");
    let lack = |why: &str| Lack::new(format!("`{shown}` {why}"), format!("write `{shown}`"));
    let unread = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => lack("is not there"),
        _ => lack(&format!("cannot be read: {error}")),
    };
    let root = root.canonicalize().map_err(unread)?;
    let path = root.join(&shown).canonicalize().map_err(unread)?;
    if !path.starts_with(root.join(FOLDER)) {
        return Err(lack(&format!("is a link that leads out of `{FOLDER}`")));
    }
    let known = path.metadata().map_err(unread)?;
    // Whatever else there is, such as a pipe, might never end.
    if !Metadata::is_file(&known) {
        return Err(lack("is no file"));
    }
    if known.len() > LARGEST {
        return Err(lack("is larger than 1 MiB"));
    }
    let text = String::from_utf8(std::fs::read(&path).map_err(unread)?).map_err(|_| lack("is not text in UTF-8"))?;
    if text.contains('\0') {
        return Err(lack("has a NUL character in it, which no variable can hold"));
    }
    match without_end(&text) {
        "" => Err(lack("is empty")),
        value => Ok(value.to_owned()),
    }
}

/// A text of one line without the end of that line, which editors add and no token has; a key of several lines as it is.
fn without_end(text: &str) -> &str {
    match text.trim_end_matches(['\r', '\n']) {
        line if line.contains('\n') => text,
        line => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    /// A repository with a folder for secrets, removed in the end.
    struct Root(PathBuf);

    impl Root {
        fn new(name: &str) -> Self {
            let root = Self(std::env::temp_dir().join(format!("slipway-given-{name}-{}", std::process::id())));
            std::fs::create_dir_all(root.0.join(FOLDER)).unwrap();
            root
        }

        fn write(&self, name: &str, content: &[u8]) {
            std::fs::write(self.0.join(FOLDER).join(name), content).unwrap();
        }

        fn read(&self, name: &str) -> Result<String, Lack> {
            read(&self.0, &Vars::default(), &SecretSource::File(name.to_owned()))
        }
    }

    impl Drop for Root {
        fn drop(&mut self) {
            drop(std::fs::remove_dir_all(&self.0));
        }
    }

    #[test]
    fn a_shape_decides_how_a_secret_is_written() {
        let of = |bytes, alphabet| generate(Shape { bytes, alphabet }).unwrap();
        let usual = generate(Shape::default()).unwrap();
        assert!(usual.len() == 40 && usual.chars().all(|c| c.is_ascii_hexdigit()), "{usual}");
        assert_eq!(of(32, Alphabet::Hex).len(), 64);
        assert_eq!(base64::decode(&of(32, Alphabet::Base64)).unwrap().len(), 32);
        let plain = of(1000, Alphabet::Alphanumeric);
        assert!(plain.len() == 1000 && plain.chars().all(|c| c.is_ascii_alphanumeric()), "{plain}");
        assert!(plain.contains('A') && plain.contains('9'), "{plain}");
        assert_ne!(of(32, Alphabet::Alphanumeric), of(32, Alphabet::Alphanumeric));
    }

    #[test]
    fn a_variable_that_is_empty_is_missing() {
        let vars = Vars::of([("TOKEN", "a secret of test"), ("EMPTY", "")]);
        let get = |name: &str| read(Path::new("/"), &vars, &SecretSource::Env(name.to_owned()));
        assert_eq!(get("TOKEN").as_deref(), Ok("a secret of test"));
        assert_eq!(redact::text("it is a secret of test!"), "it is [redacted]!");
        for name in ["EMPTY", "ABSENT"] {
            let lack = Lack::new(format!("the variable `{name}` is not set, or empty"), format!("set `{name}`"));
            assert_eq!(get(name), Err(lack));
        }
    }

    #[test]
    fn a_file_is_read_as_it_is_but_for_the_end_of_a_single_line() {
        let root = Root::new("read");
        let key = "-----BEGIN KEY-----\nc2VjcmV0IG9mIHRlc3Q\n-----END KEY-----\n";
        root.write("token", b"hunter2-of-a-file\n");
        root.write("jwt.key", key.as_bytes());
        assert_eq!(root.read("token").as_deref(), Ok("hunter2-of-a-file"));
        assert_eq!(root.read("jwt.key").as_deref(), Ok(key));
        assert_eq!(redact::text("line: c2VjcmV0IG9mIHRlc3Q"), "line: [redacted]");
    }

    #[test]
    fn no_file_leads_out_of_the_folder() {
        let root = Root::new("links");
        std::fs::write(root.0.join("outside"), "elsewhere").unwrap();
        std::fs::create_dir(root.0.join(FOLDER).join("folder")).unwrap();
        root.write("inside", b"as it should be");
        root.write("large", &vec![b'x'; (1 << 20) + 1]);
        root.write("binary", b"\xff\xfe");
        root.write("empty", b"\n");
        for (name, to) in [("good", "inside"), ("bad", "../../outside"), ("abroad", "/etc/hostname")] {
            symlink(to, root.0.join(FOLDER).join(name)).unwrap();
        }
        assert_eq!(root.read("good").as_deref(), Ok("as it should be"));
        for (name, why) in [
            ("bad", "is a link that leads out of `deploy/secrets`"),
            ("abroad", "is a link that leads out of `deploy/secrets`"),
            ("../../outside", "is a link that leads out of `deploy/secrets`"),
            ("absent", "is not there"),
            ("folder", "is no file"),
            ("large", "is larger than 1 MiB"),
            ("binary", "is not text in UTF-8"),
            ("empty", "is empty"),
        ] {
            assert_eq!(root.read(name).unwrap_err().why, format!("`deploy/secrets/{name}` {why}"));
        }
    }
}
