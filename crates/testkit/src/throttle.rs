//! A network between a client and a grid that can stop carrying bytes: for slow readers, and for
//! peers that are gone without a FIN.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

/// One TCP port that leads to another.
#[derive(Debug)]
pub struct Throttle {
    port: u16,
    gate: Arc<Gate>,
}

#[derive(Debug, Default)]
struct Gate {
    closed: Mutex<[bool; 2]>,
    changed: Condvar,
}

/// A way through it.
#[derive(Clone, Copy, Debug)]
pub enum Way {
    /// From the client to the grid.
    Up = 0,
    /// From the grid to the client.
    Down = 1,
}

impl Throttle {
    /// Leads to `address`. Its threads end with their connections.
    ///
    /// # Panics
    /// When there is no port.
    pub fn to(address: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let gate = Arc::<Gate>::default();
        let (address, inner) = (address.to_owned(), Arc::clone(&gate));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(grid) = TcpStream::connect(&address) else {
                    continue;
                };
                carry(&client, &grid, Way::Up, &inner);
                carry(&grid, &client, Way::Down, &inner);
            }
        });
        Self { port, gate }
    }

    /// Where a client connects instead.
    pub fn endpoint(&self) -> String {
        format!("ws://127.0.0.1:{}", self.port)
    }

    /// Stops carrying that way. The sockets stay open and fill up.
    pub fn stop(&self, way: Way) {
        self.set(way, true);
    }

    /// Carries again.
    pub fn resume(&self, way: Way) {
        self.set(way, false);
    }

    fn set(&self, way: Way, closed: bool) {
        self.gate.closed.lock().expect("no thread panics with it")[way as usize] = closed;
        self.gate.changed.notify_all();
    }
}

impl Gate {
    fn pass(&self, way: Way) {
        let mut closed = self.closed.lock().expect("no thread panics with it");
        while closed[way as usize] {
            closed = self.changed.wait(closed).expect("no thread panics with it");
        }
    }
}

fn carry(from: &TcpStream, to: &TcpStream, way: Way, gate: &Arc<Gate>) {
    let (Ok(mut from), Ok(mut to)) = (from.try_clone(), to.try_clone()) else {
        return;
    };
    let gate = Arc::clone(gate);
    std::thread::spawn(move || {
        let mut bytes = [0; 16 * 1024];
        loop {
            gate.pass(way);
            match from.read(&mut bytes) {
                Ok(n @ 1..) => {
                    // What was read while the gate closed waits as well.
                    gate.pass(way);
                    if to.write_all(&bytes[..n]).is_err() {
                        break;
                    }
                }
                _ => break,
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
}
