//! A response body in parts, most of which lie in a file.

use std::{fs::File, io, ops::Range, os::unix::fs::FileExt, sync::Arc};

/// The parts of a response body, in order. An endless body continues after the last part.
#[derive(Default)]
pub(crate) struct Body {
    parts: Vec<Part>,
    /// The position at which each part ends.
    ends: Vec<u64>,
    endless: bool,
}

enum Part {
    Text(Vec<u8>),
    /// A range of bytes of a file.
    Stored(Arc<File>, Range<u64>),
}

impl Body {
    pub(crate) fn text(text: impl Into<Vec<u8>>) -> Self {
        let text = text.into();
        Self {
            ends: vec![text.len() as u64],
            parts: vec![Part::Text(text)],
            endless: false,
        }
    }

    /// Makes the body continue with the letter A for ever.
    pub(crate) fn endless(self) -> Self {
        Self { endless: true, ..self }
    }

    pub(crate) fn push_text(&mut self, text: &str) {
        if let (Some(Part::Text(last)), Some(end)) = (self.parts.last_mut(), self.ends.last_mut()) {
            last.extend_from_slice(text.as_bytes());
            *end += text.len() as u64;
        } else {
            self.push(Part::Text(text.into()), text.len() as u64);
        }
    }

    /// Appends all parts of another body.
    pub(crate) fn push_body(&mut self, other: Body) {
        let mut start = 0;
        for (part, end) in other.parts.into_iter().zip(other.ends) {
            self.push(part, end - start);
            start = end;
        }
    }

    pub(crate) fn push_stored(&mut self, file: &Arc<File>, part: Range<u64>) {
        if !part.is_empty() {
            let length = part.end - part.start;
            self.push(Part::Stored(Arc::clone(file), part), length);
        }
    }

    fn push(&mut self, part: Part, length: u64) {
        let start = self.ends.last().copied().unwrap_or(0);
        self.parts.push(part);
        self.ends.push(start + length);
    }

    /// Reads from a position onwards, across parts. Only the end of the body leaves a part of the buffer unfilled.
    pub(crate) fn read(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            let length = self.read_part(position + filled as u64, &mut buffer[filled..])?;
            if length == 0 {
                break;
            }
            filled += length;
        }
        Ok(filled)
    }

    fn read_part(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let number = self.ends.partition_point(|end| *end <= position);
        let Some(part) = self.parts.get(number) else {
            if self.endless {
                buffer.fill(b'A');
                return Ok(buffer.len());
            }
            return Ok(0);
        };
        let rest = usize::try_from(self.ends[number] - position).unwrap_or(usize::MAX);
        let length = rest.min(buffer.len());
        let buffer = &mut buffer[..length];
        match part {
            Part::Text(text) => buffer.copy_from_slice(&text[text.len() - rest..][..length]),
            // It is in the page cache, so this hardly ever blocks.
            Part::Stored(file, part) => file.read_exact_at(buffer, part.end - rest as u64)?,
        }
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::Body;
    use crate::{Config, Truth, store::Store};

    #[test]
    fn parts_read_as_one_from_any_position() {
        let truth = Truth::new(&Config {
            keys: 2,
            ..Config::default()
        });
        let store = Store::new(&truth, 1, [9; 32]).expect("the file can be written");
        let mut body = Body::text("<");
        body.push_stored(store.file(), 0..10);
        body.push_stored(store.file(), 5..5);
        body.push_text("|");
        body.push_text("|");
        body.push_stored(store.file(), 1..6);
        let whole = br#"<{"rooms":{||"room"#;
        for start in 0..=whole.len() {
            for length in 1..=whole.len() {
                let mut buffer = vec![0; length];
                let read = body.read(start as u64, &mut buffer).expect("it can be read");
                assert_eq!(buffer[..read], whole[start..whole.len().min(start + length)]);
            }
        }
        let mut buffer = [0; 4];
        assert_eq!(body.endless().read(16, &mut buffer).expect("it can be read"), 4);
        assert_eq!(&buffer, b"omAA");
    }
}
