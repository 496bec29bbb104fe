//! How many grids may run at once: each is a Node process and browsers, on few cores.

use std::sync::{Condvar, Mutex};

const AT_ONCE: u32 = 3;

/// What a fleet counts as, however many it is.
pub(crate) const FLEET: u32 = 2;

static TAKEN: Mutex<u32> = Mutex::new(0);
static FREED: Condvar = Condvar::new();

/// The right to run so many grids.
#[derive(Debug)]
pub(crate) struct Permit(u32);

impl Permit {
    /// Waits for one.
    ///
    /// # Panics
    /// Never: nothing panics with the lock held.
    pub(crate) fn take(count: u32) -> Self {
        let mut taken = TAKEN.lock().expect("nothing panics with it");
        while *taken + count > AT_ONCE {
            taken = FREED.wait(taken).expect("nothing panics with it");
        }
        *taken += count;
        Self(count)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Ok(mut taken) = TAKEN.lock() {
            *taken -= self.0;
            FREED.notify_all();
        }
    }
}
