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
const LONGEST_CHAIN: usize = 4096;

/// The highest version of glibc that a program or library needs. `None` when it needs none.
///
/// # Errors
/// When the file is not one that can be read here.
pub fn needed(file: &[u8]) -> Result<Option<Glibc>, &'static str> {
    highest(file, NEEDED)
}

/// The highest version that a `libc.so.6` has. `None` when it has none: it is another C library.
///
/// # Errors
/// When the file is not one that can be read here.
pub fn defined(file: &[u8]) -> Result<Option<Glibc>, &'static str> {
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
