//! The content key: whatever a build can see changes it, and nothing else does.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "tests start the programs that they ask")]

mod model;
mod sample;

mod counts;
mod ignored;
mod truth;
mod workspace;

use keys::diff;
use sample::Sample;

/// A change, and the sentences that must name it; none where the build cannot see it.
type Case<'a> = (&'a str, &'a dyn Fn(&Sample), &'a [&'a str]);

/// Makes each change in a fresh copy of the sample.
fn check(cases: &[Case<'_>]) {
    for (title, change, expected) in cases {
        let sample = Sample::new();
        let (before, seen) = (sample.manifest("web"), sample.excerpt("web"));
        change(&sample);
        let after = sample.manifest("web");
        if expected.is_empty() {
            assert_eq!(seen, sample.excerpt("web"), "{title}: the key does not have it, and an excerpt does");
        }
        let sentences: Vec<String> = diff(&before, &after).iter().map(ToString::to_string).collect();
        assert_eq!(sentences, *expected, "{title}");
        assert_eq!(before.key() == after.key(), expected.is_empty(), "{title}: the key disagrees with the difference");
    }
}
