//! What the chart makes of a system.

use super::helm::{find, helm, helms, kind, name, names};
use super::systems::{given, sample, samples, with_jobs};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The workload of a service.
fn workload<'o>(objects: &'o [Value], service: &str, values: &Value) -> &'o Value {
    let stores = values["services"][service].get("storage").is_some();
    find(objects, if stores { "StatefulSet" } else { "Deployment" }, service)
}

fn services(values: &Value) -> impl Iterator<Item = (&String, &Value)> {
    values["services"].as_object().unwrap().iter()
}

#[test]
fn every_helm_makes_the_same_and_makes_it_again() {
    let (first, others) = skip::unless!(helms()).split_first().unwrap();
    for sample in samples() {
        let manifests = first.manifests(&sample.values).unwrap();
        assert_eq!(first.manifests(&sample.values).unwrap(), manifests, "{}", sample.what);
        let objects = first.objects(&sample.values);
        for other in others {
            assert_eq!(
                other.objects(&sample.values),
                objects,
                "{} and {}: {}",
                first.version,
                other.version,
                sample.what
            );
        }
    }
}

#[test]
fn each_service_has_what_it_is_made_of_and_nothing_else() {
    let helm = skip::unless!(helm());
    for sample in samples() {
        let objects = helm.objects(&sample.values);
        let named = |wanted: &dyn Fn(&Value) -> bool| -> Vec<&str> {
            services(&sample.values).filter(|(_, service)| wanted(service)).map(|(name, _)| name.as_str()).collect()
        };
        let jobs = sample.values.get("jobs").and_then(Value::as_object);
        let job_names: Vec<&str> = jobs.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        let mut accounts = [named(&|_| true), job_names.clone()].concat();
        accounts.sort_unstable();
        let has = |key: &'static str| move |service: &Value| service.get(key).is_some();
        let several = |service: &Value| service["replicas"].as_u64() > Some(1);
        for (kind, wanted) in [
            ("ServiceAccount", accounts),
            ("CronJob", job_names.clone()),
            ("StatefulSet", named(&has("storage"))),
            ("Deployment", named(&|service| !has("storage")(service))),
            ("Ingress", named(&has("public"))),
            ("HorizontalPodAutoscaler", named(&has("scale"))),
            ("PodDisruptionBudget", named(&several)),
            ("Role", named(&has("team"))),
            ("RoleBinding", named(&has("team"))),
        ] {
            assert_eq!(names(&objects, kind), wanted, "{kind} of {}", sample.what);
        }
        let others = ["NetworkPolicy", "Service", "ConfigMap"];
        let count = objects.iter().filter(|object| others.contains(&kind(object))).count();
        let headless = named(&has("storage")).len();
        let files = named(&|service| service["files"] != json!({})).len();
        let all = services(&sample.values).count();
        assert_eq!(count, 2 * all + 1 + headless + files + job_names.len(), "{}: {objects:#?}", sample.what);
    }
}

#[test]
fn an_autoscaler_owns_the_number_of_replicas() {
    let helm = skip::unless!(helm());
    let values = sample("shortener", 3);
    let objects = helm.objects(&values);
    assert_eq!(find(&objects, "Deployment", "shortener")["spec"].get("replicas"), None);
    assert_eq!(find(&objects, "StatefulSet", "redis")["spec"]["replicas"], 1);
    let autoscaler = &find(&objects, "HorizontalPodAutoscaler", "shortener")["spec"];
    assert_eq!((&autoscaler["minReplicas"], &autoscaler["maxReplicas"]), (&json!(3), &json!(6)));
    assert_eq!(autoscaler["behavior"]["scaleDown"]["stabilizationWindowSeconds"], 300);
    assert_eq!(find(&helm.objects(&sample("web", 2)), "Deployment", "web")["spec"]["replicas"], 2);
}

#[test]
fn everything_carries_the_labels_and_selectors_name_only_what_never_changes() {
    let helm = skip::unless!(helm());
    for sample in samples() {
        for object in helm.objects(&sample.values) {
            let labels = &object["metadata"]["labels"];
            assert_eq!(labels["deployment_id"], sample.values["deploymentId"], "{object:#}");
            assert_eq!(labels["app.kubernetes.io/part-of"], sample.values["system"], "{object:#}");
            assert_eq!(labels["app.kubernetes.io/managed-by"], "Helm", "{object:#}");
            if !["Deployment", "StatefulSet"].contains(&kind(&object)) {
                continue;
            }
            let selector = json!({
                "app.kubernetes.io/name": name(&object), "app.kubernetes.io/instance": sample.values["system"]
            });
            assert_eq!(object["spec"]["selector"]["matchLabels"], selector);
            assert_eq!(object["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/version"], "sample");
        }
    }
}

#[test]
fn a_new_version_changes_the_workload_alone() {
    let helm = skip::unless!(helm());
    let mut values = sample("shortener", 2);
    let before = helm.objects(&values);
    values["services"]["shortener"]["image"] = json!("registry.example.com/shortener:next");
    values["services"]["shortener"]["version"] = json!("next");
    let after = helm.objects(&values);
    let changed = before.iter().zip(&after).filter(|(before, after)| before != after);
    assert_eq!(
        changed.map(|(object, _)| (kind(object), name(object))).collect::<Vec<_>>(),
        [("Deployment", "shortener")]
    );
}

#[test]
fn pods_pass_the_restricted_standard_and_have_no_token() {
    let helm = skip::unless!(helm());
    for sample in samples() {
        let objects = helm.objects(&sample.values);
        for (service, values) in services(&sample.values) {
            let template = &workload(&objects, service, &sample.values)["spec"]["template"];
            assert_eq!(template["metadata"]["labels"]["deployment_id"], sample.values["deploymentId"]);
            let pod = &template["spec"];
            assert_eq!(
                (&pod["automountServiceAccountToken"], &pod["enableServiceLinks"]),
                (&json!(false), &json!(false))
            );
            assert_eq!(pod["serviceAccountName"], **service);
            let context = &pod["securityContext"];
            assert_eq!(context["runAsNonRoot"], true);
            assert_eq!(context["runAsUser"], values["user"]["uid"]);
            assert_eq!(context["fsGroup"], values["user"]["gid"]);
            assert_eq!(context["seccompProfile"]["type"], "RuntimeDefault");
            let wanted = json!({
                "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}
            });
            let container = &pod["containers"][0];
            assert_eq!(container["securityContext"], wanted);
            assert!(container["resources"]["limits"]["memory"].is_string(), "{container:#}");
            assert!(container["readinessProbe"].is_object() && container["livenessProbe"].is_object(), "{container:#}");
            assert_eq!(context.get("sysctls"), None, "{service}");
        }
    }
}

#[test]
fn low_ports_are_opened_for_whoever_asks_for_them() {
    let helm = skip::unless!(helm());
    let mut values = sample("web", 2);
    values["services"]["web"]["lowPorts"] = json!(true);
    let objects = helm.objects(&values);
    let pod = &find(&objects, "Deployment", "web")["spec"]["template"]["spec"];
    let wanted = json!([{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]);
    assert_eq!(pod["securityContext"]["sysctls"], wanted);
}

#[test]
fn readiness_and_liveness_are_asked_where_the_service_says() {
    let helm = skip::unless!(helm());
    let objects = helm.objects(&sample("web", 2));
    let container = &find(&objects, "Deployment", "web")["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["ports"][0]["containerPort"], 8080);
    let paths = ["startupProbe", "readinessProbe", "livenessProbe"].map(|probe| &container[probe]["httpGet"]["path"]);
    assert_eq!(paths, ["/hello", "/", "/hello"]);
}

#[test]
fn a_replica_ends_only_when_nobody_sends_it_requests_any_longer() {
    let helm = skip::unless!(helm());
    let values = sample("shortener", 2);
    let objects = helm.objects(&values);
    let pod = |service: &str| workload(&objects, service, &values)["spec"]["template"]["spec"].clone();
    assert_eq!(pod("shortener")["containers"][0]["lifecycle"], json!({"preStop": {"sleep": {"seconds": 5}}}));
    assert_eq!(pod("shortener")["terminationGracePeriodSeconds"], 35);
    assert_eq!(pod("redis")["containers"][0].get("lifecycle"), None);
    assert_eq!(pod("redis")["terminationGracePeriodSeconds"], 30);
    let rollout = &find(&objects, "Deployment", "shortener")["spec"]["strategy"]["rollingUpdate"];
    assert_eq!(rollout["maxUnavailable"], 0);
    // Zero would be an end without a warning.
    let mut hasty = values.clone();
    hasty["services"]["redis"]["stopSeconds"] = json!(0);
    let objects = helm.objects(&hasty);
    let pod = &find(&objects, "StatefulSet", "redis")["spec"]["template"]["spec"];
    assert_eq!(pod["terminationGracePeriodSeconds"], 1);
}

#[test]
fn secrets_are_referred_to_and_files_are_for_the_program_alone() {
    let helm = skip::unless!(helm());
    let values = sample("shortener", 2);
    let objects = helm.objects(&values);
    assert!(names(&objects, "Secret").is_empty());
    let container = &find(&objects, "Deployment", "shortener")["spec"]["template"]["spec"]["containers"][0];
    let url = json!({"name": "REDIS_URL", "valueFrom": {"secretKeyRef": {"name": "shortener-sample", "key": "env.REDIS_URL"}}});
    assert!(container["env"].as_array().unwrap().contains(&url), "{container:#}");
    let pod = &find(&objects, "StatefulSet", "redis")["spec"]["template"]["spec"];
    let files = json!({"name": "files", "projected": {"defaultMode": 0o440, "sources": [
        {"secret": {"name": "redis-sample", "items": [{"key": "file.redis.conf", "path": "redis.conf"}]}}]}});
    assert_eq!(pod["volumes"], json!([files]));
    assert_eq!(pod["securityContext"]["fsGroup"], 999);
    let args = &pod["containers"][0]["args"];
    assert_eq!(*args, json!(["redis-server", "/etc/slipway/files/redis.conf"]));
    let mounts = pod["containers"][0]["volumeMounts"].as_array().unwrap();
    let places: BTreeSet<&str> = mounts.iter().filter_map(|mount| mount["mountPath"].as_str()).collect();
    assert_eq!(places, BTreeSet::from(["/etc/slipway/files", "/data"]));
}

#[test]
fn files_that_are_no_secret_have_a_name_that_changes_with_them() {
    let helm = skip::unless!(helm());
    let configured = |text: &str| {
        let mut values = sample("epoch", 1);
        values["services"]["epoch"]["files"] = json!({"words": text});
        let objects = helm.objects(&values);
        let map = objects.iter().find(|object| kind(object) == "ConfigMap").unwrap().clone();
        let volumes = &find(&objects, "Deployment", "epoch")["spec"]["template"]["spec"]["volumes"];
        assert_eq!(volumes[0]["projected"]["sources"][0]["configMap"]["name"], map["metadata"]["name"]);
        assert_eq!((&map["immutable"], &map["data"]["words"]), (&json!(true), &json!(text)));
        name(&map).to_owned()
    };
    let one = configured("one\n\"two\"\n");
    assert_eq!(configured("one\n\"two\"\n"), one);
    assert_ne!(configured("one\n"), one);
}

#[test]
fn files_are_mounted_where_they_belong_with_their_modes() {
    let helm = skip::unless!(helm());
    let values = given();
    let objects = helm.objects(&values);
    let pod = &find(&objects, "Deployment", "epoch")["spec"]["template"]["spec"];
    let mounts = pod["containers"][0]["volumeMounts"].as_array().unwrap();
    let mounts: Vec<Value> = mounts
        .iter()
        .map(|mount| json!([mount["name"], mount["mountPath"], mount["subPath"], mount["readOnly"]]))
        .collect();
    let wanted = [
        json!(["files", "/etc/slipway/files", null, true]),
        json!(["asset-0", "/etc/app/app.conf", "conf", true]),
        json!(["asset-1", "/etc/key", "key", true]),
        json!(["asset-2", "/srv/site", "site", true]),
    ];
    assert_eq!(mounts, wanted);
    let map = values["services"]["epoch"]["assets"]["configMap"].as_str().unwrap();
    let key = |name: &str| format!("{name}.{}", "0".repeat(16));
    let items = |items: &[(String, &str, u32)]| -> Vec<Value> {
        items.iter().map(|(key, path, mode)| json!({"key": key, "path": path, "mode": mode})).collect()
    };
    let of = |items: Vec<Value>| json!({"configMap": {"name": map, "items": items}});
    let volume = |name: &str| {
        let volumes = pod["volumes"].as_array().unwrap();
        volumes.iter().find(|volume| volume["name"] == name).unwrap()["projected"]["sources"].clone()
    };
    let site = items(&[(key("site"), "site/a/b", 0o444), (key("site"), "site/run", 0o555)]);
    assert_eq!(volume("asset-0"), json!([of(items(&[("conf".to_owned(), "conf", 0o444)]))]));
    let secret = json!({"name": "epoch-sample", "items": items(&[("file.key".to_owned(), "key", 0o444)])});
    assert_eq!(volume("asset-1"), json!([{"secret": secret}]));
    assert_eq!(volume("asset-2"), json!([of(site)]));
    let beside = [
        (key("beside"), "beside/a/b", 0o444),
        (key("beside"), "beside/run", 0o555),
        ("note".to_owned(), "note", 0o644),
    ];
    let plain = find(&objects, "ConfigMap", volume("files")[0]["configMap"]["name"].as_str().unwrap());
    assert_eq!(plain["data"], json!({"plain": "as ever"}));
    assert_eq!(volume("files")[1], of(items(&beside)));
}

#[test]
fn texts_arrive_as_they_are() {
    let helm = skip::unless!(helm());
    let text = "a $(PORT) $$ $x \"q\" '\\ {{ .Values }}\n#: é";
    let mut values = sample("epoch", 1);
    values["services"]["epoch"]["env"] = json!({"TEXT": text, "NUMBER": "1e3", "WORD": "no"});
    values["services"]["epoch"]["args"] = json!([text, "null"]);
    let objects = helm.objects(&values);
    let container = &find(&objects, "Deployment", "epoch")["spec"]["template"]["spec"]["containers"][0];
    // Kubernetes takes each pair for one.
    let doubled = text.replace('$', "$$");
    assert_eq!(container["args"], json!([doubled, "null"]));
    let env = json!([
        {"name": "NUMBER", "value": "1e3"}, {"name": "TEXT", "value": doubled}, {"name": "WORD", "value": "no"}]);
    assert_eq!(container["env"], env);
}

#[test]
fn an_image_starts_with_what_the_spec_says() {
    let helm = skip::unless!(helm());
    let container = |values: &Value| {
        find(&helm.objects(values), "Deployment", "web")["spec"]["template"]["spec"]["containers"][0].clone()
    };
    let mut values = sample("web", 1);
    assert_eq!(container(&values).get("command"), None);
    values["services"]["web"]["command"] = json!(["/bin/sh", "$(PORT)"]);
    assert_eq!(container(&values)["command"], json!(["/bin/sh", "$$(PORT)"]));
}

#[test]
fn a_further_name_leads_to_the_same_pods_and_is_asked_for_metrics_once() {
    let helm = skip::unless!(helm());
    let mut values = sample("shortener", 2);
    values["monitoring"] = json!({"serviceMonitor": true});
    values["services"]["shortener"]["aliases"] = json!(["links", "urls"]);
    let objects = helm.objects(&values);
    let own = find(&objects, "Service", "shortener");
    for alias in ["links", "urls"] {
        let service = find(&objects, "Service", alias);
        assert_eq!(service["spec"], own["spec"], "{alias}");
        assert_eq!(service["metadata"]["labels"]["app.kubernetes.io/component"], "alias");
    }
    let rules = find(&objects, "Role", "shortener")["rules"].as_array().unwrap();
    let rule = rules.iter().find(|rule| rule["resources"] == json!(["services"])).unwrap();
    assert_eq!(rule["resourceNames"], json!(["shortener", "links", "urls"]));
    let monitored = &find(&objects, "ServiceMonitor", "shortener")["spec"]["selector"]["matchExpressions"][0];
    assert_eq!(*monitored, json!({"key": "app.kubernetes.io/component", "operator": "DoesNotExist"}));
}

#[test]
fn each_volume_is_claimed_with_its_size_and_the_first_one_as_it_always_was() {
    let helm = skip::unless!(helm());
    let mut values = sample("shortener", 2);
    let set = |values: &Value| find(&helm.objects(values), "StatefulSet", "redis")["spec"].clone();
    let claims = |set: &Value| -> Vec<(String, String)> {
        let claims = set["volumeClaimTemplates"].as_array().unwrap().iter();
        claims
            .map(|claim| (name(claim).to_owned(), claim["spec"]["resources"]["requests"]["storage"].to_string()))
            .collect()
    };
    assert_eq!(claims(&set(&values)), [("data".to_owned(), "\"1Gi\"".to_owned())]);
    let uploads = json!({"name": "uploads", "path": "/srv/uploads", "size": "5Gi"});
    values["services"]["redis"]["storage"]["more"] = json!([uploads]);
    let both = set(&values);
    let wanted = [("data", "\"1Gi\""), ("volume-uploads", "\"5Gi\"")];
    assert_eq!(claims(&both), wanted.map(|(name, size)| (name.to_owned(), size.to_owned())));
    let mounts = both["template"]["spec"]["containers"][0]["volumeMounts"].as_array().unwrap();
    for mount in
        [json!({"name": "data", "mountPath": "/data"}), json!({"name": "volume-uploads", "mountPath": "/srv/uploads"})]
    {
        assert!(mounts.contains(&mount), "{mounts:#?}");
    }
    values["services"]["redis"]["storage"] = uploads;
    assert_eq!(claims(&set(&values)), [("volume-uploads".to_owned(), "\"5Gi\"".to_owned())]);
}

#[test]
fn confinement_is_loosened_by_what_is_named_alone() {
    let helm = skip::unless!(helm());
    let mut values = sample("web", 1);
    let pod = |values: &Value| find(&helm.objects(values), "Deployment", "web")["spec"]["template"]["spec"].clone();
    let before = pod(&values);
    values["services"]["web"]["allow"] = json!({"root": false, "writableRoot": false, "capabilities": []});
    assert_eq!(pod(&values), before);
    values["services"]["web"]["allow"] =
        json!({"root": true, "writableRoot": true, "capabilities": ["CHOWN", "SETUID"]});
    let loose = pod(&values);
    assert_eq!(loose["securityContext"]["runAsNonRoot"], false);
    assert_eq!(loose["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    let wanted = json!({
        "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": false,
        "capabilities": {"drop": ["ALL"], "add": ["CHOWN", "SETUID"]},
    });
    assert_eq!(loose["containers"][0]["securityContext"], wanted);
}

#[test]
fn a_team_has_its_own_service_and_no_other() {
    let helm = skip::unless!(helm());
    let values = sample("invoices", 2);
    let objects = helm.objects(&values);
    for (service, team) in [("invoice-app", "invoices"), ("payment-provider", "payments")] {
        let rules = find(&objects, "Role", service)["rules"].as_array().unwrap();
        for rule in rules {
            assert_eq!(rule["resourceNames"], json!([service]), "{rule:#}");
            assert!(
                !rule["resources"].to_string().contains('*') && !rule["verbs"].to_string().contains('*'),
                "{rule:#}"
            );
        }
        let subjects = &find(&objects, "RoleBinding", service)["subjects"];
        assert_eq!(subjects[0]["name"], format!("slipway:{team}"));
    }
    assert_eq!(names(&objects, "Role"), ["invoice-app", "payment-provider"]);
}

#[test]
fn metrics_are_found_and_drawn_where_somebody_wants_that() {
    let helm = skip::unless!(helm());
    let mut values = sample("shortener", 2);
    let annotations = |objects: &[Value], kind, service| {
        find(objects, kind, service)["spec"]["template"]["metadata"].get("annotations").cloned()
    };
    let objects = helm.objects(&values);
    let told = annotations(&objects, "Deployment", "shortener").unwrap();
    assert_eq!((&told["prometheus.io/port"], &told["prometheus.io/path"]), (&json!("8000"), &json!("/metrics")));
    assert_eq!(annotations(&objects, "StatefulSet", "redis"), None);
    values["monitoring"] = json!({"annotations": false, "serviceMonitor": true, "dashboard": true});
    let objects = helm.objects(&values);
    assert_eq!(annotations(&objects, "Deployment", "shortener"), None);
    assert_eq!(names(&objects, "ServiceMonitor"), ["shortener"]);
    let dashboard = find(&objects, "ConfigMap", "shortener-dashboard");
    assert_eq!(dashboard["metadata"]["labels"]["grafana_dashboard"], "1");
    let text = dashboard["data"]["shortener.json"].as_str().unwrap();
    let drawn: Value = serde_json::from_str(text).unwrap();
    assert_eq!(drawn["title"], "System shortener");
    assert!(text.contains("namespace=\\\"somewhere\\\"") && !text.contains("NAMESPACE"), "{text}");
}

#[test]
fn a_job_is_made_of_what_its_service_has_and_runs_by_itself_only_by_the_clock() {
    let helm = skip::unless!(helm());
    let values = with_jobs();
    let objects = helm.objects(&values);
    let service = &find(&objects, "Deployment", "shortener")["spec"]["template"]["spec"];
    for (name, schedule, suspended) in [("migrate", "0 0 1 1 *", true), ("backup", "0,30 2 * * 0", false)] {
        let spec = &find(&objects, "CronJob", name)["spec"];
        assert_eq!((&spec["schedule"], &spec["suspend"]), (&json!(schedule), &json!(suspended)));
        assert_eq!((&spec["timeZone"], &spec["concurrencyPolicy"]), (&json!("Etc/UTC"), &json!("Forbid")));
        let job = &spec["jobTemplate"]["spec"];
        assert_eq!((&job["backoffLimit"], &job["activeDeadlineSeconds"]), (&json!(0), &json!(90)));
        let pod = &job["template"]["spec"];
        assert_eq!((&pod["restartPolicy"], &pod["serviceAccountName"]), (&json!("Never"), &json!(name)));
        assert_eq!(pod["securityContext"], service["securityContext"]);
        let (own, its) = (&pod["containers"][0], &service["containers"][0]);
        for key in ["image", "env", "resources", "securityContext", "volumeMounts", "command"] {
            assert_eq!(own[key], its[key], "{key}");
        }
        assert_eq!(own["args"], json!([name]));
        assert!(own.get("livenessProbe").is_none() && own.get("ports").is_none(), "{own:#}");
    }
    let policy = find(&objects, "NetworkPolicy", "redis")["spec"]["ingress"].to_string();
    assert!(policy.contains("\"migrate\"") && policy.contains("\"backup\""), "{policy}");
}
