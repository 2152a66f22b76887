//! What somebody else has put into a namespace: every kind that the cluster knows is looked at, since a namespace takes
//! all that is in it along.

use crate::names::DEPLOYMENT;
use anyhow::Result;
use kube::Api;
use kube::object;
use serde_json::Value;

/// The cluster makes these by itself for what they are named after.
const BESIDE: [&str; 3] = ["events", "endpoints", "endpointslices"];
/// What clusters put into every namespace: the API's certificate, the names that pods run under, and who may use those.
const CERTIFICATES: [&str; 3] = ["kube-root-ca.crt", "openshift-service-ca.crt", "istio-ca-root-cert"];
const ACCOUNTS: [&str; 3] = ["default", "builder", "deployer"];

/// What is in the namespace and not the deployment's, as "ConfigMap mine".
///
/// # Errors
/// When the cluster refuses or does not answer.
pub(super) fn unmanaged(api: &Api, namespace: &str, deployment: &str) -> Result<Vec<String>> {
    let told = |refusal| kube::fault(&format!("look at what else is in namespace `{namespace}`"), &refusal);
    let resources = resources(api).map_err(told)?;
    let list = |resource: &Resource| {
        let path = format!("{}/namespaces/{namespace}/{}", resource.group, resource.plural);
        api.list_metadata(&path, "")
    };
    let lists: Vec<_> = std::thread::scope(|scope| {
        let asking: Vec<_> = resources.iter().map(|resource| scope.spawn(|| list(resource))).collect();
        asking.into_iter().zip(&resources).map(|(thread, one)| thread.join().unwrap_or_else(|_| list(one))).collect()
    });
    let mut unmanaged = Vec::new();
    for (resource, found) in resources.iter().zip(lists) {
        let found = found.map_err(told)?;
        let foreign = found.iter().filter(|object| is_foreign(&resource.kind, object, deployment));
        unmanaged.extend(foreign.map(|object| format!("{} {}", resource.kind, object::name(object))));
    }
    Ok(unmanaged)
}

struct Resource {
    kind: String,
    plural: String,
    /// `/apis/apps/v1`
    group: String,
}

/// Everything that can be put into a namespace. A group whose own server does not answer has nothing that anybody could
/// use; the cluster itself says so when it comes to removing the namespace.
fn resources(api: &Api) -> Result<Vec<Resource>, kube::Refusal> {
    let groups = api.get("/apis")?.unwrap_or_default();
    let versions = object::list(&groups, "/groups").iter();
    let versions = versions.map(|group| object::text(group, "/preferredVersion/groupVersion"));
    let paths: Vec<String> =
        std::iter::once("/api/v1".to_owned()).chain(versions.map(|version| format!("/apis/{version}"))).collect();
    let lists: Vec<_> = std::thread::scope(|scope| {
        let asking: Vec<_> = paths.iter().map(|path| scope.spawn(|| api.get(path).ok().flatten())).collect();
        asking.into_iter().map(|thread| thread.join().ok().flatten().unwrap_or_default()).collect()
    });
    Ok(paths.into_iter().zip(lists).flat_map(|(path, list)| kept(&path, &list)).collect())
}

/// The resources of a group that are stored in namespaces.
fn kept(group: &str, list: &Value) -> Vec<Resource> {
    let stored = |resource: &&Value| {
        let can = |verb: &str| object::list(resource, "/verbs").iter().any(|known| known == verb);
        let plural = object::text(resource, "/name");
        let apart = !plural.contains('/') && !BESIDE.contains(&plural);
        resource["namespaced"] == true && apart && can("list") && can("create") && can("delete")
    };
    let resource = |resource: &Value| Resource {
        kind: object::text(resource, "/kind").to_owned(),
        plural: object::text(resource, "/name").to_owned(),
        group: group.to_owned(),
    };
    object::list(list, "/resources").iter().filter(stored).map(resource).collect()
}

fn is_foreign(kind: &str, found: &Value, deployment: &str) -> bool {
    let name = object::name(found);
    let automatic = match kind {
        "ConfigMap" => CERTIFICATES.contains(&name),
        "ServiceAccount" => ACCOUNTS.contains(&name),
        "Secret" => ACCOUNTS.contains(&object::annotation(found, "kubernetes.io/service-account.name")),
        "RoleBinding" => name.starts_with("system:"),
        _ => false,
    };
    let ours = object::label(found, DEPLOYMENT) == deployment;
    // What owns it is looked at itself.
    let owned = !object::list(found, "/metadata/ownerReferences").is_empty();
    !(automatic || ours || owned || object::is_going(found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_stored_in_namespaces_is_looked_at() {
        let resource = |name: &str, namespaced: bool, verbs: &[&str]| json!({"name": name, "kind": name, "namespaced": namespaced, "verbs": verbs});
        let all = ["create", "delete", "get", "list"];
        let list = json!({"resources": [
            resource("pods", true, &all), resource("pods/log", true, &all), resource("nodes", false, &all),
            resource("events", true, &all), resource("metrics", true, &["get", "list"]), resource("widgets", true, &all),
        ]});
        let found: Vec<_> = kept("/api/v1", &list).into_iter().map(|resource| resource.plural).collect();
        assert_eq!(found, ["pods", "widgets"]);
    }

    #[test]
    fn what_is_automatic_or_ours_is_nobody_elses() {
        let named = |name: &str| json!({"metadata": {"name": name}});
        let foreign = |kind: &str, object: &Value| is_foreign(kind, object, "try");
        assert!(!foreign("ConfigMap", &named("kube-root-ca.crt")));
        assert!(foreign("Secret", &named("kube-root-ca.crt")));
        assert!(!foreign("ServiceAccount", &named("default")));
        assert!(foreign("ServiceAccount", &named("mine")));
        let with = |key: &str, value: Value| json!({"metadata": {"name": "a", key: value}});
        assert!(!foreign("Secret", &with("labels", json!({"deployment_id": "try"}))));
        assert!(foreign("Secret", &with("labels", json!({"deployment_id": "other"}))));
        assert!(!foreign("Pod", &with("ownerReferences", json!([{"name": "a"}]))));
        assert!(!foreign("Pod", &with("deletionTimestamp", json!("now"))));
    }
}
