//! The API of the real binary, with the real producer and an emulator of SNS and SQS.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use testkit::{Moto, Running, client, eventually, get, post, refused, send, sibling, skip};

const CONSUMER: &str = env!("CARGO_BIN_EXE_consumer");

async fn consumer(moto: &Moto) -> Running {
    Running::start_ready(CONSUMER, &moto.env()).await
}

async fn producer(moto: &Moto) -> Running {
    let env = [moto.env(), vec![("PUBLISH_SECONDS", "0")]].concat();
    Running::start_ready(&sibling(CONSUMER, "producer"), &env).await
}

/// Publishes a text and returns its id.
async fn publish(producer: &Running, text: &str) -> String {
    let answer = post(&producer.url("/messages"), &json!({"text": text})).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    answer.json()["id"].as_str().unwrap().to_owned()
}

/// Waits until the consumer has handled a message.
async fn handled(consumer: &Running, id: &str) -> Value {
    let url = consumer.url(&format!("/messages/{id}"));
    eventually("the message", || async { Some(get(&url).await).filter(|answer| answer.status == 200) }).await.json()
}

/// Puts a body into the queue past the topic.
async fn put(moto: &Moto, body: &str) {
    let parameters = json!({"QueueUrl": moto.queue_url("messages"), "MessageBody": body});
    assert_eq!(moto.sqs("SendMessage", parameters).await.status, 200);
}

async fn until_empty(moto: &Moto) {
    eventually("an empty queue", || async { (moto.messages_in("messages").await == 0).then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_is_handled_once_and_deleted() {
    let moto = skip::unless!(Moto::start());
    let (mut consumer, producer) = (consumer(&moto).await, producer(&moto).await);
    let text = "ключ \"🗝\"\n\0\t<&>";
    let first = publish(&producer, text).await;
    let second = publish(&producer, "second").await;
    let message = handled(&consumer, &first).await;
    assert_eq!((&message["id"], &message["text"]), (&json!(first), &json!(text)));
    assert!(message["time"].as_u64().unwrap() > 1_700_000_000);
    handled(&consumer, &second).await;
    consumer.logged("the message", |line| line["message"] == "message handled" && line["id"] == *first);
    until_empty(&moto).await;
    assert_eq!(consumer.metric("messages_consumed_total").await, 2);
    let list: Vec<Value> = serde_json::from_str(&get(&consumer.url("/messages")).await.text).unwrap();
    assert_eq!(list.len(), 2);

    let missing = get(&consumer.url("/messages/nothing")).await;
    assert_eq!(missing.status, 404);
    assert!(missing.error("error").contains("`nothing`"));
    // It leaves at once, although it is waiting for messages.
    consumer.terminate();
    assert_eq!(consumer.exit_code().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_is_dropped_and_raw_messages_are_taken() {
    let moto = skip::unless!(Moto::start());
    let consumer = consumer(&moto).await;
    let poison = ["hello", "{}", r#"{"id":7,"text":"x"}"#, r#"{"Type":"Notification","Message":"hello"}"#, "[[["];
    for body in poison {
        put(&moto, body).await;
    }
    put(&moto, r#"{"id":"raw","text":"as it is"}"#).await;
    // The same message again, as a queue may bring it.
    put(&moto, r#"{"id":"raw","text":"as it is"}"#).await;
    handled(&consumer, "raw").await;
    until_empty(&moto).await;
    eventually("all counted", || async { (consumer.metric("messages_consumed_total").await == 2).then_some(()) }).await;
    assert_eq!(consumer.metric("messages_malformed_total").await, poison.len() as u64);
    let list: Vec<Value> = serde_json::from_str(&get(&consumer.url("/messages")).await.text).unwrap();
    assert_eq!(list.len(), 1);
    assert_eq!(get(&consumer.url("/readyz")).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_makes_what_an_emulator_has_lost() {
    let mut moto = skip::unless!(Moto::stopped());
    let consumer = Running::start(CONSUMER, &moto.env());
    for _ in 0..2 {
        let reason = eventually("not ready", || async {
            Some(get(&consumer.url("/readyz")).await).filter(|answer| answer.text.contains("refused"))
        });
        assert_eq!(reason.await.status, 503);
        assert_eq!(get(&consumer.url("/livez")).await.status, 200);
        moto.resume();
        consumer.until_ready().await;
        let producer = producer(&moto).await;
        handled(&consumer, &publish(&producer, "after").await).await;
        moto.stop();
    }
    assert!(consumer.metric("receive_failures_total").await >= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_given_queue_is_used_and_not_made() {
    let moto = skip::unless!(Moto::start());
    let url = moto.queue_url("given");
    let consumer = Running::start(CONSUMER, &[moto.env(), vec![("QUEUE_URL", &url)]].concat());
    let reason = eventually("the reason", || async {
        Some(get(&consumer.url("/readyz")).await.text).filter(|text| text.contains("cannot receive"))
    });
    assert!(reason.await.contains(&url));
    assert_eq!(moto.sqs("CreateQueue", json!({"QueueName": "given"})).await.status, 200);
    consumer.until_ready().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_wrong_is_said_in_json() {
    let env = [("AWS_REGION", "eu-central-1"), ("AWS_ENDPOINT_URL", "http://127.0.0.1:1")];
    let consumer = Running::start(CONSUMER, &env);
    for (method, path, status) in [
        ("POST", "/messages", 405),
        ("DELETE", "/messages/1", 405),
        ("PUT", "/health", 405),
        ("GET", "/messages/%ff", 400),
        ("GET", "/messages/1/2", 404),
        ("GET", "/", 404),
    ] {
        let answer = send(client().request(method.parse().unwrap(), consumer.url(path))).await;
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        answer.error("error");
    }
    let health = get(&consumer.url("/health")).await;
    assert_eq!((health.status, health.text.as_str()), (200, r#"{"status":"UP!"}"#));
    let sick = Running::start(CONSUMER, &[env[0], env[1], ("FAULT", "unhealthy-after=0")]);
    assert_eq!(get(&sick.url("/health")).await.status, 500);
}

#[test]
fn a_bad_configuration_is_said_in_one_line() {
    for (name, value) in [("QUEUE_URL", "messages"), ("QUEUE_NAME", "a b"), ("TOPIC_ARN", "messages")] {
        let output = refused(CONSUMER, &[], &[("AWS_REGION", "eu-central-1"), (name, value)]);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(&format!("`{name}` is `{value}`")) && text.lines().count() == 1, "{text}");
    }
}
