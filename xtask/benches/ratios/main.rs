//! What the tool costs, as ratios taken in one run: absolute times tell more of the machine than of the tool.
//!
//! `cargo bench -p xtask` runs all of them, `cargo bench -p xtask -- NAME` those whose name contains NAME. Nothing here
//! fails because it was slow; the README names the figures that are aimed at.

#![expect(clippy::disallowed_methods, reason = "a benchmark starts the programs that it measures")]
#![expect(clippy::print_stdout, reason = "what a benchmark prints is its result")]

mod build;
mod cluster;
mod containers;
mod deploy;
mod dockerfiles;
mod doctor;
mod images;
mod many;
mod measure;
mod place;
mod script;
mod start;
mod usual;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    // Takes minutes, so that all who compare themselves with it share it.
    let usual = usual::Usual::default();
    let all: [(&str, &dyn Fn()); 9] = [
        ("start", &start::run),
        ("doctor", &doctor::run),
        ("deploy", &deploy::run),
        ("many", &many::run),
        ("images", &|| images::run(&usual)),
        ("containers", &|| containers::run(&usual)),
        ("dockerfiles", &|| dockerfiles::run(&usual.engine)),
        ("cluster", &cluster::run),
        ("build", &build::run),
    ];
    for (name, run) in all {
        if wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str())) {
            println!("{name}");
            run();
        }
    }
}
