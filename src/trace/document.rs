//! Bytes to text: gzip, byte order mark, UTF-8.

use std::io::Read;

use super::error::LoadError;
use crate::json;

/// Default limit on one document after decompression: 2 GiB, more than the traces of a long CI run.
pub const DEFAULT_MAX_BYTES: u64 = 2 << 30;

/// The first bytes of every gzip file.
pub const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];

/// The mark that some programs put in front of UTF-8 text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// One input, as text, with the name to use in messages.
#[derive(Debug)]
pub struct Document {
    name: String,
    text: String,
}

impl Document {
    /// Reads a document to its end; gzip is recognised by its magic number, a byte order mark is dropped.
    ///
    /// # Errors
    /// `TooLarge` beyond `max_bytes` of text, `BadGzip`, `NotUtf8`. The outer result holds faults of `source`.
    pub fn read(
        name: impl Into<String>,
        mut source: impl Read,
        max_bytes: u64,
    ) -> std::io::Result<Result<Self, LoadError>> {
        let name = name.into();
        let mut head = Vec::with_capacity(2);
        source.by_ref().take(2).read_to_end(&mut head)?;
        if head == GZIP_MAGIC {
            let mut decoder = flate2::read::MultiGzDecoder::new(head.as_slice().chain(source));
            let mut bytes = Vec::new();
            return Ok(match decoder.by_ref().take(max_bytes.saturating_add(1)).read_to_end(&mut bytes) {
                Ok(_) => Self::from_bytes(name, bytes, max_bytes),
                Err(error) => Err(LoadError::BadGzip { document: name, reason: error.to_string() }),
            });
        }
        let mut bytes = head;
        source.take(max_bytes).read_to_end(&mut bytes)?;
        Ok(Self::from_bytes(name, bytes, max_bytes))
    }

    /// Takes bytes that are already decompressed.
    ///
    /// # Errors
    /// `TooLarge` and `NotUtf8`.
    pub fn from_bytes(
        name: impl Into<String>,
        mut bytes: Vec<u8>,
        max_bytes: u64,
    ) -> Result<Self, LoadError> {
        let name = name.into();
        if bytes.len() as u64 > max_bytes {
            return Err(LoadError::TooLarge { document: name, limit_bytes: max_bytes });
        }
        let mark = if bytes.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        bytes.drain(..mark);
        json::repair_lone_surrogates(&mut bytes);
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self { name, text }),
            Err(error) => {
                Err(LoadError::NotUtf8 { document: name, offset: mark + error.utf8_error().valid_up_to() })
            }
        }
    }

    /// The name for messages, as the user wrote it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }
}
