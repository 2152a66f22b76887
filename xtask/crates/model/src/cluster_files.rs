//! What a cluster takes of the files that services are given: an object of it holds little.

use super::asset::{Asset, Content};
use super::asset_file::AssetAt;
use super::error::{Place, Sink, SpecErrors};
use super::load::Spec;
use super::name::{ServiceName, SystemName};
use super::system::{Piece, Service, TargetKind};
use base::text::bytes;

/// What a ConfigMap or a Secret holds.
const LARGEST: u64 = 1 << 20;

/// A file that a service is given, and where that is written down.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct DeclaredFile {
    pub(super) system: SystemName,
    pub(super) service: ServiceName,
    name: String,
    place: Place,
    /// What a message about it begins with.
    prefix: String,
}

impl DeclaredFile {
    pub(super) fn of(system: &SystemName, (service, (name, at)): &(ServiceName, AssetAt<'_>)) -> Self {
        Self {
            system: system.clone(),
            service: service.clone(),
            name: name.clone(),
            place: at.place(),
            prefix: at.prefix(),
        }
    }
}

impl Spec {
    /// The services whose files are more than a cluster takes, as errors. `named` narrows them to these systems.
    ///
    /// # Errors
    /// When there are any.
    pub fn check_files(&self, target: TargetKind, named: &[SystemName]) -> Result<(), SpecErrors> {
        let sink = Sink::default();
        let clusters = [TargetKind::Kubernetes, TargetKind::Eks].contains(&target);
        let systems =
            self.systems.iter().filter(|system| clusters && (named.is_empty() || named.contains(&system.name)));
        for service in systems.flat_map(|system| &system.services).filter(|service| service.targets.contains(&target)) {
            self.check_service(service, &sink);
        }
        sink.finish(Some(()))
    }

    fn check_service(&self, service: &Service, sink: &Sink) {
        let sizes = service.files.iter().filter(|(_, asset)| !asset.is_plain());
        let sizes: Vec<(&String, String, u64)> = sizes
            .flat_map(|(name, asset)| parts(asset).into_iter().map(move |(what, size)| (name, what, size)))
            .collect();
        let all: u64 = sizes.iter().map(|(_, _, size)| size).sum();
        let Some((name, what, size)) = sizes.iter().max_by_key(|(_, _, size)| size).filter(|_| all > LARGEST) else {
            return;
        };
        let declared = self.files.iter().find(|declared| declared.service == service.name && declared.name == **name);
        let Some(DeclaredFile { place, prefix, .. }) = declared else { return };
        let together = if sizes.len() > 1 {
            format!(", and the files of `{}` have {}", service.name, bytes(all))
        } else {
            String::new()
        };
        let message = format!(
            "{prefix}{what} has {}{together}; a cluster takes 1 MiB of a service, so have the image hold it, or leave the \
             cluster out of `targets`",
            bytes(*size)
        );
        sink.report(place.clone(), message);
    }
}

/// The parts of what is given, with their sizes.
fn parts(asset: &Asset) -> Vec<(String, u64)> {
    match &asset.content {
        Content::Copy(copy) => {
            let path = |path: &str| if path.is_empty() { copy.from.clone() } else { format!("{}/{path}", copy.from) };
            copy.files.iter().map(|(below, file)| (format!("`{}`", path(below)), file.size)).collect()
        }
        Content::Text(template) => {
            let length = |piece: &Piece| match piece {
                Piece::Text(text) => text.len() as u64,
                Piece::Reference(_) => 0,
            };
            vec![("its text".to_owned(), template.0.iter().map(length).sum())]
        }
    }
}
