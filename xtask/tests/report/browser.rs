//! Chromium without a window: how a page comes out in it.

use super::sandbox::{Run, scratch};
use serde_json::Value;
use skip::{Found, Missing};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// What it is called on the systems that have it.
const NAMES: [&str; 6] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];
/// Beside the page's end: writes into the page how it came out.
const MEASURE: &str = include_str!("measure.html");

#[derive(Debug)]
pub(crate) struct Browser {
    program: &'static str,
}

/// A way to look at a page.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    pub(crate) width: u32,
    pub(crate) dark: bool,
}

pub(crate) const WIDE: Look = Look { width: 1280, dark: false };
pub(crate) const DARK: Look = Look { width: 1280, dark: true };
pub(crate) const NARROW: Look = Look { width: 600, dark: false };

/// The browser of this machine, if it has one.
///
/// # Panics
/// If there is none and the variable `XTASK_REQUIRE_BROWSER` is set to `1`.
pub(crate) fn browser() -> Found<&'static Browser> {
    const REASON: &str = "neither chromium nor chrome is installed, so the page of `report` is not looked at";
    static FOUND: OnceLock<Option<Browser>> = OnceLock::new();
    let answers = |name: &&str| Command::new(name).arg("--version").output().is_ok_and(|run| run.status.success());
    let found = FOUND.get_or_init(|| NAMES.into_iter().find(answers).map(|program| Browser { program }));
    found.as_ref().ok_or_else(|| Missing::unless_required(REASON, "XTASK_REQUIRE_BROWSER"))
}

impl Browser {
    fn run(&self, look: Look, page: &Path, more: &[String]) -> Run {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let profile = scratch().join(format!("browser-{}-{count}", std::process::id()));
        let mut command = Command::new(self.program);
        command
            // It has no sandbox where its user is root, and the pages are our own.
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr"])
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg(format!("--window-size={},2000", look.width))
            .args(look.dark.then_some("--blink-settings=preferredColorScheme=0"))
            .args(more)
            .arg(format!("file://{}", page.display()));
        let run = Run::of(&mut command).success();
        let _ = std::fs::remove_dir_all(profile);
        run
    }

    /// What the browser itself complained of while it showed a page.
    pub(crate) fn complaints(&self, page: &Path) -> Vec<String> {
        let run = self.run(WIDE, page, &["--dump-dom".to_owned()]);
        assert!(run.stdout.contains("</html>"), "{}", run.stdout);
        run.stderr.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned).collect()
    }

    /// How the page comes out: its rows, its texts, what overflows. A page must not run scripts, so a copy that may is
    /// looked at.
    pub(crate) fn measure(&self, look: Look, page: &Path) -> Value {
        let text = std::fs::read_to_string(page).unwrap();
        let policy = text.find("<meta http-equiv=\"Content-Security-Policy\"").unwrap();
        let end = policy + text[policy..].find('>').unwrap();
        let body = text.rfind("</body>").unwrap();
        let copy = page.with_extension(format!("{}-{}.html", look.width, look.dark));
        let parts = [&text[..policy], &text[end + 1..body], MEASURE, &text[body..]];
        std::fs::write(&copy, parts.concat()).unwrap();
        let run = self.run(look, &copy, &["--dump-dom".to_owned()]);
        std::fs::remove_file(copy).unwrap();
        let (_, after) = run.stdout.split_once("<pre id=\"measured\">").expect("the script ran");
        let (measured, _) = after.split_once("</pre>").unwrap();
        let measured = measured.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
        serde_json::from_str(&measured).unwrap()
    }

    /// A picture of the page.
    pub(crate) fn picture(&self, look: Look, page: &Path) -> PathBuf {
        let picture = page.with_extension(format!("{}.png", look.width));
        self.run(look, page, &[format!("--screenshot={}", picture.display())]);
        picture
    }
}
