//! The API of the real binary, with the real payment provider and with providers that fail.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::{Answer, Running, client, eventually, get, post, post_raw, send, sibling};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const INVOICES: &str = env!("CARGO_BIN_EXE_invoice-app");
const CHARGES: &str = "payments_charges_total";

testkit::on_both!(pays_each_invoice_once, two_at_once_charge_once, a_crash_before_recording_charges_once);

async fn provider(store: (&str, &str)) -> Running {
    Running::start_ready(&sibling(INVOICES, "payment-provider"), &[store]).await
}

async fn app(store: (&str, &str), provider: &str) -> Running {
    let env = [store, ("PAYMENT_PROVIDER_URL", provider), ("PAYMENT_TIMEOUT_SECONDS", "1")];
    Running::start_ready(INVOICES, &env).await
}

async fn pay(app: &Running) -> Answer {
    send(client().post(app.url("/invoices/pay"))).await
}

async fn paid(app: &Running) -> Vec<(String, bool)> {
    let invoices: Vec<Value> = serde_json::from_str(&get(&app.url("/invoices")).await.text).unwrap();
    let paid = |invoice: &Value| (invoice["InvoiceId"].as_str().unwrap().to_owned(), invoice["IsPaid"] == true);
    invoices.iter().map(paid).collect()
}

fn all(paid: bool) -> Vec<(String, bool)> {
    ["I1", "I2", "I3"].map(|id| (id.to_owned(), paid)).into()
}

async fn pays_each_invoice_once(store: (&str, &str)) {
    let provider = provider(store).await;
    let mut app = app(store, &provider.url("/")).await;
    assert_eq!(
        get(&app.url("/invoices")).await.text,
        concat!(
            r#"[{"InvoiceId":"I1","Value":12.15,"Currency":"EUR","IsPaid":false},"#,
            r#"{"InvoiceId":"I2","Value":10.25,"Currency":"GBP","IsPaid":false},"#,
            r#"{"InvoiceId":"I3","Value":66.13,"Currency":"DKK","IsPaid":false}]"#
        )
    );
    for _ in 0..2 {
        let answer = pay(&app).await;
        assert_eq!((answer.status, answer.text.as_str()), (200, "{}"));
        assert_eq!(paid(&app).await, all(true));
    }
    assert_eq!(provider.metric(CHARGES).await, 3);
    assert_eq!(app.metric("invoices_paid_total").await, 3);

    app.terminate();
    assert_eq!(app.exit_code().await, Some(0));
    let app = self::app(store, &provider.url("")).await;
    assert_eq!(paid(&app).await, all(true));
}

async fn two_at_once_charge_once(store: (&str, &str)) {
    let provider = provider(store).await;
    let apps = [app(store, &provider.url("")).await, app(store, &provider.url("")).await];
    let (a, b, c, d) = tokio::join!(pay(&apps[0]), pay(&apps[0]), pay(&apps[1]), pay(&apps[1]));
    assert_eq!([a.status, b.status, c.status, d.status], [200; 4]);
    assert_eq!(provider.metric(CHARGES).await, 3);
    assert_eq!(paid(&apps[1]).await, all(true));
}

/// Passes requests on to the provider and keeps its answers to itself.
async fn swallow_answers(provider: std::net::SocketAddr) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut provider = TcpStream::connect(provider).await.unwrap();
                let mut buffer = [0; 4096];
                while let Ok(read @ 1..) = client.read(&mut buffer).await {
                    provider.write_all(&buffer[..read]).await.unwrap();
                }
            });
        }
    });
    url
}

async fn a_crash_before_recording_charges_once(store: (&str, &str)) {
    let provider = provider(store).await;
    let url = swallow_answers(provider.address("http")).await;
    {
        let app = app(store, &url).await;
        let pay = client().post(app.url("/invoices/pay")).send();
        let charged = eventually("all charged", || async { (provider.metric(CHARGES).await == 3).then_some(()) });
        tokio::select! {
            answer = pay => panic!("answered before the crash: {answer:?}"),
            () = charged => drop(app),
        }
    }
    let app = app(store, &provider.url("")).await;
    assert_eq!(paid(&app).await, all(false));
    assert_eq!(pay(&app).await.status, 200);
    assert_eq!(paid(&app).await, all(true));
    assert_eq!(provider.metric(CHARGES).await, 3);
}

/// A provider that answers as it is told to.
async fn stub(answer: impl Fn(Value) -> Response + Clone + Send + Sync + 'static) -> String {
    let handler = move |request: Request| {
        let answer = answer.clone();
        async move {
            let body = axum::body::to_bytes(request.into_body(), 4096).await.unwrap();
            answer(serde_json::from_slice(&body).unwrap_or_default())
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(handler)).await });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_fails_stays_unpaid_and_the_others_are_paid() {
    let scratch = TempDir::new().unwrap();
    let answer = |payment: Value| match payment["id"].as_str() {
        Some("I2") => (StatusCode::CONFLICT, axum::Json(json!({"error": "charged with 1 EUR before"}))).into_response(),
        _ => StatusCode::OK.into_response(),
    };
    let app = app(("DATA_DIR", scratch.path().to_str().unwrap()), &stub(answer).await).await;
    for _ in 0..2 {
        let answer = pay(&app).await;
        assert_eq!(answer.status, 502);
        let error = answer.error("error");
        assert!(error.contains("`I2` is not paid") && error.contains("charged with 1 EUR before"), "{error}");
        assert!(!error.contains("I1") && !error.contains("I3"), "{error}");
        let expected = [("I1".to_owned(), true), ("I2".to_owned(), false), ("I3".to_owned(), true)];
        assert_eq!(paid(&app).await, expected);
    }
    assert_eq!(app.metric("invoices_failed_total").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_no_help_is_named_with_its_reason() {
    let scratch = TempDir::new().unwrap();
    let store = ("DATA_DIR", scratch.path().to_str().unwrap());
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = format!("http://{}", free.local_addr().unwrap());
    let fails = stub(|_| (StatusCode::INTERNAL_SERVER_ERROR, "<h1>oops</h1>").into_response()).await;
    for (url, reason) in [
        ("http://127.0.0.1:1", "cannot be reached: Connection refused"),
        (silent.as_str(), "did not answer in time"),
        (fails.as_str(), "answered 500 Internal Server Error: <h1>oops</h1>"),
    ] {
        let app = app(store, url).await;
        let answer = pay(&app).await;
        assert_eq!(answer.status, 502);
        let error = answer.error("error");
        assert!(error.contains(reason) && error.contains(url), "{error}");
        assert_eq!(paid(&app).await, all(false));
        let health = get(&app.url("/health/provider")).await;
        assert_eq!(health.status, 502);
        assert!(health.error("error").contains(reason), "{health:?}");
        assert_eq!(get(&app.url("/readyz")).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_provider_can_be_reached_without_paying() {
    let scratch = TempDir::new().unwrap();
    let store = ("DATA_DIR", scratch.path().to_str().unwrap());
    let provider = provider(store).await;
    let app = app(store, &provider.url("")).await;
    let health = get(&app.url("/health/provider")).await;
    assert_eq!((health.status, health.json()), (200, json!({"status": "UP"})));
    assert_eq!(provider.metric(CHARGES).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_wrong_is_said_in_json() {
    let scratch = TempDir::new().unwrap();
    let app = app(("DATA_DIR", scratch.path().to_str().unwrap()), "http://127.0.0.1:1").await;
    for (method, path, status) in [
        ("POST", "/invoices", 405),
        ("GET", "/invoices/pay", 405),
        ("DELETE", "/health/provider", 405),
        ("GET", "/invoices/I1", 404),
        ("GET", "/%ff", 404),
    ] {
        let answer = send(client().request(method.parse().unwrap(), app.url(path))).await;
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        answer.error("error");
    }
    // A body that nobody asked for changes nothing.
    let answer = post_raw(&app.url("/invoices/pay"), "text/plain", vec![0xff; 70_000]).await;
    assert_eq!(answer.status, 502);
    assert_eq!(post(&app.url("/invoices/pay"), &json!([1])).await.status, 502);
}

#[test]
fn a_bad_configuration_is_said_in_one_line() {
    for (name, value, valid) in [
        ("PAYMENT_PROVIDER_URL", "provider:8082", "an absolute URL with `http`"),
        ("PAYMENT_TIMEOUT_SECONDS", "0", "a number of seconds, 1 to 60"),
    ] {
        let output = testkit::refused(INVOICES, &[], &[(name, value)]);
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(name) && said.contains(value) && said.contains(valid), "{said}");
        assert_eq!(said.lines().count(), 1);
    }
}
