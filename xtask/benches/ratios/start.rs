//! `cargo xtask --version`, which does nothing, beside other runners that do nothing.

use crate::measure::{command, is_there, median, millis, once, ratio, scratch};

const RUNS: usize = 21;

pub(crate) fn run() {
    let folder = scratch("bench-start");
    std::fs::write(folder.join("Makefile"), "nothing:\n\t@:\n").expect("write a Makefile");
    std::fs::write(folder.join("justfile"), "nothing:\n\t@:\n").expect("write a justfile");
    let xtask = median(RUNS, || once(command("cargo").args(["xtask", "--version"])));
    let binary = median(RUNS, || once(command(crate::measure::tool()).arg("--version")));
    println!("  cargo xtask --version {}, of it the tool itself {}", millis(xtask), millis(binary));
    for program in ["make", "just"] {
        if is_there(program) {
            let other = median(RUNS, || once(command(program).arg("nothing").current_dir(&folder)));
            println!("  {program} {}: cargo xtask takes {} times that", millis(other), ratio(xtask, other));
        } else {
            println!("  {program} is not installed, skipped");
        }
    }
}
