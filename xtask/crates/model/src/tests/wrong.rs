//! What is said about wrong files, word for word.

use super::Root;
use crate::system::TargetKind;
use crate::{environment, environment_names, load};
use std::fs;

const EPOCH: &str = "\
description = 'time'
[services.epoch]
crate = 'epoch'
port = 1337
public = true
";

/// A root with one system `epoch`, and one image `redis`.
fn root(epoch: &str) -> Root {
    let root = Root::new();
    root.write("deploy/images.toml", "redis = 'docker.io/library/redis:7.4'\n");
    root.write("deploy/systems/epoch.toml", epoch);
    root
}

/// What is wrong with the system `epoch`, one error a line, without the path of its file.
fn said_about(epoch: &str) -> String {
    let errors = load(root(epoch).path()).unwrap_err();
    assert!(!errors.is_usage());
    errors.to_string().replace("deploy/systems/", "")
}

/// What is wrong with one case: the lines before its first `>`, after the smallest right system.
struct Case {
    what: String,
    text: String,
    expected: String,
}

fn cases() -> Vec<Case> {
    let blocks = include_str!("wrong_systems.txt").split("\n# ").skip(1);
    let case = |block: &str| {
        let (what, rest) = block.split_once('\n').unwrap();
        let (text, expected) = rest.split_once("\n> ").unwrap();
        Case {
            what: what.to_owned(),
            text: format!("{EPOCH}{text}\n"),
            expected: expected.trim_end().replace("\n> ", "\n"),
        }
    };
    blocks.map(case).collect()
}

#[test]
fn what_is_wrong_with_a_system_is_said_with_its_place() {
    assert!(cases().len() > 40);
    for case in cases() {
        assert_eq!(said_about(&case.text), case.expected, "{}", case.what);
    }
}

#[test]
fn a_cycle_is_named() {
    let chain = |name: &str, need: &str| {
        format!("[services.{name}]\ncrate = 'epoch'\nport = 1{name_len}\nneeds = ['{need}']\n", name_len = name.len())
    };
    let text = format!("description = 'x'\n{}{}{}", chain("a", "bb"), chain("bb", "ccc"), chain("ccc", "bb"));
    assert_eq!(said_about(&text), "epoch.toml:9: `services.bb.needs[0]`: a cycle of needs: `bb` → `ccc` → `bb`");
}

#[test]
fn a_port_that_two_services_declare_is_named_with_both_places_where_each_has_to_have_its_own() {
    let root = root(EPOCH);
    root.write(
        "deploy/systems/third.toml",
        "description = 'x'\n[services.shortener]\ncrate = 'shortener'\nport = 8000\nhost_port = 1337\n",
    );
    let spec = load(root.path()).unwrap();
    let clash = "deploy/systems/third.toml:5: `services.shortener.host_port`: port 1337 is that of `epoch` too \
                 (deploy/systems/epoch.toml:4); give one of them a `host_port` of its own";
    let named = |name: &str| [name.parse().unwrap()];
    assert_eq!(spec.check_ports(TargetKind::Host, &[]).unwrap_err().to_string(), clash);
    assert_eq!(spec.check_ports(TargetKind::Host, &named("epoch")).unwrap_err().to_string(), clash);
    spec.check_ports(TargetKind::Host, &named("elsewhere")).unwrap();
    // In a container it is not published.
    spec.check_ports(TargetKind::Containers, &[]).unwrap();
    spec.check_ports(TargetKind::Kubernetes, &[]).unwrap();
}

#[test]
fn a_port_that_no_machine_shares_is_no_clash() {
    let root = root(EPOCH);
    root.write(
        "deploy/systems/other.toml",
        "description = 'x'\n[services.a]\ncrate = 'epoch'\nport = 1337\ntargets = ['kubernetes', 'eks']\n",
    );
    load(root.path()).unwrap().check_ports(TargetKind::Host, &[]).unwrap();
}

#[test]
fn files_that_cannot_be_parsed_are_named_with_the_line() {
    let root = root("description = 'x\n\n[services\n");
    root.write("deploy/images.toml", "a = 'docker.io/a:1'\na = 'docker.io/a:2'\nb = 'b:1'");
    root.write("deploy/systems/bytes.toml", b"\n\n\xff\n");
    root.write("deploy/systems/Upper.toml", EPOCH);
    root.write("deploy/systems/large.toml", " ".repeat(1024 * 1024 + 1));
    fs::create_dir(root.path().join("deploy/systems/folder.toml")).unwrap();
    assert_eq!(
        load(root.path()).unwrap_err().to_string(),
        "deploy/images.toml:2: not TOML: duplicate key\n\
         deploy/systems/Upper.toml: `Upper` is not a name: 1 to 40 lower-case letters, digits and inner hyphens\n\
         deploy/systems/bytes.toml:3: not UTF-8 from here\n\
         deploy/systems/epoch.toml:1: not TOML: invalid literal string, expected `'`\n\
         deploy/systems/epoch.toml:3: not TOML: unclosed table, expected `]`\n\
         deploy/systems/folder.toml: cannot be read: is a folder\n\
         deploy/systems/large.toml: cannot be read: is larger than 1 MiB"
    );
}

#[test]
fn a_root_without_a_spec_says_what_is_not_there() {
    let root = Root::new();
    fs::remove_dir_all(root.path().join("deploy")).unwrap();
    assert_eq!(
        load(root.path()).unwrap_err().to_string(),
        "deploy/systems: cannot be read: No such file or directory (os error 2)"
    );
    let errors = environment(root.path(), "local", &[]).unwrap_err();
    assert!(!errors.is_usage());
    assert_eq!(errors.to_string(), "deploy/environments: cannot be read: No such file or directory (os error 2)");
}

/// What is said when `local` has this text and these flags.
fn said_about_environment(text: &str, name: &str, sets: &[&str]) -> (String, bool) {
    let root = Root::new();
    root.write("deploy/environments/local.toml", text);
    root.write("deploy/environments/cluster.toml", "\ntarget = 'kubernetes'\n");
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    let errors = environment(root.path(), name, &sets).unwrap_err();
    let text = errors.to_string().replace("deploy/environments/", "");
    (text, errors.is_usage())
}

#[test]
fn a_wrong_environment_file_is_said_with_its_place() {
    for (text, expected) in [
        ("", "local.toml:1: missing key `target`; valid values: `host`, `containers`, `kubernetes`, `eks`"),
        (
            "target = 'hots'",
            "local.toml:1: `target`: unknown value `hots`; did you mean `host`? valid values: `host`, `containers`, \
             `kubernetes`, `eks`",
        ),
        (
            "target = ['host']",
            "local.toml:1: `target`: expected a string, a number or a boolean, found a list\n\
                               local.toml:1: missing key `target`; valid values: `host`, `containers`, `kubernetes`, `eks`",
        ),
        (
            "target = 'host'\ncontext = 'kind'\nreplicas = 3",
            "local.toml:2: `context`: does nothing on target `host`; it is for `kubernetes`\n\
             local.toml:3: `replicas`: does nothing on target `host`; it is for `kubernetes`, `eks`",
        ),
        (
            "target = 'host'\nports = 'fre'\nbind = 'localhost'\ndeployment_id = 'A'",
            "local.toml:2: `ports`: unknown value `fre`; did you mean `free`? valid values: `prefer`, `declared`, `free`\n\
             local.toml:3: `bind`: `localhost` is not an IP address such as `127.0.0.1`\n\
             local.toml:4: `deployment_id`: `A` is not a name: 1 to 40 lower-case letters, digits and inner hyphens",
        ),
        (
            "target = 'containers'\nengine = 'dokcer'\nregistry = 'Shop'\nplatforms = 'linux/arm'\ncontext = 'kind'",
            "local.toml:2: `engine`: unknown value `dokcer`; did you mean `docker`? valid values: `any`, `docker`, \
             `podman`\n\
             local.toml:3: `registry`: `Shop` is not a registry such as `registry.example.com/shop`\n\
             local.toml:4: `platforms`: `linux/arm` is not a platform; valid values: `linux/amd64`, `linux/arm64`\n\
             local.toml:5: `context`: does nothing on target `containers`; it is for `kubernetes`",
        ),
        (
            "target = 'containers'\nplatforms = ['linux/amd64']",
            "local.toml:2: `platforms`: expected a string, a number or a boolean, found a list",
        ),
        (
            "target = 'host'\n[env]\nPORT = '1'\n'a b' = '1'\nC = []",
            "local.toml:3: `env.PORT`: set by the target, which knows where the service listens\n\
             local.toml:4: `env.\"a b\"`: not the name of a variable: letters, digits, `_`, `.` and `-`, the first a letter or `_`\n\
             local.toml:5: `env.C`: expected a string, a number or a boolean, found a list",
        ),
    ] {
        assert_eq!(said_about_environment(text, "local", &[]), (expected.to_owned(), false));
    }
    let unknown = said_about_environment("target = 'host'\nport = 1", "local", &[]);
    let start = "local.toml:2: unknown key `port`; did you mean `ports`? valid keys: `access_cidrs`, `account`,";
    assert!(unknown.0.starts_with(start), "{unknown:?}");
}

#[test]
fn a_wrong_setting_for_aws_is_said_with_its_line() {
    for (text, expected) in [
        (
            "account = 123\nregion = 'eu'\nhosted_zone = 'example.com'\ncompute = 'node'",
            "local.toml:2: `account`: `123` is not the twelve digits of an account\n\
             local.toml:3: `region`: `eu` is not a region such as `eu-central-1`\n\
             local.toml:4: `hosted_zone`: `example.com` is not the ID of a hosted zone such as `Z0123456789ABCDEFGHIJ`\n\
             local.toml:5: `compute`: unknown value `node`; did you mean `nodes`? valid values: `nodes`, `auto`",
        ),
        (
            "profile = '--debug'\naccess_cidrs = '10.0.0.0/8, here'\ncertificate_arn = 'x'\n\
             controller_repository = 'charts'",
            "local.toml:2: `profile`: `--debug` is not a name\n\
             local.toml:3: `access_cidrs`: `here` is not a network such as `203.0.113.0/24`\n\
             local.toml:4: `certificate_arn`: `x` is not the ARN of a certificate in ACM\n\
             local.toml:5: `controller_repository`: `charts` is not a chart repository such as \
             `https://aws.github.io/eks-charts` or `oci://HOST/PATH`",
        ),
        (
            "access_cidrs = '0.0.0.0/0'",
            "local.toml:2: `access_cidrs`: `0.0.0.0/0` is the whole internet: name the networks that may reach the \
             cluster's API",
        ),
        (
            "context = 'kind'\nports = 'free'",
            "local.toml:2: `context`: does nothing on target `eks`; it is for `kubernetes`\n\
             local.toml:3: `ports`: does nothing on target `eks`; it is for `host`, `containers`",
        ),
        (
            "deployment_id = 'a-name-that-is-too-long-for-a-role'",
            "local.toml:2: `deployment_id`: `a-name-that-is-too-long-for-a-role` must start with a letter and have at \
             most 24 characters on AWS",
        ),
        (
            "account = '123456789012'\nregion = 'eu-west-1'\n\
             certificate_arn = 'arn:aws:acm:us-east-1:210987654321:certificate/a'",
            "local.toml:4: `certificate_arn`: is in account 210987654321, and `account` is 123456789012\n\
             local.toml:4: `certificate_arn`: is in us-east-1, and `region` is eu-west-1: a load balancer needs a \
             certificate of its own region",
        ),
    ] {
        let said = said_about_environment(&format!("target = 'eks'\n{text}"), "local", &[]);
        assert_eq!(said, (expected.to_owned(), false));
    }
}

#[test]
fn variables_of_terraform_do_nothing_where_there_is_no_terraform() {
    let text = "target = 'host'\n[terraform]\nbudget_usd = 5";
    let expected = "local.toml:3: `terraform.budget_usd`: does nothing on target `host`; it is for `eks`";
    assert_eq!(said_about_environment(text, "local", &[]), (expected.to_owned(), false));
    let flag = "`--set terraform.budget_usd`: does nothing on target `host`; it is for `eks`";
    let sets = ["terraform.budget_usd=5"];
    assert_eq!(said_about_environment("target = 'host'", "local", &sets), (flag.to_owned(), true));
    let named = said_about_environment("target = 'eks'\n[terraform]\n'a b' = 1", "local", &[]);
    assert!(named.0.starts_with("local.toml:3: `terraform.\"a b\"`: not the name of a variable"), "{named:?}");
}

#[test]
fn a_wrong_flag_is_a_usage_error() {
    for (name, set, expected) in [
        (
            "locla",
            "",
            "`--env locla`: unknown environment `locla`; did you mean `local`? environments: `cluster`, `local`",
        ),
        ("local.local", "", "`--env local.local`: not an environment; its settings are part of `local`"),
        ("../local", "", "`--env ../local`: unknown environment `../local`; environments: `cluster`, `local`"),
        ("local", "ports", "`--set ports`: expected `KEY=VALUE`"),
        (
            "local",
            "ports=fre",
            "`--set ports`: unknown value `fre`; did you mean `free`? valid values: `prefer`, `declared`, `free`",
        ),
        ("local", "env.PORT=1", "`--set env.PORT`: set by the target, which knows where the service listens"),
        ("local", "env.A=\0", "`--set env.A`: holds a NUL character"),
        ("local", "region=eu-west-1", "`--set region`: does nothing on target `host`; it is for `eks`"),
        ("local", "engine=", "`--set engine`: unknown value ``; valid values: `any`, `docker`, `podman`"),
        (
            "local",
            "platforms=linux/amd64,windows",
            "`--set platforms`: `windows` is not a platform; valid values: `linux/amd64`, `linux/arm64`",
        ),
    ] {
        let sets: &[&str] = if set.is_empty() { &[] } else { &[set] };
        let said = said_about_environment("target = 'host'", name, sets);
        assert_eq!(said, (expected.to_owned(), true));
    }
    let unknown = said_about_environment("target = 'host'", "local", &["prots=free"]);
    let start = "`--set prots`: unknown setting `prots`; did you mean `ports`? settings: `target`,";
    assert!(unknown.0.starts_with(start) && unknown.1, "{unknown:?}");
}

#[test]
fn a_broken_file_is_no_usage_error_though_a_flag_is_wrong_too() {
    let (text, is_usage) = said_about_environment("target = 'host'\nx = 1", "local", &["y=1"]);
    assert_eq!((text.lines().count(), is_usage), (2, false));
}

#[test]
fn an_environment_without_a_name_is_named_when_all_are_listed() {
    let root = Root::new();
    root.write("deploy/environments/My Laptop.toml", "");
    assert_eq!(
        environment_names(root.path()).unwrap_err().to_string(),
        "deploy/environments/My Laptop.toml: `My Laptop` is not a name: 1 to 40 lower-case letters, digits and inner \
         hyphens"
    );
}
