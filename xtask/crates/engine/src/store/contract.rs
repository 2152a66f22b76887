//! What every home of documents has to keep to, tried with each: the homes' own tests include this file.

use super::{DocumentName, Documents, Found, Place, StateStore, Swapped, Version};
use anyhow::Result;
use base::error::Fault;
use base::files;
use serde_json::{Value, json};
use std::thread;

/// A home to try things with. It is removed when it is dropped.
pub(super) trait Bench {
    type Store: StateStore + Sync;

    /// An empty one; the name is its own.
    fn new(name: &str) -> Self;

    /// One more way to the same home: another run, on this machine.
    fn store(&self) -> Self::Store;

    /// Puts a text there in the place of a document, past everything.
    fn spoil(&self, name: &DocumentName, text: &str);

    /// Has the next swap done without an answer. `false` for a home that always answers.
    fn lose_an_answer(&self) -> bool;
}

pub(super) fn is_kept<B: Bench>() {
    what_is_written_is_read::<B>();
    what_does_not_change_is_not_written::<B>();
    of_two_writers_neither_is_lost::<B>();
    who_is_never_alone_gives_up::<B>();
    one_of_many_swaps_is_done::<B>();
    a_lost_answer_is_asked_for::<B>();
    what_is_removed_is_gone::<B>();
    what_is_broken_is_named_and_left::<B>();
    what_is_newer_is_refused::<B>();
    of_what_is_older_a_copy_is_kept::<B>();
    the_copy_stands_in_for_what_is_gone::<B>();
    a_copy_that_is_not_ours_is_not_taken::<B>();
}

/// Enters a word, once.
fn enter(document: &mut Value, word: &str) -> Result<()> {
    let mut words = words(document);
    if !words.iter().any(|known| known == word) {
        words.push(word.to_owned());
        document["words"] = json!(words);
    }
    Ok(())
}

fn words(document: &Value) -> Vec<String> {
    let words = document["words"].as_array().map(Vec::as_slice).unwrap_or_default();
    words.iter().map(|word| word.as_str().unwrap().to_owned()).collect()
}

fn documents<B: Bench>(bench: &B) -> Documents<B::Store> {
    Documents::new(bench.store())
}

/// What somebody finds who has read nothing yet.
fn read<B: Bench>(bench: &B, name: &DocumentName) -> Vec<String> {
    words(&documents(bench).read(name).unwrap())
}

fn version<B: Bench>(bench: &B, name: &DocumentName) -> Version {
    match bench.store().read(name).unwrap() {
        Found::Document(found) => found.version,
        other => panic!("`{name}` is {other:?}"),
    }
}

fn releases() -> DocumentName {
    DocumentName::releases(&"shop".parse().unwrap())
}

fn what_is_written_is_read<B: Bench>() {
    let bench = B::new("written");
    for name in [DocumentName::ledger(), DocumentName::secrets(), releases()] {
        let documents = documents(&bench);
        assert_eq!(documents.read(&name).unwrap(), Value::Null, "{name}");
        documents.update(&name, |document| enter(document, name.as_str())).unwrap();
        documents.update(&name, |document| enter(document, "b")).unwrap();
        for told in [words(&documents.read(&name).unwrap()), read(&bench, &name)] {
            assert_eq!(told, [name.as_str(), "b"]);
        }
        assert_eq!(documents.read(&name).unwrap()["schema"], 1);
    }
    // Where one question tells them all, it tells these.
    let all = documents(&bench).all().unwrap();
    assert!(
        all.is_empty() || all.keys().map(DocumentName::as_str).eq(["ledger", "releases/shop", "secrets"]),
        "{all:?}"
    );
}

fn what_does_not_change_is_not_written<B: Bench>() {
    let (bench, name) = (B::new("unchanged"), DocumentName::ledger());
    documents(&bench).update(&name, |_| Ok(())).unwrap();
    assert_eq!(bench.store().read(&name).unwrap(), Found::Nothing);
    documents(&bench).update(&name, |document| enter(document, "a")).unwrap();
    let before = version(&bench, &name);
    documents(&bench).update(&name, |document| enter(document, "a")).unwrap();
    assert_eq!(version(&bench, &name), before);
}

/// Each reads before the other has written, whether there was something or not.
fn of_two_writers_neither_is_lost<B: Bench>() {
    let (bench, name) = (B::new("two"), DocumentName::ledger());
    let (one, other) = (documents(&bench), documents(&bench));
    for round in ["first", "second"] {
        let mut asked = 0;
        let told = one.update(&name, |document| {
            asked += 1;
            if asked == 1 {
                other.update(&name, |document| enter(document, &format!("{round} of the other"))).unwrap();
            }
            enter(document, &format!("{round} of the one"))?;
            Ok(words(document).len())
        });
        assert_eq!(asked, 2, "{round}");
        assert_eq!(told.unwrap(), read(&bench, &name).len());
    }
    let wanted = ["first of the other", "first of the one", "second of the other", "second of the one"];
    assert_eq!(read(&bench, &name), wanted);
}

fn who_is_never_alone_gives_up<B: Bench>() {
    let (bench, name) = (B::new("contended"), DocumentName::ledger());
    let (one, other) = (documents(&bench), documents(&bench));
    let mut asked = 0;
    let told = one.update(&name, |document| {
        asked += 1;
        other.update(&name, |document| enter(document, &asked.to_string())).unwrap();
        enter(document, "never")
    });
    assert_eq!(Fault::of(&told.unwrap_err()).code, "records-contended");
    assert_eq!(read(&bench, &name).len(), asked);
}

fn one_of_many_swaps_is_done<B: Bench>() {
    let (bench, name) = (B::new("many"), releases());
    let mut from = None;
    for round in 0..3 {
        let stores: Vec<_> = (0..8).map(|_| bench.store()).collect();
        let swap = |(at, store): (usize, &B::Store)| {
            let mut document = json!({"words": [format!("{round}-{at}")]});
            store.sign(&mut document).unwrap();
            store.swap(&name, from.as_ref(), &document).unwrap()
        };
        let swap = &swap;
        let told: Vec<_> = thread::scope(|scope| {
            let running: Vec<_> = stores.iter().enumerate().map(|each| scope.spawn(move || swap(each))).collect();
            running.into_iter().map(|one| one.join().unwrap()).collect()
        });
        let done: Vec<_> = (0..told.len()).filter(|at| matches!(told[*at], Swapped::Done(_))).collect();
        assert_eq!(done.len(), 1, "{told:?}");
        assert_eq!(read(&bench, &name), [format!("{round}-{}", done[0])]);
        from = Some(version(&bench, &name));
        assert_eq!(told[done[0]], Swapped::Done(version(&bench, &name)));
    }
}

fn a_lost_answer_is_asked_for<B: Bench>() {
    let (bench, name) = (B::new("lost"), DocumentName::ledger());
    let documents = documents(&bench);
    // One that is made, and one that is changed.
    for (round, word) in ["a", "b"].into_iter().enumerate() {
        if !bench.lose_an_answer() {
            return;
        }
        let mut asked = 0;
        let told = documents.update(&name, |document| {
            asked += 1;
            enter(document, word)?;
            Ok(words(document).len())
        });
        assert_eq!((told.unwrap(), asked), (round + 1, 2));
        assert_eq!(read(&bench, &name).len(), round + 1);
        let copy = documents.store().copy(&name).map(|path| files::read_json(&path).unwrap().unwrap_or_default());
        assert!(copy.is_none_or(|copy| words(&copy).len() == round + 1), "the copy lacks what was written");
    }
}

fn what_is_removed_is_gone<B: Bench>() {
    let (bench, name) = (B::new("removed"), DocumentName::ledger());
    let documents = documents(&bench);
    documents.remove(&name).unwrap();
    documents.update(&name, |document| enter(document, "a")).unwrap();
    documents.remove(&name).unwrap();
    assert_eq!((documents.read(&name).unwrap(), read(&bench, &name)), (Value::Null, Vec::new()));
    documents.update(&name, |document| enter(document, "b")).unwrap();
    // Somebody else removes it behind our back, the copy as well.
    self::documents(&bench).remove(&name).unwrap();
    documents.update(&name, |document| enter(document, "c")).unwrap();
    assert_eq!(read(&bench, &name), ["c"]);
}

fn what_is_broken_is_named_and_left<B: Bench>() {
    let (bench, name) = (B::new("broken"), releases());
    documents(&bench).update(&DocumentName::ledger(), |document| enter(document, "a")).unwrap();
    for text in ["{\"words\": [", "", "[1]", "null"] {
        bench.spoil(&name, text);
        let documents = documents(&bench);
        let read = documents.read(&name).map(|_| ());
        let changed = documents.update(&name, |document| enter(document, "b"));
        for told in [read, changed] {
            let fault = Fault::of(&told.expect_err(text));
            let Place { words, removal } = documents.store().place(&name);
            assert_eq!(fault.code, "state-broken", "{fault:?}");
            assert!(fault.cause.starts_with(&words) && fault.hint.unwrap().ends_with(&removal), "{}", fault.cause);
        }
        // The others are none the worse for it.
        assert_eq!(self::read(&bench, &DocumentName::ledger()), ["a"]);
        assert!(self::documents(&bench).read(&name).is_err(), "`{text}` was written over");
    }
}

fn what_is_newer_is_refused<B: Bench>() {
    let (bench, name) = (B::new("newer"), DocumentName::ledger());
    bench.spoil(&name, r#"{"schema": 2, "words": ["a"]}"#);
    let before = version(&bench, &name);
    let documents = documents(&bench);
    let read = documents.read(&name).map(|_| ());
    for told in [read, documents.update(&name, |document| enter(document, "b"))] {
        let fault = Fault::of(&told.unwrap_err());
        assert_eq!(fault.code, "state-newer");
        assert!(fault.cause.starts_with(&documents.store().place(&name).words), "{}", fault.cause);
    }
    assert_eq!(version(&bench, &name), before);
}

fn of_what_is_older_a_copy_is_kept<B: Bench>() {
    let (bench, name) = (B::new("older"), releases());
    bench.spoil(&name, r#"{"schema": 0, "words": ["a"]}"#);
    let documents = documents(&bench);
    documents.update(&name, |document| enter(document, "b")).unwrap();
    documents.update(&name, |document| enter(document, "c")).unwrap();
    assert_eq!(
        (read(&bench, &name), documents.read(&name).unwrap()["schema"].as_u64()),
        (vec!["a".to_owned(), "b".to_owned(), "c".to_owned()], Some(1))
    );
    let kept = documents.store().folder().join("earlier/releases/shop.schema-0.json");
    assert_eq!(files::read_json(&kept).unwrap(), Some(json!({"schema": 0, "words": ["a"]})));
    // One, whatever is rewritten afterwards.
    bench.spoil(&name, r#"{"schema": 0, "words": ["z"]}"#);
    self::documents(&bench).update(&name, |document| enter(document, "b")).unwrap();
    assert_eq!(files::read_json(&kept).unwrap(), Some(json!({"schema": 0, "words": ["a"]})));
}

fn the_copy_stands_in_for_what_is_gone<B: Bench>() {
    let bench = B::new("copy");
    for name in [DocumentName::ledger(), releases()] {
        documents(&bench).update(&name, |document| enter(document, "a")).unwrap();
        let store = bench.store();
        let Some(copy) = store.copy(&name) else { return };
        assert_eq!(words(&files::read_json(&copy).unwrap().unwrap()), ["a"]);
        store.remove(&name).unwrap();
        let stands_in = store.copy_stands_in(&name);
        assert_eq!(read(&bench, &name), if stands_in { vec!["a"] } else { vec![] });
        if stands_in {
            // What it alone has goes to the home with the next write, be that of nothing new.
            documents(&bench).update(&name, |document| enter(document, "a")).unwrap();
            files::remove(&copy).unwrap();
            assert_eq!(read(&bench, &name), ["a"]);
        }
    }
}

fn a_copy_that_is_not_ours_is_not_taken<B: Bench>() {
    let (bench, name) = (B::new("foreign"), DocumentName::ledger());
    let documents = documents(&bench);
    let Some(copy) = documents.store().copy(&name) else { return };
    documents.update_copy(&name, |document| enter(document, "a")).unwrap();
    assert_eq!((read(&bench, &name), bench.store().read(&name).unwrap()), (vec!["a".to_owned()], Found::Nothing));
    files::write_json(&copy, &json!({"words": ["b"]})).unwrap();
    assert_eq!(read(&bench, &name), [""; 0]);
    documents.update_copy(&name, |document| enter(document, "c")).unwrap();
    assert_eq!(read(&bench, &name), ["c"]);
}
