//! The API of the real binary, with an emulator of SNS and SQS.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashSet;

use serde_json::{Value, json};
use testkit::{Moto, Running, client, eventually, get, post, post_raw, refused, send, skip};

const PRODUCER: &str = env!("CARGO_BIN_EXE_producer");

fn env<'a>(moto: &'a Moto, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [moto.env(), more.to_vec()].concat()
}

/// Makes a queue that is subscribed to the topic `messages`.
async fn subscribed_queue(moto: &Moto) {
    assert_eq!(moto.sqs("CreateQueue", json!({"QueueName": "seen"})).await.status, 200);
    let endpoint = moto.env()[0].1.to_owned();
    let form = format!(
        "Action=Subscribe&Version=2010-03-31&Protocol=sqs&TopicArn={}&Endpoint=arn:aws:sqs:eu-central-1:123456789012:seen",
        Moto::topic_arn("messages")
    );
    let request = client().post(endpoint).header("content-type", "application/x-www-form-urlencoded");
    let signature = "AWS4-HMAC-SHA256 Credential=test/20260101/eu-central-1/sns/aws4_request";
    let answer = send(request.header("authorization", signature).body(form)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

async fn received(moto: &Moto) -> Vec<Value> {
    let parameters = json!({"QueueUrl": moto.queue_url("seen"), "MaxNumberOfMessages": 10});
    let answer: Value = serde_json::from_str(&moto.sqs("ReceiveMessage", parameters).await.text).unwrap();
    let inner = |text: &Value| serde_json::from_str::<Value>(text.as_str().unwrap()).unwrap();
    let messages = answer["Messages"].as_array().cloned().unwrap_or_default();
    messages.iter().map(|message| inner(&inner(&message["Body"])["Message"])).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_for_is_published() {
    let moto = skip::unless!(Moto::start());
    let producer = Running::start_ready(PRODUCER, &env(&moto, &[("PUBLISH_SECONDS", "0")])).await;
    subscribed_queue(&moto).await;
    let texts = ["hello", "", "ключ \"🗝\"\n\0\t<&>"];
    let mut published = HashSet::new();
    for text in texts {
        let answer = post(&producer.url("/messages"), &json!({"text": text})).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        let id = answer.json()["id"].as_str().unwrap().to_owned();
        assert!(published.insert(json!({"id": id, "text": text}).to_string()));
    }
    let seen: HashSet<String> = received(&moto).await.iter().map(ToString::to_string).collect();
    assert_eq!(seen, published);
    assert_eq!(producer.metric("messages_published_total").await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_publishes_on_its_own_and_makes_a_lost_topic_again() {
    let moto = skip::unless!(Moto::start());
    let producer = Running::start_ready(PRODUCER, &env(&moto, &[("PUBLISH_SECONDS", "1")])).await;
    moto.forget().await;
    let before = producer.metric("messages_published_total").await;
    eventually("two more messages", || async {
        (producer.metric("messages_published_total").await >= before + 2).then_some(())
    })
    .await;
    assert_eq!(get(&producer.url("/readyz")).await.status, 200);
    let health = get(&producer.url("/health")).await;
    assert_eq!((health.status, health.json()), (200, json!({"status": "UP!"})));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_topic_it_says_so_and_recovers() {
    let mut moto = skip::unless!(Moto::stopped());
    let producer = Running::start(PRODUCER, &env(&moto, &[("PUBLISH_SECONDS", "1")]));
    let reason =
        || async { Some(get(&producer.url("/readyz")).await.text).filter(|text| text.contains("cannot make")) };
    let reason = eventually("the reason", reason).await;
    assert!(reason.contains("`messages`") && reason.contains("refused"), "{reason}");
    let answer = post(&producer.url("/messages"), &json!({"text": "x"})).await;
    assert_eq!(answer.status, 503);
    assert!(answer.error("error").contains("cannot make the topic"), "{answer:?}");
    assert_eq!(get(&producer.url("/livez")).await.status, 200);
    moto.resume();
    producer.until_ready().await;
    assert_eq!(post(&producer.url("/messages"), &json!({"text": "x"})).await.status, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_given_topic_is_used_and_not_made() {
    let moto = skip::unless!(Moto::start());
    let arn = Moto::topic_arn("elsewhere");
    let producer = Running::start(PRODUCER, &env(&moto, &[("TOPIC_ARN", &arn), ("PUBLISH_SECONDS", "0")]));
    let answer = post(&producer.url("/messages"), &json!({"text": "x"})).await;
    assert_eq!(answer.status, 503);
    assert!(answer.error("error").contains(&arn), "{answer:?}");
    assert_eq!(producer.metric("publish_failures_total").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_wrong_is_said_in_json() {
    // Nothing of this asks AWS.
    let env = [("AWS_REGION", "eu-central-1"), ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"), ("PUBLISH_SECONDS", "0")];
    let mut producer = Running::start(PRODUCER, &env);
    let url = producer.url("/messages");
    let large = json!({"text": "x".repeat(70_000)}).to_string();
    for (kind, body, status, reason) in [
        ("application/json", &b"{}"[..], 400, "missing field `text`"),
        ("application/json", br#"{"text":5}"#, 400, "`text`: invalid type"),
        ("application/json", br#"["x"]"#, 400, "JSON object"),
        ("application/json", br#"{"text""#, 400, "the body is not JSON: EOF"),
        ("application/json", b"", 400, "the body is not JSON: EOF"),
        ("application/json", b"{\"text\":\"\xff\"}", 400, "unicode"),
        ("application/json", b"{\"text\":\"\xef\xbf\xbf\"}", 400, "U+FFFF"),
        ("text/plain", br#"{"text":"x"}"#, 415, "the body has to be JSON, sent with `Content-Type: application/json`"),
        ("application/json", large.as_bytes(), 413, "the body is larger than 64 KiB"),
    ] {
        let answer = post_raw(&url, kind, body).await;
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(answer.error("error").contains(reason), "{answer:?}");
    }
    let wrong = get(&url).await;
    assert_eq!((wrong.status, wrong.header("allow")), (405, "POST"));
    assert_eq!(get(&producer.url("/")).await.status, 404);
    producer.terminate();
    assert_eq!(producer.exit_code().await, Some(0));
}

#[test]
fn a_bad_configuration_is_said_in_one_line() {
    let region = ("AWS_REGION", "eu-central-1");
    for (env, said) in [
        (&[][..], "`AWS_REGION` is not set"),
        (&[region, ("PUBLISH_SECONDS", "-1")], "`PUBLISH_SECONDS` is `-1`"),
        (&[region, ("PUBLISH_SECONDS", "86401")], "up to 86400"),
        (&[region, ("TOPIC_ARN", "messages")], "`TOPIC_ARN` is `messages`"),
        (&[region, ("TOPIC_NAME", "a b")], "`TOPIC_NAME` is `a b`"),
    ] {
        let output = refused(PRODUCER, &[], env);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(said) && text.lines().count() == 1, "{text}");
    }
}
