//! Services that others wait for until they have ended: jobs, where a service is made of the same.

use super::Reading;
use super::yaml::Node;
use crate::sketch::{Job, Service};

/// What compose says of a service that has to end first.
const ENDS: &str = "service_completed_successfully";

impl Reading<'_> {
    /// Makes jobs of the services that end, or says why not.
    pub(super) fn find_jobs(&mut self) {
        let ending: Vec<String> = self.ending();
        let (ending, services): (Vec<Service>, Vec<Service>) = std::mem::take(&mut self.sketch.services)
            .into_iter()
            .partition(|service| ending.contains(&service.name.to_string()));
        self.sketch.services = services;
        let ended: Vec<String> = ending.iter().map(|service| service.name.to_string()).collect();
        for service in &mut self.sketch.services {
            service.needs.retain(|need| !ended.contains(need));
        }
        for service in ending {
            self.names.retain(|_, name| *name != service.name);
            let of = self.sketch.services.iter().find(|other| other.source == service.source);
            let has_words = !service.args.is_empty() || !service.container.entrypoint.is_empty();
            match of.filter(|_| has_words) {
                Some(of) => {
                    let job = job(&service, of, &ended);
                    self.sketch.jobs.push(job);
                }
                None => self.say(format!(
                    "`{}` is left out: others wait for it to end, which is a job here, and a job has a command of its own and \
                     the image of a service that stays.",
                    service.name
                )),
            }
        }
    }

    /// The names here of those that some other waits for to end.
    fn ending(&self) -> Vec<String> {
        let services = self.top.get("services").entries().iter().map(|(_, node)| node.get("depends_on").entries());
        let ends = |(_, how): &&(String, Node)| how.get("condition").text() == Some(ENDS);
        let names = services.flat_map(|needs| needs.iter().filter(ends).map(|(name, _)| name));
        names.filter_map(|name| self.names.get(name).map(ToString::to_string)).collect()
    }
}

fn job(service: &Service, of: &Service, ended: &[String]) -> Job {
    let entrypoint = &service.container.entrypoint;
    let (command, args) = match entrypoint.is_empty() {
        true => (Vec::new(), service.args.clone()),
        false => (entrypoint.iter().chain(&service.args).cloned().collect(), Vec::new()),
    };
    let own = service.env.iter().filter(|(name, value)| of.env.get(*name) != Some(value));
    let own: Vec<String> = own.map(|(name, _)| format!("`{name}`")).collect();
    let mut notes =
        vec![format!("Others waited for it to end, so it runs before a release, with what `{}` has.", of.name)];
    if !own.is_empty() {
        notes.push(format!("That has not its {}: give them to it, too.", own.join(", ")));
    }
    let needs = service.needs.iter().filter(|need| !ended.contains(need)).cloned().collect();
    Job { name: service.name.to_string(), of: of.name.clone(), command, args, needs, notes }
}
