//! Whether the tags of public images stand for what runs, as their registries have them now.
//!
//! Asked by what looks at everything. A registry that does not answer soon is no failure: that it does not is all that is
//! told.

use super::registry::Client;
use base::ctx::Ctx;
use engine::backend::{MovedTag, Tags};
use engine::deployment::Deployment;
use model::image::{Digest, ImagePin};
use model::system::{Service, Source};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long one answer may take.
const WITHIN: Duration = Duration::from_secs(5);

/// Asks for the tags of what the systems run here, and of what their Dockerfiles begin with, all at once. `recorded` says
/// what a tag stood for that is not pinned: an engine may know several digests of it.
pub fn tags(ctx: &Ctx, deployment: &Deployment, recorded: &dyn Fn(&ImagePin) -> Vec<Digest>) -> Tags {
    let known = |(name, pin): (String, ImagePin)| {
        let digests = pin.digest.clone().map_or_else(|| recorded(&pin), |digest| vec![digest]);
        (!digests.is_empty()).then_some((name, pin, digests))
    };
    let known: Vec<_> = used(deployment).into_iter().filter_map(known).collect();
    let client = Client::new(&ctx.proc, &ctx.interrupts, None).within(WITHIN);
    let client = &client;
    std::thread::scope(|scope| {
        let ask = |pin: ImagePin| scope.spawn(move || client.digest(&pin.repository, &pin.tag));
        let asked: Vec<_> = known.iter().map(|known| (known, ask(known.1.clone()))).collect();
        let mut tags = Tags::default();
        for ((name, pin, digests), asked) in asked {
            let tag = ImagePin { digest: None, ..pin.clone() }.to_string();
            match asked.join() {
                Ok(Ok(now)) => tags.moved.extend(moved(name, tag, digests, now)),
                Ok(Err(refusal)) => tags.unknown.push(format!("`{name}` ({tag}): {}", refusal.words)),
                Err(_) => {}
            }
        }
        tags
    })
}

/// What is said of a tag that stands for `now`. One that is gone stands for nothing else.
fn moved(name: &str, tag: String, digests: &[Digest], now: Option<Digest>) -> Option<MovedTag> {
    let now = now.filter(|now| !digests.contains(now))?;
    Some(MovedTag { image: name.to_owned(), tag, from: digests.first()?.to_string(), to: now.to_string() })
}

fn used(deployment: &Deployment) -> BTreeMap<String, ImagePin> {
    let services = deployment.systems().flat_map(|system| &system.services);
    let here = services.filter(|service| service.targets.contains(&deployment.environment.target));
    let names = |service: &Service| match &service.source {
        Source::Image { image, .. } => vec![image.clone()],
        Source::Dockerfile { build, .. } => build.bases.values().cloned().collect(),
        Source::Crate(_) => Vec::new(),
    };
    let pins = &deployment.spec.images;
    here.flat_map(names).filter_map(|name| Some((name.clone(), pins.get(&name)?.clone()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_has_moved_when_it_stands_for_something_that_was_not_known() {
        let digest = |digit: &str| format!("sha256:{}", digit.repeat(64)).parse::<Digest>().unwrap();
        let known = [digest("1"), digest("2")];
        let moved = |now| moved("redis", "docker.io/library/redis:7.4".to_owned(), &known, now);
        assert_eq!((moved(None), moved(Some(digest("2")))), (None, None));
        let told = moved(Some(digest("3"))).unwrap().to_string();
        let (from, to) = (digest("1"), digest("3"));
        assert_eq!(told, format!("`redis`: docker.io/library/redis:7.4 was {from}, and is {to} by now"));
    }
}
