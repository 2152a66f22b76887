//! What a cluster on this machine has to have beside Kubernetes, where its maker does not bring it: an ingress controller
//! that answers at port 80 of the node, and what measures pods. Their images are pinned in `deploy/images.toml`.
//!
//! Sources: doc.traefik.io/traefik/reference/install-configuration/providers/kubernetes/kubernetes-ingress (rights and
//! flags); the manifest of metrics-server 0.8, with a flag more, since the kubelets of kind sign their certificates
//! themselves.

use serde_json::{Value, json};

/// The namespace of the ingress controller, and its name there.
pub(super) const TRAEFIK: (&str, &str) = ("traefik", "traefik");
pub(super) const METRICS: (&str, &str) = ("kube-system", "metrics-server");
const RBAC: &str = "rbac.authorization.k8s.io/v1";

/// The objects as one list, which `kubectl apply` takes.
fn list(items: Vec<Value>) -> Value {
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

fn rule(groups: &[&str], resources: &[&str], verbs: &[&str]) -> Value {
    json!({"apiGroups": groups, "resources": resources, "verbs": verbs})
}

fn service_account((namespace, name): (&str, &str)) -> Value {
    json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}})
}

fn cluster_role(name: &str, rules: &[Value]) -> Value {
    json!({"apiVersion": RBAC, "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules})
}

fn cluster_binding(name: &str, role: &str, (namespace, account): (&str, &str)) -> Value {
    json!({
        "apiVersion": RBAC, "kind": "ClusterRoleBinding", "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
    })
}

/// What both confine their containers to.
fn confined() -> Value {
    json!({
        "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "runAsNonRoot": true, "runAsUser": 65532,
        "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"},
    })
}

fn deployment((namespace, name): (&str, &str), pod: Value) -> Value {
    let labels = json!({"app.kubernetes.io/name": name});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "replicas": 1, "selector": {"matchLabels": labels},
            // Two could not have the same port of the node.
            "strategy": {"type": "Recreate"},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    })
}

/// Traefik, which answers for the class `traefik`, the cluster's default.
pub(super) fn traefik(image: &str) -> Value {
    let (namespace, name) = TRAEFIK;
    let look = ["get", "list", "watch"];
    let rules = [
        rule(&[""], &["services", "secrets", "nodes"], &look),
        rule(&["discovery.k8s.io"], &["endpointslices"], &look),
        rule(&["networking.k8s.io"], &["ingresses", "ingressclasses"], &look),
        rule(&["networking.k8s.io"], &["ingresses/status"], &["update"]),
    ];
    let args = [
        "--entrypoints.web.address=:8000",
        "--entrypoints.traefik.address=:8080",
        "--ping=true",
        "--providers.kubernetesingress=true",
        "--providers.kubernetesingress.ingressendpoint.ip=127.0.0.1",
        "--global.checknewversion=false",
        "--global.sendanonymoususage=false",
    ];
    let ping = json!({"httpGet": {"path": "/ping", "port": 8080}, "periodSeconds": 2});
    let pod = json!({
        "serviceAccountName": name,
        "containers": [{
            "name": name, "image": image, "args": args, "securityContext": confined(),
            "ports": [{"name": "web", "containerPort": 8000, "hostPort": 80}],
            "readinessProbe": ping, "livenessProbe": ping,
            "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
        }],
    });
    let class = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "IngressClass",
        "metadata": {"name": name, "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}},
        "spec": {"controller": "traefik.io/ingress-controller"},
    });
    list(vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}),
        service_account(TRAEFIK),
        cluster_role(name, &rules),
        cluster_binding(name, name, TRAEFIK),
        deployment(TRAEFIK, pod),
        class,
    ])
}

/// What the resource metrics of pods come from, which scaling takes.
pub(super) fn metrics(image: &str) -> Value {
    let (namespace, name) = METRICS;
    let look = ["get", "list", "watch"];
    let read = rule(&["metrics.k8s.io"], &["pods", "nodes"], &look);
    let mut reader = cluster_role("system:aggregated-metrics-reader", &[read]);
    for role in ["view", "edit", "admin"] {
        reader["metadata"]["labels"][format!("rbac.authorization.k8s.io/aggregate-to-{role}")] = json!("true");
    }
    let rules = [rule(&[""], &["nodes/metrics"], &["get"]), rule(&[""], &["pods", "nodes"], &look)];
    let own = format!("system:{name}");
    let extension = json!({
        "apiVersion": RBAC, "kind": "RoleBinding",
        "metadata": {"name": format!("{name}-auth-reader"), "namespace": namespace},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "extension-apiserver-authentication-reader",
        },
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
    });
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "selector": {"app.kubernetes.io/name": name},
            "ports": [{"name": "https", "port": 443, "targetPort": 10250, "appProtocol": "https"}],
        },
    });
    let api = json!({
        "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": "v1beta1.metrics.k8s.io"},
        "spec": {
            "group": "metrics.k8s.io", "version": "v1beta1", "groupPriorityMinimum": 100, "versionPriority": 100,
            "insecureSkipTLSVerify": true, "service": {"name": name, "namespace": namespace},
        },
    });
    list(vec![
        service_account(METRICS),
        reader,
        cluster_role(&own, &rules),
        extension,
        cluster_binding(&format!("{name}:system:auth-delegator"), "system:auth-delegator", METRICS),
        cluster_binding(&own, &own, METRICS),
        service,
        deployment(METRICS, metrics_pod(image)),
        api,
    ])
}

fn metrics_pod(image: &str) -> Value {
    let (_, name) = METRICS;
    let args = [
        "--cert-dir=/tmp",
        "--secure-port=10250",
        "--kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname",
        "--kubelet-use-node-status-port",
        "--metric-resolution=15s",
        "--kubelet-insecure-tls",
    ];
    let probe = |path: &str| json!({"httpGet": {"path": path, "port": 10250, "scheme": "HTTPS"}, "periodSeconds": 10});
    json!({
        "serviceAccountName": name, "priorityClassName": "system-cluster-critical",
        "containers": [{
            "name": name, "image": image, "args": args, "securityContext": confined(),
            "ports": [{"name": "https", "containerPort": 10250}],
            "readinessProbe": probe("/readyz"), "livenessProbe": probe("/livez"),
            "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}},
            "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
        }],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    })
}
