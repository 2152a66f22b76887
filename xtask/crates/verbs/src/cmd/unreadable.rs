//! What is wrong with the files, or missing among them, where a command goes on all the same.

use crate::ui;
use engine::deployment::Deployment;

/// Says on standard error what cannot be read, which it gives back a line each, and what else is to be known.
pub(super) fn tell(deployment: &Deployment) -> Vec<String> {
    let unreadable = &deployment.unreadable;
    // That there is no such file is said of what has its state below.
    let environment = unreadable.environment.iter().filter(|errors| !errors.is_usage());
    let errors = unreadable.errors.iter().chain(environment).flat_map(model::SpecErrors::iter);
    let gone = engine::identity::without_file(&deployment.root);
    let errors: Vec<String> = errors.map(ToString::to_string).chain(gone).collect();
    for error in &errors {
        ui::say(&format!("warning: {error}"));
    }
    deployment.notes.iter().for_each(|note| ui::say(note));
    if unreadable.environment.is_some() {
        let name = &deployment.environment.name;
        ui::say(&format!("warning: going on with the settings that `{name}` was deployed with"));
    }
    errors
}
