//! What a deploy would ask the cluster, for manifests that are made without one: settings say it, or the usual is assumed
//! and named.

use super::super::exposure;
use super::super::release_spec::Exposure;
use model::container::Platform;
use model::environment::{BuildPlace, Environment};

/// What images are for.
pub(super) const PLATFORM: Platform = Platform::LinuxAmd64;
/// The class of ingress.
const CLASS: &str = "traefik";
/// Below which public services are: on a cluster of one's own machine these names lead to it.
const DOMAIN: &str = "localhost";

/// The namespaces that ingress controllers are in when they were installed as their makers say, by the name of the class.
const NAMESPACES: [(&str, &str); 5] = [
    ("contour", "projectcontour"),
    ("haproxy", "haproxy-controller"),
    ("istio", "istio-system"),
    ("nginx", "ingress-nginx"),
    ("traefik", "traefik"),
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Assumed {
    pub(super) exposure: Exposure,
    /// A sentence for each setting that is not set.
    pub(super) notes: Vec<String>,
}

impl Assumed {
    /// What no service needs, be it an ingress or an image, is not named.
    pub(super) fn of(environment: &Environment, public: bool, builds: bool) -> Self {
        let cluster = &environment.cluster;
        let mut notes = Vec::new();
        let mut note = |wanted: bool, key: &str, what: String| {
            if wanted {
                notes.push(format!("`{key}` is not set: {what}"));
            }
        };
        note(
            builds && environment.build == BuildPlace::Auto,
            "build",
            "images are named as they would be built on this machine; with `build = \"inside\"` they are named alike on \
             every machine"
                .to_owned(),
        );
        let platforms = format!("images for {PLATFORM} are meant");
        note(builds && environment.platforms.is_empty(), "platforms", platforms);
        let class = cluster.ingress_class.clone().unwrap_or_else(|| {
            note(public, "ingress_class", format!("Ingresses are of class `{CLASS}`"));
            CLASS.to_owned()
        });
        let from_namespace = cluster.ingress_namespace.clone().unwrap_or_else(|| {
            let usual = NAMESPACES.iter().find(|(name, _)| *name == class).map_or(class.as_str(), |(_, usual)| usual);
            let what = format!("public services take connections from the namespace `{usual}` and from no other");
            note(public, "ingress_namespace", what);
            usual.to_owned()
        });
        let host_suffix = match (&cluster.domain, &cluster.ingress_address) {
            (Some(domain), _) => format!(".{domain}"),
            (None, Some(address)) => exposure::suffix(address.ip),
            (None, None) => {
                note(public, "domain", format!("hosts end in `.{DOMAIN}`"));
                format!(".{DOMAIN}")
            }
        };
        let exposure = Exposure { class, from_namespace, host_suffix: Some(host_suffix), ..Exposure::default() };
        Self { exposure, notes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::path::Path;

    fn assumed(settings: &[&str]) -> Assumed {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3).unwrap();
        let settings: Vec<String> = settings.iter().map(|setting| (*setting).to_owned()).collect();
        Assumed::of(&model::environment(root, "cluster", &settings).unwrap(), true, true)
    }

    #[test]
    fn what_is_set_is_taken_and_not_mentioned() {
        let settings = [
            "ingress_class=nginx",
            "ingress_namespace=edge",
            "domain=shop.example.com",
            "platforms=linux/arm64",
            "build=inside",
        ];
        let assumed = assumed(&settings);
        assert_eq!(assumed.notes, [""; 0]);
        assert_eq!(assumed.exposure.class, "nginx");
        assert_eq!(assumed.exposure.from_namespace, "edge");
        assert_eq!(assumed.exposure.host_suffix.as_deref(), Some(".shop.example.com"));
    }

    #[test]
    fn what_is_not_set_is_the_usual_and_named() {
        let assumed = assumed(&[]);
        let keys: Vec<_> = assumed.notes.iter().filter_map(|note| note.split('`').nth(1)).collect();
        assert_eq!(keys, ["build", "platforms", "ingress_class", "ingress_namespace", "domain"]);
        let exposure = assumed.exposure;
        assert_eq!(
            (exposure.from_namespace.as_str(), exposure.host_suffix.as_deref()),
            ("traefik", Some(".localhost"))
        );
    }

    #[test]
    fn the_namespace_follows_the_class_and_the_host_the_address() {
        let exposure = assumed(&["ingress_class=nginx", "ingress_address=10.0.0.7"]).exposure;
        assert_eq!(exposure.from_namespace, "ingress-nginx");
        assert_eq!(exposure.host_suffix.as_deref(), Some(".10.0.0.7.sslip.io"));
        assert_eq!(assumed(&["ingress_class=house"]).exposure.from_namespace, "house");
    }
}
