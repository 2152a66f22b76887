//! Secrets of services and of systems.

use super::Root;
use super::loading::service;
use crate::secret::{Alphabet, SecretSource, Shape};
use crate::system::TargetKind;
use crate::{Spec, load};

const SHOP: &str = r#"description = 'a shop'
[secrets]
shared = { from = "env", name = "SHARED" }
unused = { from = "aws", name = "prod/unused" }
[services.epoch]
crate = "epoch"
port = 1
env = { A = "${secret.shared}", B = "${secret.own}" }
[services.epoch.secrets]
own = { from = "generated" }
key = { from = "file", name = "mailer/jwt.key" }
hex = { from = "generated", bytes = 32, as = "hex" }
text = { from = "generated", bytes = 12, as = "alphanumeric" }
base = { from = "generated", as = "base64" }
[services.shortener]
crate = "shortener"
port = 2
"#;

fn spec(text: &str) -> Spec {
    let root = Root::new();
    root.write("deploy/systems/shop.toml", text);
    load(root.path()).unwrap()
}

#[test]
fn a_secret_says_where_it_comes_from() {
    let spec = spec(SHOP);
    let epoch = service(&spec, "epoch");
    let source = |name: &str| epoch.secrets[name].source.clone();
    let shape = |bytes, alphabet| SecretSource::Generated(Shape { bytes, alphabet });
    assert_eq!(source("shared"), SecretSource::Env("SHARED".to_owned()));
    assert_eq!(source("unused"), SecretSource::Aws("prod/unused".to_owned()));
    assert_eq!(source("key"), SecretSource::File("mailer/jwt.key".to_owned()));
    assert_eq!(source("hex"), shape(32, Alphabet::Hex));
    assert_eq!(source("text"), shape(12, Alphabet::Alphanumeric));
    assert_eq!((source("own"), source("base")), (shape(20, Alphabet::Hex), shape(20, Alphabet::Base64)));
}

#[test]
fn a_system_shares_its_secrets_with_all_of_its_services() {
    let spec = spec(SHOP);
    let (epoch, shortener) = (service(&spec, "epoch"), service(&spec, "shortener"));
    assert_eq!(shortener.secrets.keys().collect::<Vec<_>>(), ["shared", "unused"]);
    assert_eq!(epoch.secret_key("shared"), "shop/shared");
    assert_eq!(shortener.secret_key("shared"), "shop/shared");
    assert_eq!(epoch.secret_key("own"), "epoch.own");
    assert_eq!(epoch.used_secrets().into_keys().collect::<Vec<_>>(), ["own", "shared"]);
    assert!(shortener.used_secrets().is_empty());
}

#[test]
fn what_only_aws_has_runs_on_eks_alone() {
    let of = |text: &str| spec(text);
    let unused = of(SHOP);
    assert!(TargetKind::ALL.iter().all(|target| service(&unused, "epoch").lacks_secret(*target).is_none()));
    let used = of(&SHOP.replace("${secret.own}", "${secret.unused}"));
    let lacks = |target| service(&used, "epoch").lacks_secret(target);
    assert_eq!(lacks(TargetKind::Eks), None);
    let why = "the secret `unused` of `epoch` is `prod/unused` in AWS Secrets Manager, which only target `eks` reads";
    for target in [TargetKind::Host, TargetKind::Containers, TargetKind::Kubernetes] {
        assert_eq!(lacks(target).as_deref(), Some(why));
    }
}
