//! Lines out of the bytes of a log that carries times.

/// One line of one pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) pod: String,
    /// As the node writes it: of equal length, so that texts compare as times do.
    pub(super) time: String,
    pub(super) text: String,
}

/// Gathers whole lines of one pod.
pub(super) struct Lines {
    pod: String,
    rest: Vec<u8>,
    whole: Vec<Line>,
}

impl Lines {
    pub(super) fn of(pod: &str) -> Self {
        Self { pod: pod.to_owned(), rest: Vec::new(), whole: Vec::new() }
    }

    /// Always wants more.
    pub(super) fn add(&mut self, bytes: &[u8]) -> bool {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.rest.extend_from_slice(part);
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.rest);
                self.whole.push(split(&self.pod, &line));
            }
        }
        true
    }

    /// Those that have become whole since the last time.
    pub(super) fn take(&mut self) -> Vec<Line> {
        std::mem::take(&mut self.whole)
    }

    /// All of them, with the last one even if it has no end.
    pub(super) fn finish(mut self) -> Vec<Line> {
        if !self.rest.is_empty() {
            self.whole.push(split(&self.pod, &self.rest));
        }
        self.whole
    }
}

fn split(pod: &str, line: &[u8]) -> Line {
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end_matches(['\n', '\r']);
    let (time, text) = text.split_once(' ').unwrap_or((text, ""));
    Line { pod: pod.to_owned(), time: time.to_owned(), text: text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_however_they_come() {
        let mut lines = Lines::of("a");
        lines.add(b"T1 one\nT2 t");
        assert_eq!(lines.take(), [Line { pod: "a".to_owned(), time: "T1".to_owned(), text: "one".to_owned() }]);
        lines.add(b"wo\nT3\nT4 fo");
        let texts: Vec<_> = lines.finish().into_iter().map(|line| (line.time, line.text)).collect();
        assert_eq!(texts, [("T2", "two"), ("T3", ""), ("T4", "fo")].map(|(a, b)| (a.to_owned(), b.to_owned())));
    }
}
