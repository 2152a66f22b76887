//! Which glibc a program needs, and which one a library is, read from their ELF files.
//!
//! Only what both carry is read: 64-bit little-endian files with section headers. A file may be anything, also
//! damaged on purpose: every offset is checked, and a chain that leads in a circle ends.

use std::fmt;
use std::str::FromStr;

/// A version of glibc: 2.36.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Glibc {
    pub major: u32,
    pub minor: u32,
}

impl FromStr for Glibc {
    type Err = ();

    /// `2.36`, and `2.3.4` for the few that have three numbers, of which the third is of no use here.
    fn from_str(text: &str) -> Result<Self, ()> {
        let mut numbers = text.split('.').map(str::parse::<u32>);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor))) if numbers.all(|number| number.is_ok()) => Ok(Self { major, minor }),
            _ => Err(()),
        }
    }
}

impl fmt::Display for Glibc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The names of the sections that list versions.
const DEFINED: u32 = 0x6fff_fffd; // SHT_GNU_verdef
const NEEDED: u32 = 0x6fff_fffe; // SHT_GNU_verneed
/// More entries than any library has.
const LONGEST_CHAIN: usize = 1024;

/// The highest version of glibc that a program or library needs. `None` when it needs none.
///
/// # Errors
/// When the file is not one that can be read here.
pub(super) fn needed(file: &[u8]) -> Result<Option<Glibc>, &'static str> {
    highest(file, NEEDED)
}

/// The highest version that a `libc.so.6` has. `None` when it has none: it is another C library.
///
/// # Errors
/// When the file is not one that can be read here.
pub(super) fn defined(file: &[u8]) -> Result<Option<Glibc>, &'static str> {
    highest(file, DEFINED)
}

fn highest(file: &[u8], kind: u32) -> Result<Option<Glibc>, &'static str> {
    let elf = Elf::new(file)?;
    let mut highest = None;
    for index in 0..elf.sections {
        let section = elf.section(index)?;
        if section.kind == kind {
            let strings = elf.section(section.link)?;
            elf.versions(&section, kind, |name| {
                highest = highest.max(version(elf.text(&strings, name)?));
                Ok(())
            })?;
        }
    }
    Ok(highest)
}

/// `GLIBC_PRIVATE` is no version, and neither is the name of the library itself. Some names stand for an ability.
fn version(name: &str) -> Option<Glibc> {
    let number = match name.strip_prefix("GLIBC_")? {
        "ABI_DT_RELR" => "2.36",
        "ABI_GNU2_TLS" | "ABI_DT_X86_64_PLT" => "2.42",
        number => number,
    };
    number.parse().ok()
}

struct Elf<'f> {
    file: &'f [u8],
    headers: usize,
    sections: u32,
}

struct Section {
    kind: u32,
    link: u32,
    start: usize,
    length: usize,
}

const CUT_SHORT: &str = "it is not whole";
const CIRCULAR: &str = "its list of versions has no end";
/// The size of a section header.
const HEADER: usize = 64;

impl<'f> Elf<'f> {
    fn new(file: &'f [u8]) -> Result<Self, &'static str> {
        // Magic, 64 bits, little-endian.
        if file.get(..6) != Some(&[0x7f, b'E', b'L', b'F', 2, 1]) {
            return Err("it is no 64-bit ELF file");
        }
        let elf = Self { file, headers: 0, sections: 0 };
        let headers = elf.offset(40)?;
        let (size, sections) = (elf.half(58)?, elf.half(60)?);
        if sections == 0 {
            return Err("it has no section headers");
        }
        if usize::from(size) != HEADER {
            return Err("its section headers have an unknown size");
        }
        Ok(Self { headers, sections: sections.into(), ..elf })
    }

    fn bytes<const N: usize>(&self, at: usize) -> Result<[u8; N], &'static str> {
        let end = at.checked_add(N).ok_or(CUT_SHORT)?;
        self.file.get(at..end).and_then(|bytes| bytes.try_into().ok()).ok_or(CUT_SHORT)
    }

    fn half(&self, at: usize) -> Result<u16, &'static str> {
        self.bytes(at).map(u16::from_le_bytes)
    }

    fn word(&self, at: usize) -> Result<u32, &'static str> {
        self.bytes(at).map(u32::from_le_bytes)
    }

    /// A place in the file.
    fn offset(&self, at: usize) -> Result<usize, &'static str> {
        let offset = self.bytes(at).map(u64::from_le_bytes)?;
        usize::try_from(offset).map_err(|_| CUT_SHORT)
    }

    fn section(&self, index: u32) -> Result<Section, &'static str> {
        if index >= self.sections {
            return Err(CUT_SHORT);
        }
        let header = usize::try_from(index).ok().and_then(|index| index.checked_mul(HEADER));
        let header = header.and_then(|header| header.checked_add(self.headers)).ok_or(CUT_SHORT)?;
        // The last field that is read lies within these bytes, so no sum below overflows.
        self.bytes::<HEADER>(header)?;
        Ok(Section {
            kind: self.word(header + 4)?,
            link: self.word(header + 40)?,
            start: self.offset(header + 24)?,
            length: self.offset(header + 32)?,
        })
    }

    /// Hands on the place of each version's name in the section's strings.
    fn versions(
        &self,
        section: &Section,
        kind: u32,
        mut name: impl FnMut(usize) -> Result<(), &'static str>,
    ) -> Result<(), &'static str> {
        let mut left = LONGEST_CHAIN;
        self.chain(section.start, &mut left, |entry, left| match kind {
            // A file that is needed: what of it is listed 8 bytes in, the next file 12.
            NEEDED => {
                let first = self.after(entry, entry + 8)?;
                self.chain(first, left, |version, _| {
                    name(self.strings_at(version + 8)?)?;
                    self.next(version, version + 12)
                })?;
                self.next(entry, entry + 12)
            }
            // A version that is defined: its name leads the list 12 bytes in, what it builds on follows.
            _ => {
                let first = self.after(entry, entry + 12)?;
                name(self.strings_at(first)?)?;
                self.next(entry, entry + 16)
            }
        })
    }

    /// Follows a chain from its first entry, as long as `visit` names a next one.
    fn chain(
        &self,
        first: usize,
        left: &mut usize,
        mut visit: impl FnMut(usize, &mut usize) -> Result<Option<usize>, &'static str>,
    ) -> Result<(), &'static str> {
        let mut next = Some(first);
        while let Some(entry) = next {
            *left = left.checked_sub(1).ok_or(CIRCULAR)?;
            // Entries are at most this long, so the sums of the visitor cannot overflow.
            self.bytes::<8>(entry)?;
            next = visit(entry, left)?;
        }
        Ok(())
    }

    /// Where the distance written at `field` leads from `entry`.
    fn after(&self, entry: usize, field: usize) -> Result<usize, &'static str> {
        let distance = usize::try_from(self.word(field)?).map_err(|_| CUT_SHORT)?;
        entry.checked_add(distance).ok_or(CUT_SHORT)
    }

    /// The same where nothing means the end.
    fn next(&self, entry: usize, field: usize) -> Result<Option<usize>, &'static str> {
        let next = self.after(entry, field)?;
        Ok(Some(next).filter(|next| *next != entry))
    }

    fn strings_at(&self, field: usize) -> Result<usize, &'static str> {
        usize::try_from(self.word(field)?).map_err(|_| CUT_SHORT)
    }

    fn text(&self, strings: &Section, at: usize) -> Result<&'f str, &'static str> {
        let end = strings.start.checked_add(strings.length);
        let all = end.and_then(|end| self.file.get(strings.start..end)).ok_or(CUT_SHORT)?;
        let rest = all.get(at..).ok_or(CUT_SHORT)?;
        let end = rest.iter().position(|byte| *byte == 0).ok_or(CUT_SHORT)?;
        std::str::from_utf8(&rest[..end]).map_err(|_| "the name of a version is no text")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with two sections: one of versions, and the strings that it links to.
    fn file(kind: u32, versions: &[u8], strings: &[u8]) -> Vec<u8> {
        let mut file = vec![0; 64];
        file[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1]);
        let places = [versions, strings].map(|content| {
            let start = file.len();
            file.extend_from_slice(content);
            (start, content.len())
        });
        let headers = file.len() as u64;
        file[40..48].copy_from_slice(&headers.to_le_bytes());
        file[58..62].copy_from_slice(&[64, 0, 2, 0]);
        for ((start, length), kind) in places.into_iter().zip([kind, 3]) {
            let mut header = [0; 64];
            header[4..8].copy_from_slice(&kind.to_le_bytes());
            header[24..32].copy_from_slice(&(start as u64).to_le_bytes());
            header[32..40].copy_from_slice(&(length as u64).to_le_bytes());
            header[40..44].copy_from_slice(&1_u32.to_le_bytes());
            file.extend_from_slice(&header);
        }
        file
    }

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// One needed file with these versions by the places of their names.
    fn needs(names: &[u32]) -> Vec<u8> {
        let mut entries = words(&[1, 0, 16, 0]);
        for (index, name) in names.iter().enumerate() {
            let next = if index + 1 == names.len() { 0 } else { 16 };
            entries.extend(words(&[0, 0, *name, next]));
        }
        entries
    }

    const STRINGS: &[u8] = b"\0GLIBC_2.17\0GLIBC_2.4\0GLIBC_PRIVATE\0GLIBC_ABI_DT_RELR\0";

    #[test]
    fn the_highest_needed_version_counts_and_numbers_are_no_text() {
        let glibc = |text: &str| text.parse::<Glibc>().ok();
        assert_eq!(needed(&file(NEEDED, &needs(&[1, 12, 22]), STRINGS)), Ok(glibc("2.17")));
        assert_eq!(needed(&file(NEEDED, &needs(&[22]), STRINGS)), Ok(None));
        assert_eq!(needed(&file(NEEDED, &needs(&[12, 36]), STRINGS)), Ok(glibc("2.36")));
        assert!(glibc("2.100") > glibc("2.36") && glibc("2.3.4") == glibc("2.3") && glibc("x").is_none());
    }

    #[test]
    fn what_a_library_defines() {
        // Two definitions, each with its name 20 bytes in.
        let definition = |name, next| words(&[1, 1, 0, 20, next, name, 0]);
        let entries = [definition(12, 28), definition(1, 0)].concat();
        assert_eq!(defined(&file(DEFINED, &entries, STRINGS)), Ok("2.17".parse().ok()));
    }

    #[test]
    fn a_chain_in_a_circle_ends() {
        let back = words(&[1, 0, 16, 0, 0, 0, 1, 0]);
        let mut circle = back.clone();
        // The next one of the first is 16 bytes on, and the next one of that so far on that it is the first again.
        circle[12..16].copy_from_slice(&16_u32.to_le_bytes());
        circle[28..32].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(needed(&file(NEEDED, &circle, STRINGS)).is_err());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_very_program_needs_what_this_machine_has() {
        let own = std::fs::read("/proc/self/exe").unwrap();
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let library = maps.split_whitespace().find(|word| word.ends_with("/libc.so.6"));
        let Some(library) = library else { return };
        let has = defined(&std::fs::read(library).unwrap()).unwrap();
        assert!(needed(&own).unwrap() <= has && has.is_some_and(|has| has.major == 2), "{has:?}");
    }

    #[test]
    fn whatever_a_file_holds_it_is_read_or_refused() {
        let whole = file(NEEDED, &needs(&[1, 12, 22]), STRINGS);
        for length in 0..whole.len() {
            let _ = needed(&whole[..length]);
        }
        let mut seed = 0x2545_f491_4f6c_dd1d_u64;
        let mut random = move || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            usize::try_from(seed >> 16).unwrap()
        };
        for _ in 0..5_000 {
            let mut damaged = whole.clone();
            for _ in 0..1 + random() % 4 {
                let at = 6 + random() % (damaged.len() - 6);
                damaged[at] = [0, 1, 0x7f, 0xff, (random() % 256) as u8][random() % 5];
            }
            let _ = (needed(&damaged), defined(&damaged));
        }
        for garbage in [&b""[..], b"#!/bin/sh", &[0x7f; 64]] {
            assert!(needed(garbage).is_err());
        }
    }
}
