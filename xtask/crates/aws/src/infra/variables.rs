//! What Terraform is told of a deployment: the variables that follow from its environment, and those that the environment
//! sets as `terraform.NAME`.

use super::names::Names;
use super::outputs::Outputs;
use anyhow::{Context, Result};
use base::ctx::Vars;
use base::error::Fault;
use engine::deployment::Deployment;
use keys::Digest;
use model::system::TargetKind;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What the load balancer controller may do, beside its pinned version.
const CONTROLLER_POLICY: &str = "helm/load-balancer-controller/iam-policy.json";
/// The system that has a topic and a queue.
const MESSAGES: &str = "messages";
/// In `TF_VAR_NAME` Terraform finds the variable NAME.
pub(super) const FROM_ENVIRONMENT: &str = "TF_VAR_";

/// The variables that follow from something else, and from what.
const DERIVED: [(&str, &str); 12] = [
    ("deployment_id", "the setting `deployment_id`"),
    ("environment", "the environment's name"),
    ("account", "the setting `account`"),
    ("region", "the setting `region`"),
    ("public_access_cidrs", "the setting `access_cidrs`"),
    ("compute", "the setting `compute`"),
    ("services", "the systems in `deploy/systems`"),
    ("namespace_prefix", "the setting `namespace_prefix`"),
    ("messages", "the systems in `deploy/systems`"),
    ("domain", "the setting `domain`"),
    ("hosted_zone", "the setting `hosted_zone`"),
    ("controller_policy", CONTROLLER_POLICY),
];

/// All that a plan is told.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Variables {
    /// Those that follow, for `terraform.tfvars.json`; all but the owner and the networks that reach the cluster.
    pub(super) derived: Map<String, Value>,
    /// `terraform.NAME`, for the command line.
    pub(super) set: Vec<(String, String)>,
    /// Those of them that are secrets, for Terraform's environment.
    pub(super) secret: BTreeMap<String, String>,
}

/// What was made for systems, whether a file still declares them or not. It stays until the platform goes: what runs may be
/// pulled again until something else is proven, and afterwards by a rollback; and what is stored is nobody's to lose.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// Those that have a repository.
    services: BTreeSet<String>,
    messages: bool,
}

impl Made {
    pub(super) fn of(outputs: &Outputs) -> Self {
        Self { services: outputs.repositories.clone(), messages: outputs.queue_url.is_some() }
    }
}

/// # Errors
/// When a file cannot be read, or a variable is set that follows from something else.
pub(super) fn read(
    deployment: &Deployment,
    names: &Names,
    sensitive: &BTreeSet<String>,
    vars: &Vars,
    made: &Made,
) -> Result<Variables> {
    let set = deployment.environment.aws.as_ref().map(|aws| aws.terraform.clone()).unwrap_or_default();
    for (name, source) in DERIVED {
        if set.contains_key(name) {
            let cause = format!("`terraform.{name}` cannot be set: it follows from {source}");
            return Err(Fault::could_not_run("terraform-variable", cause).hint("set that instead").into());
        }
    }
    let (secret, set): (BTreeMap<_, _>, BTreeMap<_, _>) =
        set.into_iter().partition(|(name, _)| sensitive.contains(name));
    // A pipeline keeps its secrets in variables of the environment, where Terraform finds them by itself.
    let given = vars.starting_with(FROM_ENVIRONMENT).into_iter();
    let given = given.filter_map(|(name, value)| Some((name.strip_prefix(FROM_ENVIRONMENT)?.to_owned(), value)));
    let secret = given.filter(|(name, _)| sensitive.contains(name)).chain(secret).collect();
    Ok(Variables { derived: derived(deployment, names, made)?, set: set.into_iter().collect(), secret })
}

fn derived(deployment: &Deployment, names: &Names, made: &Made) -> Result<Map<String, Value>> {
    let environment = &deployment.environment;
    let aws = environment.aws.as_ref();
    let path = deployment.root.join(CONTROLLER_POLICY);
    let policy = std::fs::read_to_string(&path).with_context(|| format!("read `{CONTROLLER_POLICY}`"))?;
    let policy: Value = serde_json::from_str(&policy).with_context(|| format!("read `{CONTROLLER_POLICY}`"))?;
    // Those of every system, since a command may be about some of them only.
    let here = deployment.spec.systems.iter().flat_map(|system| system.services.iter().map(move |one| (system, one)));
    let here = here.filter(|(_, service)| service.targets.contains(&TargetKind::Eks));
    let own = here.clone().filter(|(_, service)| service.is_built()).map(|(_, service)| service.name.as_str());
    let own: BTreeSet<&str> = own.chain(made.services.iter().map(String::as_str)).collect();
    let messages = here.clone().any(|(system, _)| system.name.as_str() == MESSAGES) || made.messages;
    let cluster = &environment.cluster;
    let variables = json!({
        "deployment_id": names.id.as_str(),
        "environment": environment.name.as_str(),
        "account": names.account.as_str(),
        "region": names.region.as_str(),
        "compute": aws.map(|aws| aws.compute.word()),
        "services": own,
        "namespace_prefix": cluster.namespace_prefix.as_str(),
        "messages": messages,
        "domain": cluster.domain.as_ref().map(ToString::to_string).unwrap_or_default(),
        "hosted_zone": aws.and_then(|aws| aws.hosted_zone.as_ref()).map(ToString::to_string).unwrap_or_default(),
        // Without the spaces, of which AWS counts some.
        "controller_policy": policy.to_string(),
    });
    Ok(variables.as_object().cloned().unwrap_or_default())
}

impl Variables {
    /// Names them all, whoever runs this: the owner is no part of it, and of secrets there is only the digest.
    pub(super) fn digest(&self, cidrs: &[String]) -> Digest {
        let secret: BTreeMap<&String, String> =
            self.secret.iter().map(|(name, value)| (name, Digest::of(value).to_string())).collect();
        let all = json!({"derived": self.derived, "set": self.set, "secret": secret, "cidrs": cidrs});
        Digest::of(all.to_string())
    }

    /// The content of `terraform.tfvars.json`.
    pub(super) fn file(&self, owner: &str, cidrs: &[String]) -> Value {
        let mut all = self.derived.clone();
        all.insert("owner".to_owned(), json!(owner));
        all.insert("public_access_cidrs".to_owned(), json!(cidrs));
        Value::Object(all)
    }
}

/// The variables that are declared as `sensitive`, which belong neither into arguments nor into files. `terraform fmt`
/// has every declaration begin and end at the start of a line.
pub(super) fn sensitive<'t>(texts: impl Iterator<Item = &'t str>) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for text in texts {
        let mut open = None;
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("variable \"") {
                open = rest.split('"').next();
            } else if line == "}" {
                open = None;
            } else if let (Some(name), Some(("sensitive", value))) =
                (open, line.split_once('=').map(|(key, value)| (key.trim(), value.trim())))
                && value == "true"
            {
                names.insert(name.to_owned());
            }
        }
    }
    names
}

/// What AWS takes as the value of a tag.
pub(super) fn tag(text: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() || " _.:/=+-@".contains(c) { c } else { '-' };
    text.chars().map(plain).take(256).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::deployment::EnvironmentArgs;
    use engine::deployment::Unreadable;
    use engine::deployment::{Consent, Scope};
    use engine::home::Home;
    use std::path::Path;

    fn deployment(sets: &[&str]) -> Deployment {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
        let args = EnvironmentArgs { name: "aws".to_owned(), set: sets.iter().map(|set| (*set).to_owned()).collect() };
        let environment = model::environment(&root, &args.name, &args.set).unwrap();
        let home = Home::new(&root, &environment.name);
        let scope = Scope { systems: Vec::new(), everything: true };
        let spec = model::load(&root).unwrap();
        let (unreadable, consent) = (Unreadable::default(), Consent::default());
        Deployment { root, spec, unreadable, environment, scope, home, consent, notes: Vec::new() }
    }

    fn names() -> Names {
        let (account, region) = ("123456789012".parse().unwrap(), "eu-west-1".parse().unwrap());
        Names { account, region, id: "me".parse().unwrap() }
    }

    fn of(sets: &[&str], vars: &Vars) -> Result<Variables> {
        with(&Made::default(), sets, vars)
    }

    #[test]
    fn what_follows_from_the_environment_is_told_by_a_file() {
        let variables = of(&["namespace_prefix=me-", "terraform.budget_usd=50"], &Vars::default()).unwrap();
        let file = variables.file("me@laptop", &["10.0.0.0/8".to_owned()]);
        assert_eq!((file["deployment_id"].as_str(), file["region"].as_str()), (Some("me"), Some("eu-west-1")));
        assert_eq!((file["messages"].as_bool(), file["compute"].as_str()), (Some(true), Some("nodes")));
        let services = file["services"].as_array().unwrap();
        assert!(services.contains(&json!("shortener")) && !services.contains(&json!("redis")), "{services:?}");
        assert_eq!(variables.set, [("budget_usd".to_owned(), "50".to_owned())]);
        assert!(file["controller_policy"].as_str().unwrap().starts_with("{\"Statement\":["));
    }

    fn with(made: &Made, sets: &[&str], vars: &Vars) -> Result<Variables> {
        read(&deployment(sets), &names(), &BTreeSet::from(["cache_password".to_owned()]), vars, made)
    }

    #[test]
    fn what_no_file_declares_any_more_keeps_its_repository_and_its_queue() {
        let mut deployment = deployment(&[]);
        let services = |made: &Made| {
            let derived = derived(&deployment, &names(), made).unwrap();
            (derived["services"].clone(), derived["messages"].clone())
        };
        let declared = services(&Made::default());
        assert_eq!(declared.1, json!(true));
        let made = Made { services: BTreeSet::from(["old".to_owned(), "epoch".to_owned()]), messages: true };
        let (all, _) = services(&made);
        assert_eq!(all.as_array().unwrap().len(), declared.0.as_array().unwrap().len() + 1, "{all}");
        assert!(all.as_array().unwrap().contains(&json!("old")), "{all}");
        deployment.spec.systems.clear();
        let none = derived(&deployment, &names(), &Made::default()).unwrap();
        assert_eq!((&none["services"], &none["messages"]), (&json!([]), &json!(false)));
        let kept = derived(&deployment, &names(), &made).unwrap();
        assert_eq!((&kept["services"], &kept["messages"]), (&json!(["epoch", "old"]), &json!(true)));
    }

    #[test]
    fn secrets_are_kept_apart_and_still_count() {
        let given = Vars::of([("TF_VAR_cache_password", "from the pipeline"), ("TF_VAR_nodes", "1")]);
        let variables = of(&[], &given).unwrap();
        assert_eq!(variables.secret["cache_password"], "from the pipeline");
        assert!(variables.set.is_empty());
        let set = of(&["terraform.cache_password=set"], &given).unwrap();
        assert_eq!((set.secret["cache_password"].as_str(), set.set.len()), ("set", 0));
        assert_ne!(variables.digest(&[]), set.digest(&[]));
        assert_ne!(set.digest(&[]), set.digest(&["10.0.0.0/8".to_owned()]));
    }

    #[test]
    fn what_follows_from_a_setting_is_not_set_beside_it() {
        let error = of(&["terraform.region=eu-west-1"], &Vars::default()).unwrap_err().to_string();
        assert_eq!(error, "`terraform.region` cannot be set: it follows from the setting `region`");
    }

    #[test]
    fn sensitive_variables_are_found_where_they_are_declared() {
        let text = "variable \"a\" {\n  type = string\n}\n\nvariable \"b\" {\n  default   = null\n  sensitive = true\n}\n\
                    output \"c\" {\n  sensitive = true\n}\n";
        assert_eq!(sensitive([text].into_iter()), BTreeSet::from(["b".to_owned()]));
        let declared = include_str!("../../../../../terraform/variables.tf");
        assert_eq!(sensitive([declared].into_iter()), BTreeSet::from(["cache_password".to_owned()]));
    }

    #[test]
    fn an_owner_is_what_aws_takes_as_a_tag() {
        assert_eq!(tag("me@laptop"), "me@laptop");
        assert_eq!(tag("who, me?"), "who- me-");
    }
}
