use super::*;

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("xtask-identity-{name}-{}", std::process::id())))
    }

    fn home(&self, environment: &Environment) -> Home {
        Home::new(&self.0, &environment.name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

type Change = fn(&mut Environment);

fn environment(name: &str) -> Environment {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3).unwrap();
    model::environment(root, name, &[]).unwrap()
}

fn changed(name: &str, change: Change) -> Environment {
    let mut environment = environment(name);
    change(&mut environment);
    environment
}

/// What is deployed under `name` is refused to whoever names it otherwise, with the setting that finds it again.
#[track_caller]
fn refuses(home: &Home, name: &str, changes: &[(Change, &str)]) {
    check(home, &environment(name)).unwrap();
    for (change, back) in changes {
        let fault = Fault::of(&check(home, &changed(name, *change)).unwrap_err());
        assert_eq!(fault.code, "deployment-changed", "{back}");
        assert!(fault.hint.as_ref().is_some_and(|hint| hint.contains(&format!("--set {back}"))), "{back}: {fault:?}");
    }
}

const TO_HOST: Change = |environment| environment.target = TargetKind::Host;
const TO_CONTAINERS: Change = |environment| environment.target = TargetKind::Containers;
const TO_KUBERNETES: Change = |environment| environment.target = TargetKind::Kubernetes;
const TO_EKS: Change = |environment| environment.target = TargetKind::Eks;
const OTHER_ID: Change = |environment| environment.deployment_id = "other".parse().unwrap();
const OTHER_PREFIX: Change = |environment| environment.cluster.namespace_prefix = "other-".parse().unwrap();

/// What is known of a deployment to a cluster, however it was written down.
const IN_A_CLUSTER: [(Change, &str); 3] =
    [(TO_HOST, "target=kubernetes"), (OTHER_ID, "deployment_id=cluster"), (OTHER_PREFIX, "namespace_prefix=")];

#[test]
fn what_is_in_a_cluster_is_not_left_behind() {
    let scratch = Scratch::new("cluster");
    let cluster = environment("cluster");
    let home = scratch.home(&cluster);
    check(&home, &changed("cluster", OTHER_PREFIX)).unwrap();
    note(&home, &cluster).unwrap();
    refuses(&home, "cluster", &IN_A_CLUSTER);
    refuses(&home, "cluster", &[(TO_EKS, "target=kubernetes")]);
}

#[test]
fn what_is_on_this_machine_is_not_left_behind() {
    let scratch = Scratch::new("machine");
    let local = environment("local");
    let home = scratch.home(&local);
    Identity::of(&home).unwrap().keep(&home, &local).unwrap();
    let changes: [(Change, &str); 3] =
        [(TO_CONTAINERS, "target=host"), (TO_KUBERNETES, "target=host"), (OTHER_ID, "deployment_id=local")];
    refuses(&home, "local", &changes);
    // Nothing on this machine is called by it.
    check(&home, &changed("local", OTHER_PREFIX)).unwrap();
}

#[test]
fn what_an_earlier_version_has_noted_of_a_cluster_is_read_and_taken_over() {
    let scratch = Scratch::new("noted");
    let cluster = environment("cluster");
    let home = scratch.home(&cluster);
    let earlier = home.dir().join("settled.json");
    let noted = json!({"schema": 1, "target": "kubernetes", "deployment_id": "cluster", "namespace_prefix": ""});
    files::write_json(&earlier, &noted).unwrap();
    refuses(&home, "cluster", &IN_A_CLUSTER);
    note(&home, &cluster).unwrap();
    assert!(!earlier.exists());
    refuses(&home, "cluster", &IN_A_CLUSTER);
}

#[test]
fn what_an_earlier_version_has_noted_on_this_machine_is_read() {
    let scratch = Scratch::new("marked");
    let local = environment("local");
    let home = scratch.home(&local);
    let here = home.dir().to_string_lossy().into_owned();
    let document = json!({
        "schema": 1, "mark": "0123456789abcdef", "homes": [here], "env": "local", "id": "local", "target": "host",
    });
    files::write_json(&home.dir().join(FILE), &document).unwrap();
    refuses(&home, "local", &[(TO_CONTAINERS, "target=host")]);
    let identity = Identity::of(&home).unwrap();
    assert_eq!((identity.mark.as_deref(), identity.may_have_moved), (Some("0123456789abcdef"), false));
    identity.keep(&home, &local).unwrap();
    assert_eq!(files::read_json(&home.dir().join(FILE)).unwrap(), Some(document));
}

#[test]
fn a_ledger_tells_where_nothing_was_noted() {
    let scratch = Scratch::new("ledger");
    let cluster = environment("cluster");
    let home = scratch.home(&cluster);
    let entry = |kind: &str, id: &str| json!({"kind": kind, "id": id, "system": null, "identity": {}});
    let in_a_cluster = json!({"deployment_id": "cluster", "entries": [entry("namespace", "slipway-cluster")]});
    files::write_json(&home.ledger(), &in_a_cluster).unwrap();
    refuses(&home, "cluster", &IN_A_CLUSTER);
    check(&home, &changed("cluster", TO_EKS)).unwrap();
    // One on this machine has no id, and tells how it was deployed to nobody who deploys to this machine.
    let machine = scratch.home(&environment("local"));
    for (kind, was) in [("process", "target=host"), ("network", "target=containers")] {
        files::write_json(&machine.ledger(), &json!({"entries": [entry(kind, "epoch")]})).unwrap();
        refuses(&machine, "local", &[(TO_KUBERNETES, was)]);
        check(&machine, &changed("local", TO_CONTAINERS)).unwrap();
        let identity = Identity::of(&machine).unwrap();
        assert!(identity.is_known && identity.mark.is_none());
    }
    files::write_json(&machine.ledger(), &json!({"entries": []})).unwrap();
    check(&machine, &changed("local", TO_KUBERNETES)).unwrap();
}
