//! What most repositories have instead: a Dockerfile in two stages, which compiles everything in a container. For one
//! service, while this tool's times are for all of them where nothing else is said.
//!
//! It is built once without a cache, for all benchmarks together: compiling takes minutes. That is also what each later
//! change of a line costs, since everything behind `COPY . .` is done again. The pull of its base images is not measured.

use crate::measure::{median, millis, once, ratio, root};
use crate::place::{Engine, Lazy, said, unique};
use std::cell::OnceCell;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

const RUNS: usize = 5;
/// The first of two stages, and the tag that it is removed by.
const STAGE: &str = "build";
/// The tag of the image.
const WHOLE: &str = "whole";

#[derive(Default)]
pub(crate) struct Usual {
    pub(crate) engine: Lazy,
    times: OnceCell<Option<Times>>,
}

struct Times {
    kind: String,
    /// From nothing, or after any change.
    cold: Duration,
    /// With nothing changed.
    cached: Duration,
}

impl Usual {
    /// Prints how many times longer than `time` the engine takes alone.
    pub(crate) fn beside(&self, time: Duration) {
        let Some(Times { kind, cold, cached }) = self.times.get_or_init(|| self.measure()) else {
            return println!("  beside the usual Dockerfile: skipped");
        };
        println!("  `{kind} build` of the usual Dockerfile {}: {} times that", millis(*cold), ratio(*cold, time));
        println!("  the same, fully cached {}: {} times that", millis(*cached), ratio(*cached, time));
    }

    fn measure(&self) -> Option<Times> {
        let engine = self.engine.with(&["builder", "base"])?;
        let times = Work::new(engine).and_then(|work| work.times());
        times.map_err(|why| println!("  the usual Dockerfile is not built: {why}")).ok()
    }
}

/// The Dockerfile, what it is built of, and its image, all of which go when this goes. What docker's own builder keeps
/// beside its images stays until that drops it.
struct Work<'e> {
    engine: &'e Engine,
    folder: PathBuf,
    dockerfile: String,
}

impl<'e> Work<'e> {
    fn new(engine: &'e Engine) -> Result<Self, String> {
        let folder = root().join("target/scratch/bench-usual");
        if let Ok(dockerfile) = fs::read_to_string(folder.join("Dockerfile")) {
            // A run that was killed has left it.
            drop(Self { engine, folder: folder.clone(), dockerfile });
        }
        let (builder, base) = (engine.provide("builder")?, engine.provide("base")?);
        let dockerfile = format!(
            "FROM {builder} AS {STAGE}\nWORKDIR /src\nCOPY . .\nRUN cargo build --release --package epoch\n\n\
             FROM {base}\nCOPY --from={STAGE} /src/target/release/epoch /epoch\nUSER 65532:65532\nEXPOSE 1337\n\
             ENTRYPOINT [\"/epoch\"]\n"
        );
        remote_tools::scratch::copy_repository(root(), &folder.join("context")).expect("copy the repository");
        fs::write(folder.join("Dockerfile"), &dockerfile).expect("write a Dockerfile");
        Ok(Self { engine, folder, dockerfile })
    }

    fn times(&self) -> Result<Times, String> {
        let started = Instant::now();
        said(self.build("Dockerfile", WHOLE).arg("--no-cache"))?;
        let cold = started.elapsed();
        let cached = median(RUNS, || once(&mut self.build("Dockerfile", WHOLE)));
        Ok(Times { kind: self.engine.kind.clone(), cold, cached })
    }

    fn build(&self, dockerfile: &str, tag: &str) -> Command {
        let mut command = self.engine.command(["build", "--file"]);
        command.arg(self.folder.join(dockerfile)).args(["--tag", &name(tag)]).arg(self.folder.join("context"));
        command
    }

    /// Gives a name to what stays of the first stage when the image goes: as far as it was built.
    fn name_stage(&self) {
        let end = if self.engine.has(&name(WHOLE)) { "\nFROM " } else { "\nRUN " };
        let stage = self.dockerfile.split(end).next().unwrap_or_default();
        if fs::write(self.folder.join("Stage"), stage).is_ok() {
            let _ = said(&mut self.build("Stage", STAGE));
        }
    }
}

impl Drop for Work<'_> {
    fn drop(&mut self) {
        self.name_stage();
        for image in [WHOLE, STAGE].map(name) {
            if self.engine.has(&image)
                && let Err(why) = said(&mut self.engine.command(["rmi", &image]))
            {
                println!("  {image} is not removed: {why}");
            }
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn name(tag: &str) -> String {
    format!("localhost/{}/epoch:{tag}", unique("usual"))
}
