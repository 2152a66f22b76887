//! The API of the real binary, on both stores.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::json;
use tempfile::TempDir;
use testkit::{Running, client, get, post, post_raw, send};

const PROVIDER: &str = env!("CARGO_BIN_EXE_payment-provider");

testkit::on_both!(charges_once, many_at_once_charge_once, another_amount_conflicts_and_one_of_them_wins);

async fn charges_once(store: (&str, &str)) {
    let mut provider = Running::start_ready(PROVIDER, &[store]).await;
    let body = json!({"id": "I1", "value": 12.5, "currency": "EUR"});
    let same = r#"{"currency":"EUR","value":12.50,"id":"I1","note":"again"}"#;
    for _ in 0..2 {
        let paid = post(&provider.url("/payments/pay"), &body).await;
        assert_eq!((paid.status, paid.json()), (200, json!({"id": "I1"})));
        let again = post_raw(&provider.url("/payments/pay"), "application/json", same).await;
        assert_eq!((again.status, again.json()), (200, json!({"id": "I1"})));
    }
    assert_eq!(provider.metric("payments_charges_total").await, 1);
    assert_eq!(provider.metric("payments_repeated_total").await, 3);

    for (value, currency) in [("12.51", "EUR"), ("12.5", "GBP"), ("12.500000000000000001", "EUR")] {
        let other = format!(r#"{{"id":"I1","value":{value},"currency":"{currency}"}}"#);
        let refused = post_raw(&provider.url("/payments/pay"), "application/json", other).await;
        assert_eq!(refused.status, 409);
        assert!(refused.error("error").contains("12.5 EUR"), "{refused:?}");
    }

    provider.terminate();
    assert_eq!(provider.exit_code().await, Some(0));
    let provider = Running::start_ready(PROVIDER, &[store]).await;
    assert_eq!(post(&provider.url("/payments/pay"), &body).await.status, 200);
    assert_eq!(provider.metric("payments_charges_total").await, 0);
}

/// Asked of two processes, as there are two while one version replaces the other.
async fn many_at_once_charge_once(store: (&str, &str)) {
    let both = [Running::start_ready(PROVIDER, &[store]).await, Running::start_ready(PROVIDER, &[store]).await];
    let pays = (0..40).map(|number| {
        let url = both[number % 2].url("/payments/pay");
        let body = json!({"id": format!("P{}", number / 20), "value": 1, "currency": "EUR"});
        tokio::spawn(async move { post(&url, &body).await.status })
    });
    for pay in pays.collect::<Vec<_>>() {
        assert_eq!(pay.await.unwrap(), 200);
    }
    let name = "payments_charges_total";
    assert_eq!(both[0].metric(name).await + both[1].metric(name).await, 2);
}

async fn another_amount_conflicts_and_one_of_them_wins(store: (&str, &str)) {
    let provider = Running::start_ready(PROVIDER, &[store]).await;
    let pays = (1..=20).map(|value| {
        let url = provider.url("/payments/pay");
        tokio::spawn(async move { post(&url, &json!({"id": "P", "value": value, "currency": "EUR"})).await.status })
    });
    let mut statuses = Vec::new();
    for pay in pays.collect::<Vec<_>>() {
        statuses.push(pay.await.unwrap());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [[200].as_slice(), &[409; 19]].concat());
    assert_eq!(provider.metric("payments_charges_total").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_wrong_is_said_in_json() {
    let scratch = TempDir::new().unwrap();
    let provider = Running::start_ready(PROVIDER, &[("DATA_DIR", scratch.path().to_str().unwrap())]).await;
    let url = provider.url("/payments/pay");
    let long = format!(r#"{{"id":"{}","value":1,"currency":"EUR"}}"#, "x".repeat(129));
    let large = format!(r#"{{"id":"{}","value":1,"currency":"EUR"}}"#, "x".repeat(70_000));
    for (body, status, reason) in [
        (r#"{"value":1,"currency":"EUR"}"#, 400, "missing field `id`"),
        (r#"{"id":"P","currency":"EUR"}"#, 400, "missing field `value`"),
        (r#"{"id":"P","value":1}"#, 400, "missing field `currency`"),
        (r#"{"id":7,"value":1,"currency":"EUR"}"#, 400, "`id`: invalid type"),
        (r#"{"id":"","value":1,"currency":"EUR"}"#, 400, "`id`: an id must not be empty"),
        (&long, 400, "at most 128 characters"),
        (r#"{"id":"P","value":"1","currency":"EUR"}"#, 400, "`value`: invalid type"),
        (r#"{"id":"P","value":0,"currency":"EUR"}"#, 400, "`value`: `0` is not more than 0"),
        (r#"{"id":"P","value":-1.5,"currency":"EUR"}"#, 400, "`-1.5` is not more than 0"),
        (r#"{"id":"P","value":1e99,"currency":"EUR"}"#, 400, "kept exactly"),
        (r#"{"id":"P","value":NaN,"currency":"EUR"}"#, 400, "expected value"),
        (r#"{"id":"P","value":1,"currency":"eur"}"#, 400, "`currency`: `eur` is not a currency"),
        (r#"{"id":"P","value":1,"currency":"EURO"}"#, 400, "`EURO` is not a currency"),
        (r#"{"id":"P","value":1,"currency":["EUR"]}"#, 400, "`currency`: invalid type"),
        (r#"["P",1,"EUR"]"#, 400, "not a JSON object"),
        (r#""P""#, 400, "not a JSON object"),
        (r#"{"id":"P","#, 400, "the body is not JSON: EOF"),
        ("", 400, "the body is not JSON: EOF"),
        (&large, 413, "the body is larger than 64 KiB"),
    ] {
        let answer = post_raw(&url, "application/json", body).await;
        assert_eq!(answer.status, status, "{body}: {answer:?}");
        assert!(answer.error("error").contains(reason), "{body}: {answer:?}");
    }
    assert_eq!(post_raw(&url, "application/json", b"{\"id\":\"\xff\"}".as_slice()).await.status, 400);
    assert_eq!(post_raw(&url, "application/x-www-form-urlencoded", "id=P").await.status, 415);
    let wrong = send(client().put(&url)).await;
    assert_eq!((wrong.status, wrong.header("allow")), (405, "POST"));
    assert!(wrong.error("error").contains("PUT"));
    assert_eq!(get(&provider.url("/payments")).await.status, 404);
    assert_eq!(provider.metric("payments_charges_total").await, 0);
}
