//! Reads an answer from its connection.

use super::stream::Stream;
use super::{Exchange, HttpError, Lost, Response, failed};
use std::io::ErrorKind;
use std::time::Duration;

/// More than any answer here has; what is larger is not read to its end.
const LARGEST_HEAD: usize = 64 * 1024;
const LARGEST_BODY: usize = 16 * 1024 * 1024;

/// How long a wait goes on before it looks whether it should stop.
const SLICE: Duration = Duration::from_millis(50);

/// An answer on its way.
pub(super) struct Incoming<'s> {
    stream: Stream,
    exchange: Exchange<'s>,
    /// What has come and was not looked at yet.
    buffer: Vec<u8>,
}

impl<'s> Incoming<'s> {
    pub(super) fn new(stream: Stream, exchange: Exchange<'s>) -> Self {
        let buffer = Vec::new();
        Self { stream, exchange, buffer }
    }

    pub(super) fn read_response(&mut self, bodiless: bool) -> Result<Response, HttpError> {
        let mut response = self.read_start()?;
        if !bodiless && response.status != 204 && response.status != 304 {
            response.body = self.read_body(&response)?;
        }
        Ok(response)
    }

    /// Hands on the body of a good answer as it comes; that of any other one is part of the result.
    pub(super) fn stream_response(&mut self, sink: &mut dyn FnMut(&[u8]) -> bool) -> Result<Response, HttpError> {
        let mut response = self.read_start()?;
        if !response.is_success() {
            response.body = self.read_body(&response)?;
        } else if is_chunked(&response) {
            while let Some(chunk) = self.next_chunk()? {
                if !sink(&chunk) {
                    break;
                }
            }
        } else if response.header("content-length").is_some() {
            sink(&self.read_body(&response)?);
        } else {
            while self.read_more()? && sink(&std::mem::take(&mut self.buffer)) {}
        }
        Ok(response)
    }

    /// All but the body.
    fn read_start(&mut self) -> Result<Response, HttpError> {
        loop {
            let (status, headers) = self.read_head()?;
            // Interim answers such as `100 Continue` come before the one that counts.
            if !(100..200).contains(&status) {
                return Ok(Response { status, headers, body: Vec::new() });
            }
        }
    }

    fn read_head(&mut self) -> Result<(u16, Vec<(String, String)>), HttpError> {
        loop {
            if let Some((length, head)) = parse_head(&self.buffer)? {
                self.buffer.drain(..length);
                return Ok(head);
            }
            if self.buffer.len() > LARGEST_HEAD {
                return Err(HttpError::new("the head of the answer does not end".to_owned()));
            }
            if !self.read_more()? {
                let nothing = self.buffer.is_empty();
                let what = if nothing { "without an answer" } else { "in the middle of the answer" };
                return Err(HttpError::new(format!("the connection was closed {what}")));
            }
        }
    }

    /// Source: RFC 9112 section 6.3.
    fn read_body(&mut self, response: &Response) -> Result<Vec<u8>, HttpError> {
        if is_chunked(response) {
            return self.read_chunks();
        }
        match response.header("content-length") {
            Some(text) => {
                let refuse =
                    |_| HttpError::new(format!("malformed `content-length` in the answer: `{}`", text.escape_debug()));
                let length = text.trim().parse().map_err(refuse)?;
                self.take(length)
            }
            None => {
                while self.read_more()? {
                    check_size(self.buffer.len())?;
                }
                Ok(std::mem::take(&mut self.buffer))
            }
        }
    }

    fn read_chunks(&mut self) -> Result<Vec<u8>, HttpError> {
        let mut body = Vec::new();
        while let Some(chunk) = self.next_chunk()? {
            check_size(body.len().saturating_add(chunk.len()))?;
            body.extend(chunk);
        }
        Ok(body)
    }

    /// The next part of a body, unless that was the last.
    fn next_chunk(&mut self) -> Result<Option<Vec<u8>>, HttpError> {
        let size = self.read_chunk_size()?;
        if size == 0 {
            // Trailers may follow; the connection ends with them.
            return Ok(None);
        }
        let chunk = self.take(size)?;
        if self.take(2)? != b"\r\n" {
            return Err(HttpError::new("malformed chunk in the answer".to_owned()));
        }
        Ok(Some(chunk))
    }

    fn read_chunk_size(&mut self) -> Result<usize, HttpError> {
        loop {
            let malformed = || HttpError::new("malformed chunk in the answer".to_owned());
            match httparse::parse_chunk_size(&self.buffer).map_err(|_| malformed())? {
                httparse::Status::Complete((length, size)) => {
                    self.buffer.drain(..length);
                    return usize::try_from(size).map_err(|_| malformed());
                }
                httparse::Status::Partial if self.buffer.len() > LARGEST_HEAD => {
                    return Err(malformed());
                }
                httparse::Status::Partial => self.need_more()?,
            }
        }
    }

    /// Exactly so many bytes.
    fn take(&mut self, length: usize) -> Result<Vec<u8>, HttpError> {
        check_size(length)?;
        while self.buffer.len() < length {
            self.need_more()?;
        }
        let rest = self.buffer.split_off(length);
        Ok(std::mem::replace(&mut self.buffer, rest))
    }

    fn need_more(&mut self) -> Result<(), HttpError> {
        if self.read_more()? {
            return Ok(());
        }
        Err(HttpError::new("the connection was closed in the middle of the answer".to_owned()))
    }

    /// Waits for more bytes; false at the end of the stream.
    fn read_more(&mut self) -> Result<bool, HttpError> {
        let mut bytes = [0; 8192];
        loop {
            let slice = self.exchange.left(SLICE)?;
            match self.stream.read(&mut bytes, slice) {
                Ok(0) => return Ok(false),
                Ok(count) => {
                    self.buffer.extend_from_slice(&bytes[..count]);
                    return Ok(true);
                }
                Err(error) if is_pause(error.kind()) => {}
                Err(error) => return Err(failed("read the answer", &error)),
            }
        }
    }
}

fn is_chunked(response: &Response) -> bool {
    let coding = response.header("transfer-encoding").unwrap_or_default();
    coding.to_ascii_lowercase().trim_end().ends_with("chunked")
}

/// Whether reading may go on: the slice has passed (which of the two depends on the system), or a signal came.
fn is_pause(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

fn check_size(length: usize) -> Result<(), HttpError> {
    if length > LARGEST_BODY {
        let words = "the answer is larger than 16 MiB".to_owned();
        return Err(HttpError { words, what: Lost::TooLarge });
    }
    Ok(())
}

/// An answer that has come as a whole, its body no longer in parts.
pub(super) fn whole(mut bytes: &[u8]) -> Result<Response, HttpError> {
    loop {
        let Some((length, (status, headers))) = parse_head(bytes)? else {
            return Err(HttpError::new("the connection was closed without an answer".to_owned()));
        };
        bytes = bytes.get(length..).unwrap_or_default();
        if !(100..200).contains(&status) {
            return Ok(Response { status, headers, body: bytes.to_vec() });
        }
    }
}

type Head = (u16, Vec<(String, String)>);

/// The head of an answer and its length in bytes, once it is complete.
fn parse_head(bytes: &[u8]) -> Result<Option<(usize, Head)>, HttpError> {
    let mut headers = [httparse::EMPTY_HEADER; 128];
    let mut parsed = httparse::Response::new(&mut headers);
    let length = match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => {
            let start: String = String::from_utf8_lossy(bytes).chars().take(40).collect();
            let start = start.escape_debug();
            return Err(HttpError::new(format!("the answer is not HTTP: {error} (it starts with `{start}`)")));
        }
    };
    let headers = parsed.headers.iter().map(|header| {
        let value = String::from_utf8_lossy(header.value).into_owned();
        (header.name.to_ascii_lowercase(), value)
    });
    let head = (parsed.code.unwrap_or_default(), headers.collect());
    Ok(Some((length, head)))
}
