//! What a real cluster says to what the chart makes: its API server, its admission, its nodes.

use super::helm::{Helm, chart, find, helm, helms, kind, name, said, with_input};
use super::systems::{sample, samples};
use serde_json::{Value, json};
use skip::{Found, Missing};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A namespace of its own that takes only what passes the restricted standard; removed when dropped.
struct Namespace {
    context: String,
    name: String,
}

impl Namespace {
    /// In the cluster, if there is one.
    ///
    /// # Panics
    /// If there is none and the variable `XTASK_REQUIRE_CLUSTER` is set to `1`.
    fn new() -> Found<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let unset = |_| Missing::unless_required("`XTASK_E2E_CONTEXT` is not set", "XTASK_REQUIRE_CLUSTER");
        let context = std::env::var("XTASK_E2E_CONTEXT").map_err(unset)?;
        let name = format!("e2e-chart-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let namespace = Self { context, name };
        let labels = ["enforce", "warn"].map(|mode| format!("pod-security.kubernetes.io/{mode}"));
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {
            "name": namespace.name, "labels": {&labels[0]: "restricted", &labels[1]: "restricted"}}});
        namespace.apply(&object, &[]);
        Ok(namespace)
    }

    fn kubectl(&self) -> Command {
        let mut command = Command::new("kubectl");
        command.args(["--context", &self.context, "--namespace", &self.name]).stdin(Stdio::null());
        command
    }

    /// Everything that is said is a complaint, but that it was taken.
    #[track_caller]
    fn apply(&self, object: &Value, more: &[&str]) {
        let mut command = self.kubectl();
        command.args(["apply", "--filename=-", "--output=name"]).args(more);
        let output = with_input(command, &object.to_string());
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && complaints.is_empty(), "{}\n{object:#}", said(&output));
    }

    #[track_caller]
    fn json(&self, args: &[&str]) -> Value {
        let output = self.kubectl().args(args).arg("--output=json").output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// What stands in place of an answer over HTTP by way of the API server.
    fn get(&self, service: &str, path: &str) -> Output {
        let path = format!("/api/v1/namespaces/{}/services/{service}:http/proxy{path}", self.name);
        self.kubectl().args(["get", "--raw", &path]).output().unwrap()
    }

    /// Installs a system, and waits until it is ready.
    #[track_caller]
    fn install(&self, helm: &Helm, values: &Value) {
        let mut command = helm.command();
        let release = values["system"].as_str().unwrap();
        command.args(["upgrade", "--install", release, chart(), "--kube-context", &self.context]);
        command.args(["--namespace", &self.name, "--values=-", "--wait", "--timeout=120s"]);
        let output = with_input(command, &values.to_string());
        let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
        let seen = || said(&self.kubectl().args(["describe", "pods"]).output().unwrap());
        assert!(output.status.success(), "{}: {}\n{}", helm.version, said(&output), seen());
        assert!(!complaints.contains("PodSecurity"), "{complaints}");
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = self.kubectl().args(["delete", "namespace", &self.name, "--wait=false"]).output();
    }
}

#[test]
fn the_api_server_takes_every_object_without_a_warning() {
    let namespace = skip::unless!(Namespace::new());
    let helm = skip::unless!(helm());
    for sample in samples() {
        let items = helm.objects(&sample.values);
        let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
        namespace.apply(&list, &["--dry-run=server", "--validate=strict"]);
    }
}

#[test]
fn pods_are_admitted_where_only_restricted_ones_are() {
    let namespace = skip::unless!(Namespace::new());
    let helm = skip::unless!(helm());
    // Admission looks at pods; of what makes them it only warns.
    for sample in samples() {
        for object in helm.objects(&sample.values) {
            if !["Deployment", "StatefulSet"].contains(&kind(&object)) {
                continue;
            }
            let mut pod = object["spec"]["template"].clone();
            pod["apiVersion"] = json!("v1");
            pod["kind"] = json!("Pod");
            pod["metadata"]["name"] = json!(name(&object));
            pod["spec"]["serviceAccountName"] = json!("default");
            if object["spec"].get("volumeClaimTemplates").is_some() {
                let volumes = pod["spec"]["volumes"].as_array().cloned().unwrap_or_default();
                pod["spec"]["volumes"] = [volumes, vec![json!({"name": "data", "emptyDir": {}})]].concat().into();
            }
            namespace.apply(&pod, &["--dry-run=server"]);
        }
    }
}

/// What anybody can pull.
fn public(mut values: Value) -> Value {
    values["ingress"]["class"] = json!("nobody");
    for (service, image) in [("web", "gradyent/tech-interview:latest"), ("redis", "library/redis:7.4")] {
        if let Some(service) = values["services"].get_mut(service) {
            service["image"] = json!(format!("docker.io/{image}"));
        }
    }
    values
}

#[test]
fn a_public_image_runs_with_nothing_but_what_it_was_given() {
    let namespace = skip::unless!(Namespace::new());
    for helm in skip::unless!(helms()) {
        let values = public(sample("web", 2));
        namespace.install(helm, &values);
        for (path, answer) in [("/", "OK"), ("/hello", "world")] {
            let page = namespace.get("web", path);
            assert!(page.status.success() && page.stdout.starts_with(answer.as_bytes()), "{}", said(&page));
        }
        // Nothing changed: every object is as it was, and no pod is a new one.
        let before = namespace.json(&["get", "pods"]);
        namespace.install(helm, &values);
        assert_eq!(pod_names(&namespace.json(&["get", "pods"])), pod_names(&before));
    }
}

#[test]
fn a_low_port_is_opened_by_somebody_who_is_not_root() {
    let namespace = skip::unless!(Namespace::new());
    let helm = skip::unless!(helm());
    let mut values = public(sample("web", 1));
    let web = &mut values["services"]["web"];
    web["image"] = json!("docker.io/library/busybox:1.37");
    web["args"] = json!(["busybox", "httpd", "-f", "-p", "80", "-h", "/etc"]);
    web["port"] = json!(80);
    web["lowPorts"] = json!(true);
    web["probes"]["ready"] = json!({"tcp": true});
    web["probes"]["live"] = json!({"tcp": true});
    namespace.install(helm, &values);
    let pods = namespace.json(&["get", "pods"]);
    assert_eq!(pods["items"][0]["status"]["containerStatuses"][0]["ready"], true, "{pods:#}");
}

fn pod_names(pods: &Value) -> Vec<String> {
    let mut names: Vec<_> = pods["items"].as_array().unwrap().iter().map(|pod| name(pod).to_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_store_reads_its_secret_files_and_keeps_its_volume() {
    let namespace = skip::unless!(Namespace::new());
    let helm = skip::unless!(helm());
    let mut values = public(sample("shortener", 1));
    values["services"].as_object_mut().unwrap().remove("shortener");
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "redis-sample"}, "stringData": {
        "file.redis.conf": "port 6379\ndir /data\nappendonly yes\nrequirepass word\n"}});
    namespace.apply(&secret, &[]);
    namespace.install(helm, &values);
    let redis = |words: &[&str]| {
        let start = ["exec", "redis-0", "--", "redis-cli", "-a", "word", "--no-auth-warning"];
        let output = namespace.kubectl().args(start).args(words).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(redis(&["set", "key", "value"]), "OK");
    let claim = namespace.json(&["get", "pvc", "data-redis-0"]);
    assert_eq!(claim["metadata"]["labels"]["deployment_id"], values["deploymentId"]);
    // Another version finds what the one before has kept.
    values["services"]["redis"]["version"] = json!("next");
    namespace.install(helm, &values);
    assert_eq!(redis(&["get", "key"]), "value");
    let objects = helm.objects(&values);
    assert_eq!(find(&objects, "StatefulSet", "redis")["spec"]["replicas"], 1);
}
