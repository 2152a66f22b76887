//! The head of an HTTP request, as a server in between reads it.

use std::io::BufRead;

pub(crate) struct Head {
    lines: Vec<String>,
}

impl Head {
    /// `None` when the connection ends before its end.
    pub(crate) fn read(reader: &mut impl BufRead) -> std::io::Result<Option<Self>> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(None);
            }
            match line.trim_end() {
                "" => return Ok(Some(Self { lines })),
                line => lines.push(line.to_owned()),
            }
        }
    }

    /// `GET /v2/ HTTP/1.1`
    pub(crate) fn first(&self) -> &str {
        self.lines.first().map(String::as_str).unwrap_or_default()
    }

    /// The value of a header; its name is given in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.lines.iter().skip(1).filter_map(|line| line.split_once(':'));
        headers.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// As many bytes follow it.
    pub(crate) fn length(&self) -> u64 {
        self.header("content-length").and_then(|value| value.parse().ok()).unwrap_or_default()
    }

    /// All of it but these headers and the empty line at its end.
    pub(crate) fn without(&self, names: &[&str]) -> String {
        let is_one = |line: &str| {
            let known = line.split_once(':').map(|(name, _)| name);
            known.is_some_and(|known| names.iter().any(|name| known.eq_ignore_ascii_case(name)))
        };
        self.lines.iter().filter(|line| !is_one(line)).flat_map(|line| [line, "\r\n"]).collect()
    }
}
