//! What an environment says of single services.

use super::Root;
use super::loading::{own_spec, service};
use crate::container::Memory;
use crate::environment::Environment;
use crate::{Spec, SpecErrors, environment};
use std::time::Duration;

/// The repository's own systems as they are in an environment with this file, and these flags.
fn laid(text: &str, sets: &[&str]) -> Result<(Spec, Environment), SpecErrors> {
    let root = Root::new();
    root.write("deploy/environments/try.toml", text);
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    let environment = environment(root.path(), "try", &sets)?;
    let mut spec = own_spec();
    spec.in_environment(&environment, true)?;
    Ok((spec, environment))
}

fn said(text: &str, sets: &[&str]) -> String {
    laid(text, sets).unwrap_err().to_string().replace("deploy/environments/", "")
}

#[test]
fn what_differs_for_one_service_is_laid_over_its_system_s_file() {
    let text = "target = 'kubernetes'\n[env]\nLOG = 'info'\nZONE = 'a'\n\
                [services.epoch]\nreplicas = 5\npublic = false\nenv = { LOG = 'debug', LIMIT = 3 }\n\
                scale = { max = 9, settle = '1m' }\ncontainer = { memory = '512Mi' }\n\
                [services.redis.container]\nwritable = ['/tmp', '/run']\nuser = '1000'\n[services.web]\nscale = { max = 3 }\n";
    let (spec, environment) = laid(text, &["services.epoch.container.cpu=2"]).unwrap();
    let epoch = service(&spec, "epoch");
    let scale = epoch.scale.unwrap();
    assert_eq!((epoch.replicas, epoch.public), (Some(5), false));
    assert_eq!((scale.max, scale.cpu, scale.settle), (9, 70, Duration::from_secs(60)));
    assert_eq!((epoch.container.memory, epoch.container.cpu.0), (Memory(512 << 20), 2000));
    let redis = service(&spec, "redis");
    assert_eq!(redis.container.writable, ["/tmp", "/run"]);
    assert_eq!(redis.container.user.unwrap().to_string(), "1000:1000");
    assert_eq!(service(&spec, "web").scale.unwrap().max, 3);
    let env = |name: &str| environment.env_of(&name.parse().unwrap()).into_iter().collect::<Vec<_>>();
    let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    assert_eq!(env("epoch"), pairs(&[("LIMIT", "3"), ("LOG", "debug"), ("ZONE", "a")]));
    assert_eq!(env("web"), pairs(&[("LOG", "info"), ("ZONE", "a")]));
    // Everything else is as it was.
    let mut untouched = own_spec();
    assert_eq!(service(&spec, "shortener"), service(&untouched, "shortener"));
    untouched.in_environment(&laid("target = 'host'\n", &[]).unwrap().1, true).unwrap();
    assert_eq!(untouched, own_spec());
}

#[test]
fn each_remembers_its_origin() {
    let (_, environment) = laid("target = 'host'\n[services.epoch]\npublic = false\n", &[]).unwrap();
    let setting = environment.origins.iter().find(|setting| setting.key == "services.epoch.public").unwrap();
    assert_eq!(format!("{:?}", setting.origin), r#"File { path: "deploy/environments/try.toml", line: 3 }"#);
}

#[test]
fn what_fits_no_service_is_said_with_its_place() {
    for (text, sets, expected) in [
        (
            "target = 'host'\n[services.epohc]\npublic = true",
            &[][..],
            "try.toml:3: `services.epohc.public`: unknown service `epohc`; did you mean `epoch`?",
        ),
        ("target = 'host'\n[services.epoch]\nport = 1", &[], "try.toml:3: unknown key `port` in `services.epoch`"),
        (
            "target = 'host'\n[services.epoch]\nreplicas = 3",
            &[],
            "try.toml:3: `services.epoch.replicas`: does nothing on target `host`; it is for `kubernetes`, `eks`",
        ),
        (
            "target = 'kubernetes'\n[services.epoch]\nreplicas = 0",
            &[],
            "try.toml:3: `services.epoch.replicas`: `0` is not a number from 1 to 100",
        ),
        (
            "target = 'kubernetes'\n[services.epoch.container]\nmemory = 'lots'",
            &[],
            "try.toml:3: `services.epoch.container.memory`: `lots` is not an amount of memory",
        ),
        (
            "target = 'kubernetes'\n[services.epoch.container]\nuser = '1'",
            &[],
            "try.toml:3: `services.epoch.container.user`: not for a crate",
        ),
        (
            "target = 'kubernetes'\n[services.web.scale]\ncpu = 50",
            &[],
            "try.toml:3: `services.web.scale.cpu`: the service does not grow; set `scale.max`, too",
        ),
        (
            "target = 'host'\n[services.epoch.env]\nPORT = 1",
            &[],
            "try.toml:3: `services.epoch.env.PORT`: set by the target",
        ),
        ("target = 'host'", &["services.epoch.port=1"], "`--set services.epoch.port`: unknown key `port`"),
        ("target = 'host'", &["services.epoch=1"], "`--set services.epoch`: expected `services.NAME.KEY`"),
        ("target = 'host'", &["services.no.public=true"], "`--set services.no.public`: unknown service `no`"),
    ] {
        let said = said(text, sets);
        assert!(said.starts_with(expected), "{said}");
    }
}

#[test]
fn name_servers_are_named_in_a_list() {
    let (_, environment) = laid("target = 'kubernetes'\ndns = ['a/b=c:5353', '10.0.0.10/32']", &[]).unwrap();
    let names: Vec<String> = environment.cluster.dns.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["a/b=c:5353", "10.0.0.10/32"]);
    let wrong = said("target = 'kubernetes'\ndns = 'coredns'", &[]);
    assert!(wrong.starts_with("try.toml:2: `dns`: `coredns` is no name server such as `openshift-dns/"), "{wrong}");
}

#[test]
fn pull_secrets_are_named_in_a_list_or_between_commas() {
    for text in ["pull_secrets = ['regcred', 'ci/ghcr.io']", "pull_secrets = 'regcred, ci/ghcr.io'"] {
        let (_, environment) = laid(&format!("target = 'kubernetes'\n{text}"), &[]).unwrap();
        let names: Vec<String> = environment.cluster.pull_secrets.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["default/regcred", "ci/ghcr.io"]);
    }
    let wrong = said("target = 'kubernetes'\npull_secrets = ['Reg_Cred']", &[]);
    assert_eq!(
        wrong,
        "try.toml:2: `pull_secrets`: `Reg_Cred` is not the name of a Secret such as `regcred` or `NAMESPACE/regcred`"
    );
    let elsewhere = said("target = 'host'\npull_secrets = 'regcred'", &[]);
    assert!(elsewhere.contains("does nothing on target `host`; it is for `kubernetes`, `eks`"), "{elsewhere}");
}
