//! Public names, and who shares them where.

use super::Root;
use crate::load;
use crate::system::{System, TargetKind};

/// A system with these public services, each with what `public` says of it.
fn system(services: &[(&str, &str)]) -> System {
    let root = Root::new();
    root.write("deploy/images.toml", "redis = 'docker.io/library/redis:7.4'\n");
    let service = |(name, public): &(&str, &str)| {
        format!("[services.{name}]\nimage = 'redis'\nport = 80\nready = {{ http = '/' }}\npublic = {public}\n")
    };
    let text: String = services.iter().map(service).collect();
    root.write("deploy/systems/shop.toml", format!("description = 'a shop'\n{text}"));
    load(root.path()).unwrap().systems.remove(0)
}

const SHARED: [(&str, &str); 3] =
    [("api", "{ name = 'shop', paths = ['/api', '/v1'] }"), ("shop", "true"), ("status", "{ paths = ['/now'] }")];

#[test]
fn who_has_the_shortest_path_of_a_name_holds_it_while_it_is_public() {
    let mut shop = system(&SHARED);
    let holders = |shop: &System| -> Vec<String> {
        shop.services.iter().map(|service| service.public_name.holder.to_string()).collect()
    };
    let shared: Vec<bool> = shop.services.iter().map(|service| service.public_name.is_shared).collect();
    assert_eq!(
        (holders(&shop), shared),
        (["shop", "shop", "status"].map(str::to_owned).into(), vec![true, true, false])
    );
    let asked = |shop: &System| shop.services.iter().map(|it| it.asked_from_outside().is_some()).collect::<Vec<_>>();
    assert_eq!(asked(&shop), [false, true, false], "`/` is not what it is asked for");
    shop.services[1].public = false;
    shop.settle_public_names(Some(TargetKind::Containers));
    assert_eq!(holders(&shop), ["api", "api", "status"]);
    assert_eq!(shop.services.iter().filter(|service| service.holds_public_name()).count(), 2);
}

#[test]
fn a_target_that_cannot_share_a_name_says_why() {
    let why = |services: &[(&str, &str)], target, has_domain| system(services).cannot_share(target, has_domain);
    assert!(why(&SHARED, TargetKind::Host, false).unwrap().contains("takes a proxy, and `host` has none"));
    assert!(why(&SHARED, TargetKind::Eks, false).unwrap().contains("takes a `domain`"));
    for target in [TargetKind::Containers, TargetKind::Kubernetes] {
        assert_eq!(why(&SHARED, target, false), None);
    }
    assert_eq!(why(&SHARED, TargetKind::Eks, true), None);
    assert_eq!(why(&[("shop", "{ name = 'a', paths = ['/b'] }")], TargetKind::Host, false), None, "it is one alone");
    let tangled = [("a", "{ name = 's', paths = ['/', '/b/c'] }"), ("b", "{ name = 's', paths = ['/b'] }")];
    assert!(why(&tangled, TargetKind::Eks, true).unwrap().contains("`a` and `b` each have a path below"));
    assert_eq!(why(&tangled, TargetKind::Kubernetes, true), None);
}
