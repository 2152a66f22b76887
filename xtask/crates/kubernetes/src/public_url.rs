//! `${public_url}`: where a service is reached from outside. It is known once it is known how public services are exposed.

use super::release_spec::{Exposure, WorkloadSpec};
use model::cluster::Cluster;
use model::system::{Piece, Reference, Service, Template};
use std::collections::BTreeMap;

/// What stands for it until then.
pub(super) fn unknown(service: &Service) -> String {
    format!("<public_url of {}>", service.name)
}

/// The parts, those of which know where they are reached that say so somewhere.
pub(super) fn told(parts: &[WorkloadSpec], exposure: Option<&Exposure>, cluster: &Cluster) -> Vec<WorkloadSpec> {
    parts.iter().map(|part| tell(part.clone(), exposure, cluster)).collect()
}

fn tell(mut part: WorkloadSpec, exposure: Option<&Exposure>, cluster: &Cluster) -> WorkloadSpec {
    if !part.service.tells_public_url() {
        return part;
    }
    let Some(url) = url(&part.service, exposure, cluster) else { return part };
    let unknown = unknown(&part.service);
    let texts = [&mut part.env, &mut part.files, &mut part.placed].into_iter().flat_map(BTreeMap::values_mut);
    texts.chain(&mut part.args).for_each(|text| *text = text.replace(&unknown, &url));
    let known = |piece: &Piece| match piece {
        Piece::Reference(Reference::PublicUrl) => Piece::Text(url.clone()),
        piece => piece.clone(),
    };
    for template in part.secret_env.values_mut().chain(part.secret_files.values_mut()) {
        *template = Template(template.0.iter().map(known).collect());
    }
    part
}

/// One that is not public is reached by its name.
fn url(service: &Service, exposure: Option<&Exposure>, cluster: &Cluster) -> Option<String> {
    if !service.public {
        return service.internal_url();
    }
    let exposure = exposure?;
    let has_certificate = exposure.annotations.keys().any(|key| key.ends_with("/certificate-arn"));
    let port = cluster.ingress_address.map_or(80, |address| address.port);
    let (scheme, port) = match (has_certificate, port) {
        (true, _) => ("https", String::new()),
        (false, 80) => ("http", String::new()),
        (false, port) => ("http", format!(":{port}")),
    };
    let host = format!("{}{}", cluster.prefixed(&service.public_name.name), exposure.host_suffix.as_ref()?);
    Some(format!("{scheme}://{host}{port}{}", service.public_name.first_path()).trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::release_spec::parts;
    use super::*;

    #[test]
    fn a_service_is_told_where_it_is_reached_once_that_is_known() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3).unwrap();
        let environment = model::environment(root, "cluster", &["namespace_prefix=try-".to_owned()]).unwrap();
        let spec = model::load(root).unwrap();
        let mut system = spec.systems.into_iter().find(|known| known.name.as_str() == "epoch").unwrap();
        let epoch = &mut system.services[0];
        epoch.env.insert("SELF".to_owned(), "${public_url}/x".parse().unwrap());
        epoch.public_name.paths = ["/time".to_owned()].into();
        let parts = parts(&system, &environment, environment.target).unwrap();
        let of = |exposure: Option<&Exposure>| told(&parts, exposure, &environment.cluster)[0].env["SELF"].clone();
        assert_eq!(of(None), "<public_url of epoch>/x");
        let mut exposure = Exposure { host_suffix: Some(".a.example".to_owned()), ..Exposure::default() };
        assert_eq!(of(Some(&exposure)), "http://try-epoch.a.example/time/x");
        exposure.annotations.insert("alb.ingress.kubernetes.io/certificate-arn".to_owned(), "arn".to_owned());
        assert_eq!(of(Some(&exposure)), "https://try-epoch.a.example/time/x");
    }
}
