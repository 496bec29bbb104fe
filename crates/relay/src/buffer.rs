//! Buffers that exist only while bytes are under way: each thread lends a few and takes them back.

use std::cell::RefCell;

/// Bytes of a buffer, and so the most that a direction holds in memory.
pub(crate) const BUFFER: usize = 64 * 1024;
/// Buffers that a thread keeps for later.
const KEPT: usize = 16;

thread_local! {
    static FREE: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer on loan.
#[derive(Debug)]
pub(crate) struct Buffer(Box<[u8]>);

// === impl Buffer ===

impl Buffer {
    /// Borrows a buffer of [`BUFFER`] bytes.
    pub(crate) fn borrow() -> Self {
        let kept = FREE.try_with(|free| free.borrow_mut().pop()).ok().flatten();
        Self(kept.unwrap_or_else(|| vec![0; BUFFER].into_boxed_slice()))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.0);
        // While a thread ends it keeps nothing: the buffer is just freed.
        let _ = FREE.try_with(|free| {
            let mut free = free.borrow_mut();
            if free.len() < KEPT {
                free.push(bytes);
            }
        });
    }
}

/// Bytes that were read and could not be written yet.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    bytes: Option<Held>,
    start: usize,
    end: usize,
}

#[derive(Debug)]
enum Held {
    Pooled(Buffer),
    Small(Box<[u8]>),
}

/// Less than this is copied, so that a slow reader of small messages does not hold a whole buffer.
const SMALL: usize = 4096;

// === impl Backlog ===

impl Backlog {
    /// Keeps `buffer[start..end]`.
    pub(crate) fn keep(&mut self, buffer: Buffer, start: usize, end: usize) {
        if end - start < SMALL {
            return self.keep_copy(&buffer.bytes()[start..end]);
        }
        *self = Self { bytes: Some(Held::Pooled(buffer)), start, end };
    }

    /// Keeps a copy of a few bytes.
    pub(crate) fn keep_copy(&mut self, bytes: &[u8]) {
        *self = Self { bytes: Some(Held::Small(bytes.into())), start: 0, end: bytes.len() };
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_none()
    }

    /// What is to be written.
    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.bytes {
            None => &[],
            Some(Held::Pooled(buffer)) => &buffer.bytes()[self.start..self.end],
            Some(Held::Small(bytes)) => &bytes[self.start..self.end],
        }
    }

    /// Tells that the first `len` bytes were written. The buffer goes back with the last one.
    pub(crate) fn written(&mut self, len: usize) {
        self.start += len;
        if self.start >= self.end {
            self.clear();
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}
