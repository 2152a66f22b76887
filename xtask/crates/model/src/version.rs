//! Versions of programs, and the ranges of them that are wanted.

use std::fmt;
use std::str::FromStr;

/// What programs agree on in their versions: three numbers. What follows them (`-rc1`, `+gc309b6f`) does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    major: u64,
    minor: u64,
    patch: u64,
}

impl Version {
    pub const fn new(major: u64, minor: u64, patch: u64) -> Self {
        Self { major, minor, patch }
    }

    pub const fn major(self) -> u64 {
        self.major
    }

    pub const fn minor(self) -> u64 {
        self.minor
    }

    /// The first version in a program's words: `v1.2.3`, `1.2-rc1`. A number alone is none.
    pub fn find(text: &str) -> Option<Self> {
        let part_of_word = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
        text.split(|c| !part_of_word(c)).find_map(|word| {
            let word = word.strip_prefix('v').unwrap_or(word);
            let end = word.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(word.len());
            let numbers = word[..end].trim_end_matches('.');
            if numbers.contains('.') { Self::leading(numbers) } else { None }
        })
    }

    /// The first three of the numbers; those that are missing are zero.
    fn leading(text: &str) -> Option<Self> {
        let mut numbers = text.split('.');
        let major = numbers.next()?.parse().ok()?;
        let mut next = || numbers.next().map_or(Some(0), |number| number.parse().ok());
        Some(Self { major, minor: next()?, patch: next()? })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl FromStr for Version {
    type Err = String;

    /// One to three numbers, as people write the bounds of a range.
    fn from_str(text: &str) -> Result<Self, String> {
        let version = Self::leading(text).filter(|_| text.split('.').count() <= 3);
        version.ok_or_else(|| format!("`{text}` is not a version such as `3.14` or `1.9.2`"))
    }
}

/// A range such as `>=3.14, <5`: every bound holds. Of several, between `||`, one does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    text: String,
    any: Vec<Vec<(Bound, Version)>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    AtLeast,
    Below,
}

impl Range {
    /// This version and everything after it.
    pub fn at_least(version: Version) -> Self {
        Self { text: format!(">={version}"), any: vec![vec![(Bound::AtLeast, version)]] }
    }

    pub fn contains(&self, version: Version) -> bool {
        let holds = |(bound, limit): &(Bound, Version)| match bound {
            Bound::AtLeast => version >= *limit,
            Bound::Below => version < *limit,
        };
        self.any.iter().any(|bounds| bounds.iter().all(holds))
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl FromStr for Range {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bound = |part: &str| {
            let part = part.trim();
            let bound = match (part.strip_prefix(">="), part.strip_prefix('<')) {
                (Some(version), _) => Some((Bound::AtLeast, version)),
                (None, Some(version)) => Some((Bound::Below, version)),
                (None, None) => None,
            };
            let (bound, version) =
                bound.ok_or_else(|| format!("`{text}` is not a range such as `>=3.14` or `>=3.14, <5`"))?;
            Ok((bound, version.trim().parse()?))
        };
        let bounds = |one: &str| one.split(',').map(bound).collect::<Result<Vec<_>, String>>();
        let any = text.split("||").map(bounds).collect::<Result<_, String>>()?;
        Ok(Self { text: text.to_owned(), any })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_version_of_a_sentence_is_found() {
        for (text, version) in [
            ("git version 2.39.5 (Apple Git-154)", Some((2, 39, 5))),
            ("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0", Some((7, 0, 15))),
            ("aws-cli/2.15.30 Python/3.11.8", Some((2, 15, 30))),
            ("v1.32.4-dispatcher", Some((1, 32, 4))),
            ("v3.14.2+gc309b6f", Some((3, 14, 2))),
            ("git version 2.46.0.windows.1", Some((2, 46, 0))),
            ("24.04", Some((24, 4, 0))),
            ("version 5, build 7", None),
            ("go1.26.8", None),
            ("", None),
            ("99999999999999999999999.1", None),
        ] {
            assert_eq!(Version::find(text), version.map(|(a, b, c)| Version::new(a, b, c)), "{text}");
        }
    }

    #[test]
    fn a_range_holds_from_its_first_bound_up_to_its_second() {
        let range: Range = ">=3.14, <5".parse().unwrap();
        let inside = |text: &str| range.contains(text.parse().unwrap());
        assert!(inside("3.14.0") && inside("4.1.4") && inside("3.100"));
        assert!(!inside("3.13.9") && !inside("5.0.0"));
        assert_eq!(range.to_string(), ">=3.14, <5");
    }

    #[test]
    fn one_of_several_ranges_will_do() {
        let range: Range = ">=1.37, <2 || >=2.23".parse().unwrap();
        let inside = |text: &str| range.contains(text.parse().unwrap());
        assert!(inside("1.45.11") && inside("2.23") && inside("2.30.1"));
        assert!(!inside("1.36") && !inside("2.22.9"));
        assert!(">=1 ||".parse::<Range>().is_err());
    }

    #[test]
    fn what_is_not_a_range_is_refused_with_an_example() {
        for text in ["", "3.14", "^3", ">=", ">= x", ">=1.2.3.4", ">=1,"] {
            assert!(text.parse::<Range>().unwrap_err().contains("such as"), "{text}");
        }
    }
}
