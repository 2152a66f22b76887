//! What whoever applies the manifests of a system has to know: which images must be there, which Secrets, and what was
//! assumed.

use super::super::release_spec::{ReleaseSpec, WorkloadSpec};
use super::{made_by, yaml};
use model::environment::Environment;
use model::job::When;
use model::name::ServiceName;
use model::system::Template;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// A page in Markdown.
pub(super) fn of(environment: &Environment, wanted: &ReleaseSpec, assumed: &[String]) -> String {
    let system = &wanted.system;
    let mut out =
        format!("<!-- {} -->\n\n# `{system}` in environment `{}`\n\n", made_by(environment), environment.name);
    let _ = writeln!(
        out,
        "Its objects are in namespace `{}`. By hand, with the namespace first:\n\n```sh\nkubectl apply -f namespace.yaml\n\
         kubectl apply -k .\n```\n\n## Images\n",
        wanted.namespace
    );
    for part in &wanted.parts {
        let reference = wanted.images.get(&part.service.name).map_or("", |image| &image.reference);
        let _ = writeln!(out, "- `{}`: `{reference}`", part.service.name);
    }
    if wanted.parts.iter().any(WorkloadSpec::is_own) {
        let command = environment.command(&format!("build {system} --push"));
        let _ = writeln!(
            out,
            "\nThose of this repository are named after what they are built from. What the registry does not have yet:\n\n\
             ```sh\n{command}\n```"
        );
    }
    jobs(wanted, &mut out);
    secrets(wanted, &mut out);
    if !assumed.is_empty() {
        out.push_str(
            "\n## Assumed\n\nNo cluster was asked. What these settings of the environment would say was assumed:\n\n",
        );
        for note in assumed {
            let _ = writeln!(out, "- {note}");
        }
    }
    out
}

fn jobs(wanted: &ReleaseSpec, out: &mut String) {
    let suspended: Vec<_> = wanted.jobs.iter().filter(|job| !matches!(job.when, When::Schedule(_))).collect();
    if suspended.is_empty() {
        return;
    }
    out.push_str(
        "\n## Jobs\n\nNothing runs these by itself. Each is a CronJob that is suspended, to be made a Job of:\n\n",
    );
    for job in suspended {
        let (name, namespace) = (&job.name, &wanted.namespace);
        let line = format!("kubectl create job {name}-run --from=cronjob/{name} --namespace {namespace}");
        let _ = writeln!(out, "- {}: `{line}`", job.when);
    }
}

fn secrets(wanted: &ReleaseSpec, out: &mut String) {
    out.push_str("\n## Secrets\n\n");
    let with: Vec<&WorkloadSpec> =
        wanted.parts.iter().filter(|part| wanted.secrets.contains_key(&part.service.name)).collect();
    if with.is_empty() {
        out.push_str("It needs none.\n");
        return;
    }
    out.push_str("They are not part of the manifests and have to be in the namespace before the pods can start:\n\n");
    let mut named = BTreeSet::new();
    for part in &with {
        let Some(secret) = wanted.secrets.get(&part.service.name) else { continue };
        let keys = keys(part).into_keys().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
        let _ = writeln!(out, "- `{}` with {keys}", secret.name);
        named.extend(part.secrets(&wanted.parts));
    }
    let own: BTreeSet<String> =
        named.iter().map(|(service, name)| format!("`{}`", placeholder(wanted, service, name))).collect();
    let own = own.into_iter();
    let given: BTreeSet<&String> = with.iter().flat_map(|part| &part.given).collect();
    let named = own.chain(given.into_iter().map(|name| format!("`{}`", given_placeholder(name))));
    let named = named.collect::<Vec<_>>().join(", ");
    let _ =
        writeln!(out, "\nIn these, put a secret of your own for each of {named}, the same one wherever it stands:\n");
    out.push_str("```yaml\n");
    for (place, part) in with.iter().enumerate() {
        if place > 0 {
            out.push_str("---\n");
        }
        out.push_str(&yaml::of(&example(wanted, part)));
    }
    out.push_str("```\n");
}

fn example(wanted: &ReleaseSpec, part: &WorkloadSpec) -> Value {
    let name = wanted.secrets.get(&part.service.name).map_or("", |secret| &secret.name);
    let shown = |service: &ServiceName, name: &str| Some(placeholder(wanted, service, name));
    let content: Map<String, Value> = keys(part)
        .into_iter()
        .map(|(key, template)| {
            let given = key.strip_prefix("env.").filter(|name| part.given.contains(*name)).map(given_placeholder);
            let text = given.unwrap_or_else(|| part.filled(template, &wanted.parts, &shown).unwrap_or_default());
            (key, json!(text))
        })
        .collect();
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": wanted.namespace},
        "stringData": content,
    })
}

/// Each key of a service's Secret with what it is made from.
fn keys(part: &WorkloadSpec) -> BTreeMap<String, &Template> {
    let env = part.secret_env.iter().map(|(name, template)| (format!("env.{name}"), template));
    let files = part.secret_files.iter().map(|(name, template)| (format!("file.{name}"), template));
    env.chain(files).collect()
}

/// What an environment sets is as little for a manifest as what is generated.
fn given_placeholder(name: &str) -> String {
    format!("<{name} of the environment>")
}

/// One that a system shares is the same for all of its services.
fn placeholder(wanted: &ReleaseSpec, service: &ServiceName, name: &str) -> String {
    let declared = wanted.parts.iter().find(|part| part.service.name == *service);
    let is_shared = declared.and_then(|part| part.service.secrets.get(name)).is_some_and(|one| one.system.is_some());
    let owner = if is_shared { wanted.system.as_str() } else { service.as_str() };
    format!("<{name} of {owner}>")
}
