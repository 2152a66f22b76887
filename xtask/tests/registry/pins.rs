//! Pins that follow what registries have.

use super::place::{Door, Own, Scratch, Server, podman, step};
use engine::deployment::{Deployment, EnvironmentArgs};
use images::moved;
use images::pins::{Change, failure, update};
use model::container::Platform;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

#[test]
fn pins_are_filled_moved_and_kept() {
    let (engine, server) = (skip::unless!(podman()), skip::unless!(Server::start(Door::Open)));
    let (scratch, host) = (Scratch::new("pins"), server.host());
    let away = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let image = Own::build(&engine, &scratch, &format!("{host}/try/x:1"), Platform::LinuxAmd64);
    let (publisher, name) = (scratch.publisher(&host, None), image.name.clone());
    let digest = step(move |cx| publisher.push(cx, &engine, &name, Platform::LinuxAmd64)).value.unwrap();
    let old = format!("sha256:{}", "0".repeat(64));
    let text = |filled: &str, moved: &str| {
        format!(
            "# Ours.\nb = \"{host}/try/x:1{filled}\" # for all\n\na   =   '{host}/try/x:1{moved}'\n\
             gone = \"{away}/try/x:1\"\nnone = \"{host}/try/x:2@{old}\"\n"
        )
    };
    let file = scratch.write("deploy/images.toml", text("", &format!("@{old}")));
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    // A mirror of one's own is not what is pinned for all.
    scratch.write("deploy/images.local.toml", format!("b = \"{away}/mirror/x:1\"\n"));
    let changes = update(&scratch.ctx(), &scratch.0).unwrap();
    let words: Vec<_> = changes.iter().map(|change| (change.name.as_str(), change.word())).collect();
    assert_eq!(words, [("a", "moved"), ("b", "filled"), ("gone", "kept"), ("none", "kept")]);
    assert_eq!(changes[0].change, Change::Moved { from: old.parse().unwrap(), to: digest.clone() });
    let pinned = format!("@{digest}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text(&pinned, &pinned));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
    let fault = failure(&changes).unwrap();
    let lines: Vec<&str> = fault.cause.lines().collect();
    assert_eq!(lines[0], "these pins stay as they are:");
    assert!(lines[1].starts_with(&format!("`gone` ({away}/try/x:1): ")), "{fault}");
    assert_eq!(lines[2], format!("`none` ({host}/try/x:2@{old}): {host} has no such tag"));

    let before = std::fs::metadata(&file).unwrap().modified().unwrap();
    let changes = update(&scratch.ctx(), &scratch.0).unwrap();
    assert_eq!((changes[0].word(), changes[1].word()), ("unchanged", "unchanged"));
    assert_eq!(std::fs::metadata(&file).unwrap().modified().unwrap(), before, "nothing is written without need");
}

#[test]
fn a_tag_that_has_moved_is_noticed_and_one_that_nobody_tells_is_no_failure() {
    let (engine, server) = (skip::unless!(podman()), skip::unless!(Server::start(Door::Open)));
    let (scratch, host) = (Scratch::new("moved"), server.host());
    let away = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let image = Own::build(&engine, &scratch, &format!("{host}/try/x:1"), Platform::LinuxAmd64);
    let (publisher, name) = (scratch.publisher(&host, None), image.name.clone());
    let now = step(move |cx| publisher.push(cx, &engine, &name, Platform::LinuxAmd64)).value.unwrap();
    let old = format!("sha256:{}", "0".repeat(64));
    let pins = [
        ("here", format!("{host}/try/x:1@{now}")),
        ("gone", format!("{host}/try/x:2@{old}")),
        ("moved", format!("{host}/try/x:1@{old}")),
        ("noted", format!("{host}/try/x:1")),
        ("far", format!("{away}/try/x:1@{old}")),
        ("unused", format!("{host}/try/x:1@{old}")),
    ];
    scratch
        .write("deploy/images.toml", pins.iter().map(|(name, pin)| format!("{name} = '{pin}'\n")).collect::<String>());
    scratch.write("deploy/environments/near.toml", "target = 'containers'\n");
    let service = |(name, _): &(&str, String)| {
        format!("[services.{name}]\nimage = '{name}'\nport = 80\nready = {{ tcp = {{}} }}\ncontainer.user = '1'\n")
    };
    let services: String = pins[..5].iter().map(service).collect();
    scratch.write("deploy/systems/shop.toml", format!("description = 'A shop'\n{services}"));
    let args = EnvironmentArgs { name: "near".to_owned(), set: Vec::new() };
    let ctx = scratch.ctx();
    let deployment = Deployment::load(&ctx, &args, &[]).unwrap();
    let tags = moved::tags(&ctx, &deployment, &|_| vec![old.parse().unwrap()]);
    let told: Vec<_> = tags.moved.iter().map(|tag| (tag.image.as_str(), tag.from.as_str(), tag.to.as_str())).collect();
    assert_eq!(told, [("moved", old.as_str(), now.as_str()), ("noted", &old, now.as_str())]);
    assert_eq!(tags.unknown.len(), 1, "{tags:?}");
    assert!(tags.unknown[0].starts_with(&format!("`far` ({away}/try/x:1): ")), "{tags:?}");
}

#[test]
fn a_wrong_file_is_said_before_anybody_is_asked() {
    let scratch = Scratch::new("wrong-pins");
    scratch.write("deploy/images.toml", "a = 'redis'\n");
    let error = update(&scratch.ctx(), &scratch.0).unwrap_err().to_string();
    assert!(error.starts_with("deploy/images.toml:1: `a`: `redis` is not a pinned image"), "{error}");
}
