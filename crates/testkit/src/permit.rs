//! How many grids may run at once: each is a Node process and browsers, on few cores.

use std::sync::{Condvar, Mutex};

const AT_ONCE: u32 = 3;

static TAKEN: Mutex<u32> = Mutex::new(0);
static FREED: Condvar = Condvar::new();

/// The right to run a grid.
#[derive(Debug)]
pub(crate) struct Permit(());

impl Permit {
    /// Waits for one.
    ///
    /// # Panics
    /// Never: nothing panics with the lock held.
    pub(crate) fn take() -> Self {
        let mut taken = TAKEN.lock().expect("nothing panics with it");
        while *taken >= AT_ONCE {
            taken = FREED.wait(taken).expect("nothing panics with it");
        }
        *taken += 1;
        Self(())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Ok(mut taken) = TAKEN.lock() {
            *taken -= 1;
            FREED.notify_one();
        }
    }
}
