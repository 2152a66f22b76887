//! Files that no person would write: whatever is in them is read or refused with a place, and never a panic.

use super::{Root, deploy_files};
use crate::error::{Place, SpecErrors};
use crate::{environment, load};

/// Enough for each file to be hit by each kind of change many times; the seed makes every run the same.
const ROUNDS: u32 = 2500;
const SEED: u64 = 0x5eed;

/// Source: SplitMix64, Steele, Lea and Flood, 2014.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end.max(1)).unwrap();
        usize::try_from(self.next() % end).unwrap()
    }

    fn pick<'t, T: ?Sized>(&mut self, of: &[&'t T]) -> &'t T {
        of[self.below(of.len())]
    }
}

/// What takes the place of a value.
const VALUES: [&str; 24] = [
    "1",
    "-1",
    "65536",
    "99999999999999999999",
    "0x10",
    "1.5",
    "nan",
    "inf",
    "true",
    "1979-05-27",
    "07:32:00",
    "[]",
    "{}",
    "[[[[]]]]",
    "{ a = { b = [1, 'x', {}] } }",
    "''",
    "'${'",
    "'${a.b.c}'",
    "'$'",
    "\"\\u0000\"",
    "'99999999999999999999s'",
    "'GET'",
    "'../../etc/passwd'",
    "\"\\U0001F600\\n\\t\"",
];

/// What is put anywhere.
const SNIPPETS: [&str; 12] = [
    "\n[services.a]\n",
    "\n[[smoke]]\n",
    "\n[[denied]]\n",
    "\n[services]\n",
    "[",
    "]",
    "'",
    "'''",
    "=",
    "\u{feff}",
    "${",
    "\nneeds = ['epoch', 'redis', 'shortener']\n",
];

/// One change to a file.
fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    if lines.is_empty() {
        lines.push(String::new());
    }
    let (a, b) = (random.below(lines.len()), random.below(lines.len()));
    match random.below(9) {
        0 => drop(lines.remove(a)),
        1 => lines.insert(b, lines[a].clone()),
        2 => lines.swap(a, b),
        3 => {
            let key = lines[a].split('=').next().unwrap_or_default().to_owned();
            lines[a] = format!("{key}= {}", random.pick(&VALUES));
        }
        4 => lines[a] = lines[a].replace(['e', 'r'], random.pick(&["", "x", "E", "."])),
        5 => {
            let at = random.below(bytes.len() + 1);
            let snippet = random.pick(&SNIPPETS);
            bytes.splice(at..at, snippet.bytes());
            return;
        }
        6 => {
            let at = random.below(bytes.len() + 1);
            bytes.truncate(at);
            return;
        }
        _ => {
            for _ in 0..=random.below(4) {
                let (at, byte) = (random.below(bytes.len()), random.next().to_le_bytes()[0]);
                if let Some(old) = bytes.get_mut(at) {
                    *old = byte;
                }
            }
            return;
        }
    }
    *bytes = lines.join("\n").into_bytes();
}

fn check(errors: &SpecErrors, changed: &str, content: &[u8]) {
    let lines = content.iter().filter(|byte| **byte == b'\n').count() + 1;
    for error in errors.iter() {
        let Place::File { path, line: Some(line) } = &error.place else {
            panic!("without a line: {error}");
        };
        let known = path.starts_with("deploy/") && *line >= 1;
        assert!(known && (path != changed || *line <= lines), "no such place: {error}");
        assert!(!error.message.contains('\n'), "more than a line: {error:?}");
    }
}

#[test]
fn no_change_to_a_file_makes_the_reader_panic_or_lose_the_place() {
    let root = Root::of_repository();
    let files = deploy_files();
    let mut random = Random(SEED);
    let (mut refused, mut accepted) = (0, 0);
    for round in 0..ROUNDS {
        let (path, text) = &files[random.below(files.len())];
        let mut content = text.clone().into_bytes();
        for _ in 0..=random.below(3) {
            mutate(&mut content, &mut random);
        }
        root.write(path, &content);
        for result in [load(root.path()).map(drop), environment(root.path(), "local", &[]).map(drop)] {
            match result {
                Ok(()) => accepted += 1,
                Err(errors) => {
                    refused += 1;
                    assert!(!errors.is_usage(), "round {round}: {errors}");
                    check(&errors, path, &content);
                }
            }
        }
        root.write(path, text);
    }
    // A mutator that changes nothing, or nothing but nonsense, would prove little.
    assert!(refused > ROUNDS / 2 && accepted > ROUNDS / 2, "{refused} refused, {accepted} accepted");
}
