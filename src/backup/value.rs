//! Finds the end of a JSON value, however its bytes are split into chunks. Does not look at its content.
//!
//! It counts depth instead of recursing, so nesting costs nothing.

use memchr::memchr2;

/// The position inside one JSON value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ValueScanner {
    depth: u64,
    in_string: bool,
    escape: bool,
    scalar: bool,
}

impl ValueScanner {
    /// Scans from `begin` to the end of the value or of the chunk. Returns where it stopped, and whether the value is
    /// complete.
    pub(super) fn advance(&mut self, chunk: &[u8], begin: usize) -> (usize, bool) {
        let mut at = begin;
        while at < chunk.len() {
            if self.in_string {
                if self.escape {
                    self.escape = false;
                    at += 1;
                    continue;
                }
                match memchr2(b'"', b'\\', &chunk[at..]) {
                    None => return (chunk.len(), false),
                    Some(found) => {
                        at += found + 1;
                        if chunk[at - 1] == b'\\' {
                            self.escape = true;
                        } else {
                            self.in_string = false;
                            if self.depth == 0 {
                                return (at, true);
                            }
                        }
                    }
                }
                continue;
            }
            match chunk[at] {
                // The byte that ends a number or a literal belongs to the surrounding structure.
                b',' | b'}' | b']' if self.scalar => return (at, true),
                byte if self.scalar && byte.is_ascii_whitespace() => return (at, true),
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return (at + 1, true);
                    }
                }
                _ if self.depth == 0 => self.scalar = true,
                _ => {}
            }
            at += 1;
        }
        (at, false)
    }
}
