//! What engines really print, without what nobody reads.

use super::*;

const ID: &str = "85792c961a8b500260ee9c0864d634871bec47eebb7889a4f7d40a486d2f3eee";

const PODMAN_IMAGE: &str = r#"[{"Id": "85792c961a8b500260ee9c0864d634871bec47eebb7889a4f7d40a486d2f3eee",
  "Digest": "sha256:ff6c456f97f6f47bef509ba03096d967772580285e949a3b3995860f137cb083",
  "RepoTags": ["docker.io/library/redis:7.4"],
  "RepoDigests": ["docker.io/library/redis@sha256:0044839a7632dfdca9c5dee9b03cc8e15f6dbebe9528bb8395c0257f1e888382"],
  "Config": {"User": "999", "ExposedPorts": {"6379/tcp": {}, "53/udp": {}}, "Env": ["PATH=/bin"],
    "Cmd": ["redis-server"], "Labels": {"io.buildah.version": "1.28.2"}},
  "Architecture": "amd64", "Os": "linux", "Size": 2991130}]"#;

const DOCKER_IMAGE: &str = r#"[{"Id": "sha256:85792c961a8b500260ee9c0864d634871bec47eebb7889a4f7d40a486d2f3eee",
  "RepoTags": ["redis:7.4"], "RepoDigests": [],
  "Config": {"User": "999", "ExposedPorts": {"6379/tcp": {}}, "Cmd": ["redis-server"], "Entrypoint": null,
    "Labels": null},
  "Architecture": "s390x", "Os": "linux", "Size": 2974545}]"#;

#[test]
fn an_image_is_read_from_both() {
    let podman = Image::parse(PODMAN_IMAGE).remove(0);
    let docker = Image::parse(DOCKER_IMAGE).remove(0);
    assert_eq!((podman.id.as_str(), &docker.id), (format!("sha256:{ID}").as_str(), &podman.id));
    assert_eq!((podman.platform, podman.built_for.as_str()), (Some(Platform::LinuxAmd64), "linux/amd64"));
    assert_eq!((docker.platform, docker.built_for.as_str()), (None, "linux/s390x"));
    assert_eq!((podman.user.as_str(), podman.size), ("999", 2_991_130));
    assert_eq!((&podman.command, &podman.entrypoint), (&vec!["redis-server".to_owned()], &Vec::new()));
    assert_eq!((docker.entrypoint.len(), docker.labels.len()), (0, 0));
    assert_eq!(podman.labels["io.buildah.version"], "1.28.2");
    assert_eq!(podman.ports, BTreeSet::from([6379]));
    assert!(podman.is_known_as(&podman.digests[0]) && !docker.is_known_as(&podman.digests[0]));
    assert_eq!(docker.tags, ["redis:7.4"]);
}

/// One that runs, one whose command does not exist.
const PODMAN_CONTAINERS: &str = r#"[
  {"Id": "5a50", "Name": "shop-1", "Image": "85792c961a8b500260ee9c0864d634871bec47eebb7889a4f7d40a486d2f3eee",
   "State": {"Status": "running", "Running": true, "OOMKilled": false, "Pid": 14932, "ExitCode": 0, "Error": ""},
   "Config": {"Labels": {"slipway": "try"}, "Entrypoint": ""},
   "NetworkSettings": {"Ports": {"80/tcp": [{"HostIp": "", "HostPort": "37025"}], "81/tcp": null},
     "Networks": {"net": {"Gateway": "10.89.0.1", "IPAddress": "10.89.0.2", "Aliases": ["5a50"]}}}},
  {"Id": "d66d", "Name": "shop-2", "Image": "85792c961a8b500260ee9c0864d634871bec47eebb7889a4f7d40a486d2f3eee",
   "State": {"Status": "created", "Running": false, "OOMKilled": false, "Pid": 0, "ExitCode": 0, "Error": ""},
   "Config": {"Labels": null},
   "NetworkSettings": {"Ports": {}, "Networks": {"net": {"Gateway": "", "IPAddress": ""}}}}]"#;

const DOCKER_CONTAINERS: &str = r#"[
  {"Id": "421e", "Name": "/shop-1",
   "Image": "sha256:85792c961a8b500260ee9c0864d634871bec47eebb7889a4f7d40a486d2f3eee",
   "State": {"Status": "running", "Running": true, "OOMKilled": false, "Pid": 15317, "ExitCode": 0, "Error": ""},
   "Config": {"Labels": {"slipway": "try"}},
   "NetworkSettings": {"Ports": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "32768"}]},
     "Networks": {"net": {"Gateway": "172.19.0.1", "IPAddress": "172.19.0.2"}}}},
  {"Id": "f3e4", "Name": "/shop-2",
   "Image": "sha256:85792c961a8b500260ee9c0864d634871bec47eebb7889a4f7d40a486d2f3eee",
   "State": {"Status": "created", "Running": false, "OOMKilled": false, "Pid": 0, "ExitCode": 127,
     "Error": "exec: \"/nope\": stat /nope: no such file or directory: unknown"},
   "Config": {"Labels": null},
   "NetworkSettings": {"Ports": {}, "Networks": {"net": {"Gateway": "", "IPAddress": ""}}}}]"#;

#[test]
fn containers_are_read_from_both() {
    for (text, address, published) in
        [(PODMAN_CONTAINERS, "10.89.0.2", "0.0.0.0:37025"), (DOCKER_CONTAINERS, "172.19.0.2", "127.0.0.1:32768")]
    {
        let containers = Container::parse(text);
        let [runs, broken] = &containers[..] else { panic!("{containers:?}") };
        assert_eq!((runs.name.as_str(), runs.running, runs.state.as_str()), ("shop-1", true, "running"));
        assert_eq!((&runs.image, runs.pid.is_some()), (&format!("sha256:{ID}"), true));
        assert_eq!(runs.addresses["net"].to_string(), address);
        assert_eq!(runs.published, BTreeMap::from([(80, vec![published.parse().unwrap()])]));
        assert_eq!(runs.labels["slipway"], "try");
        assert_eq!((broken.name.as_str(), broken.running, broken.pid), ("shop-2", false, None));
        assert!(broken.addresses.is_empty() && broken.published.is_empty() && broken.labels.is_empty());
    }
    assert_eq!(Container::parse(DOCKER_CONTAINERS)[1].exit_code, 127);
    assert!(Container::parse(DOCKER_CONTAINERS)[1].error.contains("/nope"));
}

#[test]
fn networks_and_volumes_are_read_whatever_the_case_of_their_keys() {
    let labels = BTreeMap::from([("slipway".to_owned(), "try".to_owned())]);
    let wanted = Named { name: "net".to_owned(), labels, subnet: None, internal: false, mountpoint: None };
    for text in [
        r#"[{"name": "net", "id": "2c57", "driver": "bridge", "labels": {"slipway": "try"}}]"#,
        r#"[{"Name": "net", "Id": "4e14", "Driver": "bridge", "Labels": {"slipway": "try"}}]"#,
    ] {
        assert_eq!(Named::parse(text), std::slice::from_ref(&wanted));
    }
    let bare = r#"[{"CreatedAt": "2026-01-01T00:00:00Z", "Driver": "local", "Labels": null, "Name": "data"}]"#;
    assert_eq!(Named::parse(bare)[0].labels, BTreeMap::new());
    assert_eq!(Named::parse("[]\n"), []);
    let ranged = r#"[{"name": "net", "labels": {}, "subnets": [{"subnet": "10.89.4.0/23", "gateway": "10.89.4.1"}]}]"#;
    let range = ["10.89.4.0", "10.89.5.255"].map(|address| address.parse().unwrap());
    assert_eq!(Named::parse(ranged)[0].subnet, Some(range.into()));
}

#[test]
fn a_list_has_each_entry_once() {
    assert_eq!(lines("sha256:b\nsha256:a\n\nsha256:b\n"), ["sha256:a", "sha256:b"]);
}

/// What both say for each kind of thing.
#[test]
fn what_is_not_there_is_told_from_what_failed() {
    for words in [
        "Error: inspecting object: network x: unable to find network with name or ID x: network not found",
        "Error: inspecting object: no such volume x",
        "Error: inspecting object: x: image not known",
        "Error: inspecting object: no such container x",
        "Error: no container with name or ID \"x\" found: no such container",
        "Error: no volume with name \"x\" found: no such volume",
        "Error response from daemon: network x not found\nexit status 1",
        "Error response from daemon: get x: no such volume",
        "Error response from daemon: no such image: x: No such image: x:latest",
        "Error response from daemon: No such container: x",
    ] {
        assert!(says_absent(words), "{words}");
    }
    for words in [
        "",
        "Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?",
        "Error: \"net\" has associated containers with it. Use -f to forcibly delete containers and pods: network is \
         being used",
        "Error response from daemon: conflict: unable to remove repository reference (must force)",
        "Error: route ip+net: no such network interface",
        "exec: \"podman\": executable file not found in $PATH",
    ] {
        assert!(!says_absent(words), "{words}");
    }
}

#[test]
fn an_interface_that_went_is_told_from_what_failed() {
    assert!(says_interface_gone("Error: route ip+net: no such network interface\n"));
    assert!(!says_interface_gone("Error: network name n already used: network already exists"));
}
