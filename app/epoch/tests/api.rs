//! The API of the real binary, and what the kit adds to every service.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{SystemTime, UNIX_EPOCH};

use testkit::{Running, client, get, send};

const EPOCH: &str = env!("CARGO_BIN_EXE_epoch");

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[tokio::test]
async fn every_path_tells_the_time() {
    let epoch = Running::start_ready(EPOCH, &[]).await;
    for path in ["/", "/time", "/a/b/c?d=e", "/%ff", "/health"] {
        let before = now();
        let answer = get(&epoch.url(path)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let json = answer.json();
        let told = json["epoch"].as_u64().unwrap();
        assert!((before..=now()).contains(&told));
        assert_eq!(json["The current epoch time"], told.to_string());
        assert_eq!(json.as_object().unwrap().len(), 2);
    }
    let head = send(client().head(epoch.url("/"))).await;
    assert_eq!((head.status, head.text.as_str()), (200, ""));
}

#[tokio::test]
async fn other_methods_are_refused() {
    let epoch = Running::start_ready(EPOCH, &[]).await;
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"] {
        for path in ["/", "/any/path", "/livez", "/metrics"] {
            let answer = send(client().request(method.parse().unwrap(), epoch.url(path))).await;
            assert_eq!((answer.status, answer.header("allow")), (405, "GET,HEAD"), "{method} {path}");
            assert_eq!(answer.error("error"), format!("`{method}` is not allowed on `{path}`; allowed: GET,HEAD"));
        }
    }
}

#[tokio::test]
async fn probes_and_metrics() {
    let epoch = Running::start_ready(EPOCH, &[]).await;
    assert_eq!(get(&epoch.url("/livez")).await.text, r#"{"status":"alive"}"#);
    assert_eq!(get(&epoch.url("/readyz")).await.text, r#"{"status":"ready"}"#);
    get(&epoch.url("/some/path")).await;
    send(client().request("BREW".parse().unwrap(), epoch.url("/"))).await;
    let metrics = get(&epoch.url("/metrics")).await.text;
    for line in [
        concat!(r#"build_info{service="epoch",version=""#, env!("CARGO_PKG_VERSION"), r#""} 1"#),
        r#"http_requests_total{method="GET",route="/{*path}",status="200"} 1"#,
        r#"http_requests_total{method="other",route="/",status="405"} 1"#,
        r#"http_request_duration_seconds_count{method="GET",route="/livez"} 1"#,
        "http_requests_in_flight 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "no `{line}` in:\n{metrics}");
    }
}

#[tokio::test]
async fn the_documentation_needs_nobody_else() {
    let epoch = Running::start_ready(EPOCH, &[]).await;
    assert_eq!(get(&epoch.url("/docs")).await.header("location"), "/docs/");
    let page = get(&epoch.url("/docs/")).await;
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(!page.text.contains("//"), "it links elsewhere: {}", page.text);
    let links = page.text.split('"').filter(|text| text.ends_with(".css") || text.ends_with(".js"));
    let links: Vec<&str> = links.collect();
    assert!(links.len() >= 4, "{links:?}");
    for link in links {
        let asset = get(&epoch.url(&format!("/docs/{}", link.trim_start_matches("./")))).await;
        assert_eq!(asset.status, 200, "{link}");
        assert!(!asset.text.is_empty());
    }
    let missing = get(&epoch.url("/docs/nothing")).await;
    assert_eq!(missing.status, 404);
    missing.error("error");
    let description = get(&epoch.url("/openapi.json")).await.json();
    for path in ["/", "/livez", "/readyz", "/metrics"] {
        assert!(description["paths"][path]["get"].is_object(), "{path}");
    }
}

#[tokio::test]
async fn requests_are_logged_but_probes_are_not() {
    let epoch = Running::start_ready(EPOCH, &[("LOG", "kit=info")]).await;
    get(&epoch.url("/livez")).await;
    get(&epoch.url("/a/path?secret=1")).await;
    let line = epoch.logged("the request", |line| line["path"] == "/a/path");
    assert_eq!((line["message"].as_str(), line["method"].as_str()), (Some("request"), Some("GET")));
    assert_eq!((line["status"].as_u64(), line["level"].as_str()), (Some(200), Some("INFO")));
    assert!(line["ms"].is_number() && line["timestamp"].is_string());
    assert!(!epoch.has_logged(|line| line["path"] == "/livez" || line.to_string().contains("secret")));
}
