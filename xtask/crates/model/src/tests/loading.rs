//! What right files are read as.

use super::{Root, repository};
use crate::aws::Compute;
use crate::container::{Container, EngineKind, Platform, Registry};
use crate::environment::{Origin, Ports};
use crate::name::{EnvironmentName, ServiceName};
use crate::smoke;
use crate::smoke::Method;
use crate::system::{Presence, Probe, Service, Source, System, TargetKind, Template};
use crate::{Spec, environment, environment_names, load};
use serde_json::json;
use std::convert::Infallible;
use std::time::Duration;

pub(super) fn own_spec() -> Spec {
    load(Root::of_repository().path()).unwrap()
}

fn system<'s>(spec: &'s Spec, name: &str) -> &'s System {
    let found = spec.systems.iter().find(|system| system.name.as_str() == name);
    found.unwrap()
}

pub(super) fn service<'s>(spec: &'s Spec, name: &str) -> &'s Service {
    let mut services = spec.systems.iter().flat_map(|system| &system.services);
    services.find(|service| service.name.as_str() == name).unwrap()
}

fn names(system: &System) -> Vec<&str> {
    let names = system.services.iter().map(|service| service.name.as_str());
    names.collect()
}

#[test]
fn this_repository_is_in_order() {
    load(&repository()).unwrap();
    for name in environment_names(&repository()).unwrap() {
        environment(&repository(), name.as_str(), &[]).unwrap();
    }
}

#[test]
fn services_come_after_those_they_need() {
    let spec = own_spec();
    assert_eq!(names(system(&spec, "shortener")), ["redis", "shortener"]);
    assert_eq!(names(system(&spec, "invoices")), ["ledger", "payment-provider", "invoice-app"]);
    let systems: Vec<&str> = spec.systems.iter().map(|system| system.name.as_str()).collect();
    assert_eq!(systems, ["epoch", "invoices", "messages", "shortener", "web"]);
}

#[test]
fn a_crate_needs_little_to_be_said() {
    let spec = own_spec();
    let epoch = service(&spec, "epoch");
    assert_eq!(epoch.source, Source::Crate("epoch".to_owned()));
    assert_eq!((epoch.port, epoch.host_port, epoch.public), (Some(1337), Some(1337), true));
    assert_eq!(epoch.presence, Presence::Always);
    assert_eq!(epoch.targets, TargetKind::ALL.into());
    let http = |path: &str| Probe::Http { path: path.to_owned() };
    assert_eq!((&epoch.ready, &epoch.live), (&http("/readyz"), &http("/livez")));
    let text = epoch.provides["url"].render(|reference| Ok::<_, Infallible>(format!("{reference:?}")));
    assert_eq!(text, Ok("http://Host:Port".to_owned()));
}

#[test]
fn a_crate_is_known_by_its_package_whatever_its_folder_and_its_binary_are_called() {
    let root = Root::of_repository();
    root.write("app/elsewhere/Cargo.toml", "package.name = 'tick'\n[[bin]]\nname = 'tickd'\npath = 'tick.rs'\n");
    root.write("deploy/systems/tick.toml", "description = 'ticks'\n[services.tick]\ncrate = 'tick'\nport = 4321\n");
    let spec = load(root.path()).unwrap();
    assert_eq!(service(&spec, "tick").source, Source::Crate("tick".to_owned()));
    // A library is no service, and neither is a folder.
    for name in ["kit", "elsewhere"] {
        root.write(
            "deploy/systems/tick.toml",
            format!("description = 'ticks'\n[services.tick]\ncrate = '{name}'\nport = 4321\n"),
        );
        let errors = load(root.path()).unwrap_err().to_string();
        assert!(errors.contains(&format!("`{name}`")) && errors.contains("`tick`"), "{errors}");
    }
}

#[test]
fn the_commit_is_told_where_it_is_asked_for() {
    let root = Root::of_repository();
    std::fs::create_dir_all(root.path().join(".git")).unwrap();
    root.write("a/Dockerfile", "FROM x");
    let head = "description = 'x'\n[services.a]\ndockerfile = 'a'\nport = 1\nready = { tcp = {} }\n";
    let rest =
        "build = { args = { A = 'at-${git.commit}', B = '${C}' } }\nenv = { V = 'v-${git.commit}$$', P = '${port}' }\n";
    root.write("deploy/systems/a.toml", format!("{head}{rest}"));
    let mut spec = load(root.path()).unwrap();
    let told: Vec<_> = spec.told_commit().iter().map(|(_, name, built)| (name.to_string(), *built)).collect();
    assert_eq!(told, [("a".to_owned(), true)]);
    spec.tell_commit("0123-dirty");
    assert_eq!(spec.told_commit(), []);
    let a = service(&spec, "a");
    let Source::Dockerfile { build, .. } = &a.source else { panic!("{:?}", a.source) };
    assert_eq!((build.args["A"].as_str(), build.args["B"].as_str()), ("at-0123-dirty", "${C}"));
    assert_eq!((a.env["V"].to_string().as_str(), a.env["P"].to_string().as_str()), ("v-0123-dirty$$", "${port}"));
}

#[test]
fn an_image_says_what_a_crate_need_not() {
    let spec = own_spec();
    let redis = service(&spec, "redis");
    let Source::Image { image, host: Some(host) } = &redis.source else {
        panic!("{:?}", redis.source);
    };
    assert_eq!(spec.images[image].to_string(), "docker.io/library/redis:7.4");
    assert_eq!(host.programs, ["redis-server", "valkey-server"]);
    assert_eq!(redis.presence, Presence::WhenAvailable);
    assert_eq!(redis.live, redis.ready);
    let emulator = service(&spec, "emulator");
    assert_eq!(emulator.ready_within, Duration::from_secs(60));
    assert!(!emulator.targets.contains(&TargetKind::Eks));
    assert!(matches!(service(&spec, "web").source, Source::Image { host: None, .. }));
}

#[test]
fn a_container_is_given_what_its_service_says_and_nothing_else() {
    let spec = own_spec();
    let words = |words: &[&str]| -> Vec<String> { words.iter().map(|word| (*word).to_owned()).collect() };
    let limits = |memory: &str, cpu: &str| (memory.parse().unwrap(), cpu.parse().unwrap());
    let (memory, cpu) = limits("64Mi", "500m");
    assert_eq!(service(&spec, "epoch").container, Container { memory, cpu, ..Container::default() });
    let (memory, cpu) = limits("128Mi", "500m");
    let redis = Container {
        memory,
        cpu,
        user: "999".parse().ok(),
        command: words(&["redis-server"]),
        health: words(&["redis-cli", "ping"]),
        ..Container::default()
    };
    assert_eq!((&service(&spec, "redis").container, redis.data.as_str()), (&redis, "/data"));
    let web = &service(&spec, "web").container;
    assert_eq!((web.low_ports, &web.writable), (false, &words(&["/tmp"])));
}

#[test]
fn an_image_may_stand_aside_on_host_for_a_command() {
    let root = Root::of_repository();
    let path = "deploy/systems/web.toml";
    let own = std::fs::read_to_string(root.path().join(path)).unwrap();
    let host = "[services.web.host]\nrun = ['./serve', '--at', '${port}']\ndir = './app//kit/'\nprepare = ['npm', 'ci']\n\
                reads = ['src/lib.rs']\n";
    root.write(path, format!("{own}\n{host}"));
    let run = service(&load(root.path()).unwrap(), "web").run.clone().unwrap();
    let text = |template: &Template| template.to_string();
    assert_eq!((run.program.as_str(), run.dir.as_str()), ("./serve", "app/kit"));
    assert_eq!(run.args.iter().map(text).collect::<Vec<_>>(), ["--at", "${port}"]);
    assert_eq!((run.prepare, run.reads), (vec!["npm".to_owned(), "ci".to_owned()], vec!["src/lib.rs".to_owned()]));
}

#[test]
fn an_image_may_open_low_ports() {
    let root = Root::of_repository();
    let path = "deploy/systems/web.toml";
    let own = std::fs::read_to_string(root.path().join(path)).unwrap();
    root.write(path, own.replace("[services.web.container]\n", "[services.web.container]\nlow_ports = true\n"));
    assert!(service(&load(root.path()).unwrap(), "web").container.low_ports);
}

#[test]
fn an_image_may_be_asked_elsewhere_whether_it_is_alive() {
    let spec = own_spec();
    let web = service(&spec, "web");
    let http = |path: &str| Probe::Http { path: path.to_owned() };
    assert_eq!((&web.ready, &web.live), (&http("/"), &http("/hello")));
}

#[test]
fn every_image_that_runs_in_a_container_has_a_numeric_user() {
    for service in own_spec().systems.iter().flat_map(|system| &system.services) {
        let is_image = matches!(service.source, Source::Image { .. });
        assert_eq!(service.container.user.is_some(), is_image, "{}", service.name);
    }
}

#[test]
fn a_container_needs_nothing_to_be_said() {
    let root = Root::of_repository();
    root.write("deploy/systems/epoch.toml", "description = 'x'\n[services.epoch]\ncrate = 'epoch'\nport = 1337\n");
    let spec = load(root.path()).unwrap();
    assert_eq!(service(&spec, "epoch").container, Container::default());
}

#[test]
fn a_smoke_check_is_read_with_its_defaults() {
    let spec = own_spec();
    let shortener = system(&spec, "shortener");
    let check = shortener.smoke.iter().find(|check| !check.capture.is_empty()).unwrap();
    assert_eq!((check.method, check.path.as_str()), (Method::Post, "/api/urls"));
    assert_eq!(check.service, "shortener".parse::<ServiceName>().unwrap());
    assert_eq!(check.body, Some(json!({"url": "https://example.com/smoke/${random}"})));
    assert_eq!(check.expect.status, Some(201));
    assert_eq!(check.within, Duration::ZERO);
    let denied = &system(&spec, "invoices").denied;
    assert_eq!(denied[0].from, smoke::Origin::Outside);
    assert_eq!(denied[1].from, smoke::Origin::OtherServices);
}

#[test]
fn settings_are_laid_over_each_other_and_remember_their_origin() {
    let root = Root::new();
    root.write(
        "deploy/environments/local.toml",
        "target = 'host'\nports = 'declared'\n[env]\nA = 'file'\nB = 'file'\n",
    );
    root.write("deploy/environments/local.local.toml", "\nports = 'free'\nenv.B = 'local'\n");
    let sets = ["bind=::1", "env.C=a=b", "env.C=flag"].map(str::to_owned);
    let environment = environment(root.path(), "local", &sets).unwrap();
    assert_eq!(environment.ports, Ports::Free);
    assert_eq!(environment.bind.to_string(), "::1");
    assert_eq!(environment.deployment_id.as_str(), "local");
    let pairs = [("A", "file"), ("B", "local"), ("C", "flag")];
    assert_eq!(environment.env, pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    let origins: Vec<String> = environment
        .origins
        .iter()
        .map(|setting| {
            let origin = match &setting.origin {
                Origin::Default => "default".to_owned(),
                Origin::File { path, line } => format!("{path}:{line}"),
                Origin::Flag => "flag".to_owned(),
            };
            format!("{} = {} ({origin})", setting.key, setting.value)
        })
        .collect();
    assert_eq!(
        origins,
        [
            "bind = ::1 (flag)",
            "build = auto (default)",
            "deployment_id = local (default)",
            "engine = any (default)",
            "env.A = file (deploy/environments/local.toml:4)",
            "env.B = local (deploy/environments/local.local.toml:3)",
            "env.C = flag (flag)",
            "platforms =  (default)",
            "ports = free (deploy/environments/local.local.toml:2)",
            "registry =  (default)",
            "target = host (deploy/environments/local.toml:1)",
        ]
    );
}

#[test]
fn containers_run_by_whatever_engine_answers_unless_one_is_named() {
    let root = Root::of_repository();
    let read = |sets: &[&str]| {
        let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
        environment(root.path(), "containers", &sets).unwrap()
    };
    let plain = read(&[]);
    assert_eq!((plain.target, plain.ports), (TargetKind::Containers, Ports::Prefer));
    assert_eq!((plain.engine, plain.registry, plain.platforms), (None, None, Vec::new()));
    root.write("deploy/environments/containers.local.toml", "engine = 'docker'\nregistry = 'localhost:5000/shop'\n");
    let local = read(&["platforms=linux/arm64, linux/amd64,linux/arm64"]);
    assert_eq!(local.engine, Some(EngineKind::Docker));
    assert_eq!(local.registry.as_ref().map(Registry::as_str), Some("localhost:5000/shop"));
    assert_eq!(local.platforms, Platform::ALL, "each once, in an order of their own");
    let flags = read(&["engine=podman", "registry=", "platforms="]);
    assert_eq!((flags.engine, flags.registry, flags.platforms), (Some(EngineKind::Podman), None, Vec::new()));
}

#[test]
fn what_an_environment_says_of_aws_is_read() {
    let root = Root::new();
    let text = "target = 'eks'\naccount = '123456789012'\nregion = 'eu-central-1'\ncompute = 'auto'\n\
                access_cidrs = '203.0.113.0/24, 10.0.0.0/8'\n[terraform]\nbudget_usd = 50\nalert_emails = '[\"a@b\"]'\n";
    root.write("deploy/environments/aws.toml", text);
    root.write("deploy/environments/aws.local.toml", "profile = 'work'\n");
    let aws = environment(root.path(), "aws", &["region=eu-west-1".to_owned()]).unwrap().aws.unwrap();
    assert_eq!(aws.account.as_ref().map(ToString::to_string).as_deref(), Some("123456789012"));
    assert_eq!((aws.region.as_str(), aws.profile.as_deref()), ("eu-west-1", Some("work")));
    assert_eq!((aws.compute, aws.hosted_zone, aws.certificate_arn), (Compute::Auto, None, None));
    assert_eq!(aws.controller_repository.as_str(), "https://aws.github.io/eks-charts");
    assert_eq!(aws.access_cidrs.iter().map(ToString::to_string).collect::<Vec<_>>(), ["203.0.113.0/24", "10.0.0.0/8"]);
    let variables: Vec<_> = aws.terraform.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(variables, ["alert_emails=[\"a@b\"]", "budget_usd=50"]);
    // Elsewhere there is no account.
    root.write("deploy/environments/here.toml", "target = 'host'\n");
    assert_eq!(environment(root.path(), "here", &[]).unwrap().aws, None);
}

#[test]
fn local_settings_and_hidden_files_are_no_environments() {
    let root = Root::new();
    for file in ["b", "a", "a.local", ".#a"] {
        root.write(&format!("deploy/environments/{file}.toml"), "target = 'host'");
    }
    let names = environment_names(root.path()).unwrap();
    assert_eq!(names.iter().map(EnvironmentName::as_str).collect::<Vec<_>>(), ["a", "b"]);
}
