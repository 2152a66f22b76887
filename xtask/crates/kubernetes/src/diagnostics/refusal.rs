//! What the cluster or Helm said no with, in words: they refuse before there is anything to look at.

use super::finding::Finding;

/// How much of a refusal's words a cause repeats.
const WORDS: usize = 600;

/// Tells from the words of Helm or the API why they refused. What is not recognised is told in their own words.
pub fn refusal(words: &str) -> Finding {
    let said = essence(words);
    let has = |part: &str| said.contains(part);
    let finding = |code, what: &str| Finding::new(code, format!("{what}: {said}"));
    if has("exceeded quota") || has("failed quota") {
        let hint = "raise the quota, or ask for less: `kubectl describe quota` shows both";
        return finding("quota", "a quota of the namespace refuses it").hint(hint);
    }
    if has("violates PodSecurity") {
        let hint = "what the pods ask for is decided by the chart and the service's `container` table";
        return finding("admission-refused", "the namespace's Pod Security Standard refuses it").hint(hint);
    }
    if has("admission webhook") || has("ValidatingAdmissionPolicy") || has("denied the request") {
        let hint = "ask the cluster's administrator what this rule requires";
        return finding("admission-refused", "a rule of the cluster refuses it").hint(hint);
    }
    if has("failed calling webhook") {
        let hint = "the webhook's own pods have to run first: `kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations`";
        return finding("admission-refused", "a webhook that the cluster has to ask does not answer").hint(hint);
    }
    if has("don't meet the specifications of the schema") {
        return finding("values-invalid", "the chart refuses its values");
    }
    if has("no matches for kind") || has("the server could not find the requested resource") {
        let hint = "the cluster is too old for it, or its CRD is not installed";
        return finding("kind-unknown", "the cluster does not know a kind of object").hint(hint);
    }
    if has("invalid ownership metadata") || has("cannot be imported into the current release") {
        let hint = "remove the object that is in the way, or choose another `namespace_prefix`";
        return finding("not-ours", "an object of that name exists and belongs to someone else").hint(hint);
    }
    if has("conflict occurred while applying") || has("Apply failed with") {
        let hint = "someone else changed the same field; `deploy --verify` restores it";
        return finding("field-conflict", "a field belongs to someone else").hint(hint);
    }
    if has("field is immutable") || has("are forbidden: updates to") || has("updates to statefulset spec") {
        let hint = "`teardown` the system and deploy it again; `teardown --keep-data` keeps what is stored";
        return finding("field-fixed", "the cluster cannot change this once it is created").hint(hint);
    }
    if has("forbidden:") || has("is forbidden") || has("Unauthorized") {
        return finding("cluster-forbidden", "you are not allowed to do this").hint("ask for the right that it names");
    }
    if ["connection refused", "no such host", "i/o timeout", "cluster unreachable", "TLS handshake timeout"]
        .iter()
        .any(|part| has(part))
    {
        return finding("cluster-unreachable", "the cluster does not answer");
    }
    if has("is invalid")
        || has("unknown field")
        || has("error validating data")
        || has("unable to build kubernetes objects")
    {
        return finding("object-invalid", "the cluster rejects an object");
    }
    Finding::new("release-refused", format!("the release was refused: {said}"))
}

/// The words without what stands around them: warnings, blank lines, the outermost `Error: `.
fn essence(words: &str) -> String {
    let noise = |line: &&str| {
        let line = line.trim_start();
        !line.is_empty()
            && !line.starts_with("WARNING:")
            && !line.starts_with("W1")
            && !line.starts_with("level=")
            && !line.starts_with("time=")
            && !line.starts_with("coalesce.go")
    };
    let lines: Vec<&str> = words.lines().filter(noise).map(str::trim_end).collect();
    let joined = lines.join("\n");
    let text = joined.trim().trim_start_matches("Error: ").trim_start_matches("UPGRADE FAILED: ");
    let text = text.trim_start_matches("INSTALLATION FAILED: ");
    match text.char_indices().nth(WORDS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn code(words: &str, expected: &str) {
        assert_eq!(refusal(words).code, expected, "{words}");
    }

    #[test]
    fn each_refusal_has_its_code() {
        code(
            "Error: UPGRADE FAILED: deployments.apps \"a\" is forbidden: exceeded quota: small, requested: count/deployments.apps=1, used: count/deployments.apps=1, limited: count/deployments.apps=1",
            "quota",
        );
        code("Error: INSTALLATION FAILED: failed quota: small: must specify requests.memory for: a", "quota");
        code(
            "Error: pods \"a\" is forbidden: violates PodSecurity \"restricted:latest\": privileged (container \"a\" must not set securityContext.privileged=true)",
            "admission-refused",
        );
        code(
            "Error: admission webhook \"validate.kyverno.svc\" denied the request: image must come from ghcr.io",
            "admission-refused",
        );
        code(
            "Error: INSTALLATION FAILED: 1 error occurred:\n\t* deployments.apps \"a\" is forbidden: ValidatingAdmissionPolicy 'owner' with binding 'owner' denied request: needs an owner",
            "admission-refused",
        );
        code(
            "Error: Internal error occurred: failed calling webhook \"mservice.elbv2.k8s.aws\": no endpoints available for service",
            "admission-refused",
        );
        code(
            "Error: values don't meet the specifications of the schema(s) in the following chart(s):\napp:\n- at '/services/a/port': got string, want integer",
            "values-invalid",
        );
        code(
            "Error: unable to build kubernetes objects from release manifest: resource mapping not found for name: \"a\" namespace: \"\" from \"\": no matches for kind \"ServiceMonitor\" in version \"monitoring.coreos.com/v1\"",
            "kind-unknown",
        );
        code(
            "Error: Service \"a\" in namespace \"x\" exists and cannot be imported into the current release: invalid ownership metadata; label validation error",
            "not-ours",
        );
        code(
            "Error: UPGRADE FAILED: conflict occurred while applying object x/a apps/v1, Kind=Deployment: Apply failed with 1 conflict: conflict with \"kubectl-edit\" using apps/v1: .spec.replicas",
            "field-conflict",
        );
        code(
            "Error: cannot patch \"a\" with kind StatefulSet: StatefulSet.apps \"a\" is invalid: spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'template' are forbidden",
            "field-fixed",
        );
        code(
            "Error: deployments.apps is forbidden: User \"dev\" cannot create resource \"deployments\" in API group \"apps\" in the namespace \"x\"",
            "cluster-forbidden",
        );
        code(
            "Error: kubernetes cluster unreachable: Get \"https://10.0.0.1:6443/version\": dial tcp 10.0.0.1:6443: connect: connection refused",
            "cluster-unreachable",
        );
        code(
            "Error: Deployment.apps \"a\" is invalid: spec.template.spec.containers[0].image: Required value",
            "object-invalid",
        );
        code("Error: something that nobody has seen", "release-refused");
    }

    #[test]
    fn its_own_words_are_told_without_noise_and_not_at_any_length() {
        let words = "WARNING: Kubernetes configuration file is group-readable\n\nError: UPGRADE FAILED: who knows\n";
        assert_eq!(refusal(words).cause, "the release was refused: who knows");
        assert!(refusal(&"ä".repeat(5000)).cause.chars().count() < 700);
    }
}
