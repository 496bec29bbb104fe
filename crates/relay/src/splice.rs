//! Large payloads pass through a pipe in the kernel and are never copied into this process.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with};

/// What a pipe is asked to hold.
pub(crate) const PIPE: usize = 256 * 1024;
/// A shorter rest of a payload is copied: two calls for the pipe cost more than they save.
pub(crate) const WORTH_IT: u64 = 64 * 1024;
/// Pipes that a thread keeps for later.
const KEPT: usize = 4;
/// Pipes of this process. Whoever gets none copies, so that slow readers of large frames cannot take all descriptors.
const MOST: usize = 64;

static OPEN: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static FREE: RefCell<Vec<Ends>> = const { RefCell::new(Vec::new()) };
}

#[derive(Debug)]
struct Ends {
    read: OwnedFd,
    write: OwnedFd,
}

/// A pipe on loan, and how much is in it.
#[derive(Debug)]
pub(crate) struct Pipe {
    ends: Option<Ends>,
    pub(crate) held: usize,
}

// === impl Pipe ===

impl Pipe {
    /// Borrows an empty pipe, unless there are too many.
    pub(crate) fn borrow() -> Option<Self> {
        let kept = FREE.try_with(|free| free.borrow_mut().pop()).ok().flatten();
        let ends = kept.or_else(Ends::open)?;
        Some(Self { ends: Some(ends), held: 0 })
    }

    /// Takes up to `len` bytes out of a socket.
    pub(crate) fn fill(&mut self, from: impl AsFd, len: usize) -> io::Result<usize> {
        let Some(ends) = &self.ends else { return Ok(0) };
        let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
        let len = rustix::pipe::splice(from, None, &ends.write, None, len.min(PIPE), flags)?;
        self.held += len;
        Ok(len)
    }

    /// Takes out what is held: for when it cannot wait for the socket here.
    pub(crate) fn empty(mut self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.held];
        let Some(ends) = &self.ends else { return Ok(bytes) };
        while self.held > 0 {
            let at = bytes.len() - self.held;
            match rustix::io::read(&ends.read, &mut bytes[at..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(len) => self.held -= len,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(bytes)
    }

    /// Gives what is held to a socket, or a part of it.
    pub(crate) fn drain(&mut self, to: impl AsFd) -> io::Result<usize> {
        let Some(ends) = &self.ends else { return Ok(0) };
        let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
        let len = rustix::pipe::splice(&ends.read, None, to, None, self.held, flags)?;
        self.held -= len;
        Ok(len)
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        // A pipe that still holds somebody's bytes is closed, never lent again.
        if let Some(ends) = self.ends.take().filter(|_| self.held == 0) {
            let _ = FREE.try_with(|free| {
                let mut free = free.borrow_mut();
                if free.len() < KEPT {
                    free.push(ends);
                }
            });
        }
    }
}

// === impl Ends ===

impl Ends {
    fn open() -> Option<Self> {
        if OPEN.fetch_add(1, Ordering::Relaxed) >= MOST {
            OPEN.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let Ok((read, write)) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK) else {
            OPEN.fetch_sub(1, Ordering::Relaxed);
            return None;
        };
        // A smaller pipe works too.
        let _ = fcntl_setpipe_size(&write, PIPE);
        Some(Self { read, write })
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Ordering::Relaxed);
    }
}
