//! The simulated network: machines, links that can be cut one way, and connections that deliver in
//! order, stall while a link is cut, and break by a reset or by silence. What TCP does, no more.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::Duration;

use flotilla_core::pool::Moment;

use crate::msg::Msg;
use crate::world::{Event, Heard, Me, Name, World};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ConnId(pub(crate) u64);

impl fmt::Debug for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}", self.0)
    }
}

/// How a process leaves its connections behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parting {
    /// Its kernel closes them, and goes on trying to say so.
    Closed,
    /// Its kernel resets them, and says so once.
    Reset,
    /// Its machine is gone, and nobody says anything.
    Silent,
}

#[derive(Debug, Default)]
pub(crate) struct Net {
    conns: BTreeMap<ConnId, Conn>,
    made: u64,
    /// Who listens where.
    listeners: BTreeMap<String, Name>,
    /// On which machine an address is.
    addresses: BTreeMap<String, Name>,
    /// Links that are cut, each as often as something cuts it.
    cuts: BTreeMap<(Name, Name), u32>,
    slow: BTreeMap<(Name, Name), Duration>,
    down: BTreeMap<Name, u32>,
}

#[derive(Debug)]
struct Conn {
    address: String,
    ends: [End; 2],
    /// What is on its way from each end.
    packets: [VecDeque<(Moment, Packet)>; 2],
}

#[derive(Clone, Copy, Debug)]
struct End {
    host: Name,
    /// Who holds it; nobody before it is accepted.
    me: Option<Me>,
    open: bool,
    /// When something last came here.
    heard: Moment,
}

#[derive(Debug)]
enum Packet {
    SynAck,
    Data(Msg),
    Fin,
}

// === what processes do ===

impl World {
    /// Starts to listen on an address of the process's machine.
    pub(crate) fn listen(&mut self, me: Me, address: &str) {
        let host = self.procs[&me.name].host;
        self.net.addresses.insert(address.to_owned(), host);
        self.net.listeners.insert(address.to_owned(), me.name);
    }

    /// Begins to connect. The caller keeps the time that it may take.
    pub(crate) fn connect(&mut self, me: Me, address: &str) -> ConnId {
        self.net.made += 1;
        let conn = ConnId(self.net.made);
        let host = self.procs[&me.name].host;
        let there = self.net.addresses.get(address).copied();
        let end = End { host, me: Some(me), open: true, heard: self.now };
        // A machine that never was does not answer.
        let far = End { host: there.unwrap_or(host), me: None, open: false, heard: self.now };
        let made =
            Conn { address: address.to_owned(), ends: [end, far], packets: Default::default() };
        self.net.conns.insert(conn, made);
        if there.is_some() {
            let at = self.now + self.latency(host, far.host);
            self.push(at, Event::Syn { conn, tries: 0 });
        }
        conn
    }

    pub(crate) fn send(&mut self, me: Me, conn: ConnId, msg: Msg) {
        if let Some(from) = self.net.open_end(me, conn) {
            self.packet(conn, from, Packet::Data(msg));
        }
    }

    /// Closes the process's end. What was sent before still arrives.
    pub(crate) fn close(&mut self, me: Me, conn: ConnId) {
        if let Some(from) = self.net.open_end(me, conn) {
            self.part(conn, from, Parting::Closed);
        }
    }

    /// When this end last heard anything.
    pub(crate) fn heard_at(&self, me: Me, conn: ConnId) -> Moment {
        let end = self.net.open_end(me, conn);
        end.map_or(Moment::ZERO, |end| self.net.conns[&conn].ends[end].heard)
    }
}

// === what the network does ===

impl World {
    pub(crate) fn syn(&mut self, conn: ConnId, tries: u32) {
        let Some(found) = self.net.conns.get(&conn) else { return };
        let [near, far] = found.ends;
        if !near.open {
            self.net.conns.remove(&conn);
            return;
        }
        if !self.net.passes(near.host, far.host) {
            if tries < 6 {
                let wait = Duration::from_secs(1 << tries);
                self.push(self.now + wait, Event::Syn { conn, tries: tries + 1 });
            }
            return;
        }
        let listener = self.net.listeners.get(&found.address).copied();
        match listener.and_then(|name| self.me(name)) {
            Some(me) => {
                self.net.accept(conn, me, self.now);
                self.emit(me, conn, Heard::Accepted);
                self.packet(conn, 1, Packet::SynAck);
            }
            None => {
                let at = self.now + self.latency(far.host, near.host);
                self.push(at, Event::Refuse { conn });
            }
        }
    }

    pub(crate) fn refuse(&mut self, conn: ConnId) {
        let Some(found) = self.net.conns.get(&conn) else { return };
        let [near, far] = found.ends;
        if let Some(me) = near.me.filter(|_| near.open && self.net.passes(far.host, near.host)) {
            self.net.conns.remove(&conn);
            self.emit(me, conn, Heard::Refused);
        }
    }

    pub(crate) fn pump(&mut self, conn: ConnId, from: usize) {
        while let Some(found) = self.net.conns.get_mut(&conn) {
            let (near, far) = (found.ends[from], found.ends[1 - from]);
            let due = found.packets[from].front().is_some_and(|(ready, _)| *ready <= self.now);
            if !due || !self.net.passes(near.host, far.host) {
                break;
            }
            let packet = self.net.conns.get_mut(&conn).and_then(|c| c.packets[from].pop_front());
            let Some((_, packet)) = packet else { break };
            self.arrive(conn, 1 - from, packet);
        }
        self.net.sweep(conn);
    }

    fn arrive(&mut self, conn: ConnId, to: usize, packet: Packet) {
        let Some(found) = self.net.conns.get(&conn) else { return };
        let end = found.ends[to];
        let Some(me) = end.me.filter(|me| end.open && self.is_alive(*me)) else {
            // Nobody holds this end any more, and its machine says so.
            if !matches!(packet, Packet::Fin) {
                self.reset(conn, 1 - to);
            }
            return;
        };
        if let Some(found) = self.net.conns.get_mut(&conn) {
            found.ends[to].heard = self.now;
        }
        let heard = match packet {
            Packet::SynAck => Heard::Connected,
            Packet::Data(msg) => Heard::Said(msg),
            Packet::Fin => Heard::Eof,
        };
        self.emit(me, conn, heard);
    }

    pub(crate) fn rst(&mut self, conn: ConnId, to: usize) {
        let Some(found) = self.net.conns.get_mut(&conn) else { return };
        let (near, far) = (found.ends[1 - to], found.ends[to]);
        if !self.net.passes(near.host, far.host) {
            return;
        }
        let Some(found) = self.net.conns.get_mut(&conn) else { return };
        found.packets[1 - to].clear();
        let was_open = std::mem::replace(&mut found.ends[to].open, false);
        if let Some(me) = far.me.filter(|me| was_open && self.is_alive(*me)) {
            self.emit(me, conn, Heard::Reset);
        }
        self.net.sweep(conn);
    }

    /// An end is given up, by its process or with it.
    fn part(&mut self, conn: ConnId, from: usize, parting: Parting) {
        let Some(found) = self.net.conns.get_mut(&conn) else { return };
        found.ends[from].open = false;
        let made = found.ends[1].me.is_some();
        match parting {
            Parting::Closed if made => self.packet(conn, from, Packet::Fin),
            Parting::Reset if made => {
                found.packets[from].clear();
                self.reset(conn, 1 - from);
            }
            _ => found.packets[from].clear(),
        }
        self.net.sweep(conn);
    }

    /// A process is gone; its connections go as its end was.
    pub(crate) fn part_all(&mut self, me: Me, parting: Parting) {
        self.net.listeners.retain(|_, name| *name != me.name);
        for (conn, end) in self.net.held_by(me) {
            self.part(conn, end, parting);
        }
    }

    /// Something between the machines forgets a connection: both ends are told, or only one.
    pub(crate) fn break_conn(&mut self, conn: ConnId, both: bool) {
        self.reset(conn, 0);
        if both {
            self.reset(conn, 1);
        } else if let Some(found) = self.net.conns.get_mut(&conn) {
            found.packets.iter_mut().for_each(VecDeque::clear);
        }
    }

    fn reset(&mut self, conn: ConnId, to: usize) {
        let Some(found) = self.net.conns.get(&conn) else { return };
        // Behind what is on its way already.
        let last = found.packets[1 - to].back().map_or(Moment::ZERO, |(ready, _)| *ready);
        let at = self.now + self.latency(found.ends[1 - to].host, found.ends[to].host);
        self.push(at.max(last), Event::Rst { conn, to });
    }

    fn packet(&mut self, conn: ConnId, from: usize, packet: Packet) {
        let Some(found) = self.net.conns.get(&conn) else { return };
        let latency = self.latency(found.ends[from].host, found.ends[1 - from].host);
        let Some(found) = self.net.conns.get_mut(&conn) else { return };
        let last = found.packets[from].back().map_or(Moment::ZERO, |(ready, _)| *ready);
        let ready = last.max(self.now + latency);
        found.packets[from].push_back((ready, packet));
        self.push(ready, Event::Pump { conn, from });
    }

    /// Always through the queue, so that what a paused process gets stays in order.
    fn emit(&mut self, me: Me, conn: ConnId, heard: Heard) {
        let at = self.now.max(self.paused_until(me));
        self.push(at, Event::Net { me, conn, heard });
    }

    fn latency(&mut self, from: Name, to: Name) -> Duration {
        let slow = self.net.slow.get(&(from, to)).copied().unwrap_or_default();
        slow + Duration::from_micros(self.rng.number(100..1500))
    }
}

// === what faults do ===

impl World {
    pub(crate) fn cut(&mut self, from: Name, to: Name) {
        *self.net.cuts.entry((from, to)).or_default() += 1;
    }

    pub(crate) fn uncut(&mut self, from: Name, to: Name) {
        if let Some(cuts) = self.net.cuts.get_mut(&(from, to)) {
            *cuts -= 1;
            if *cuts == 0 {
                self.net.cuts.remove(&(from, to));
            }
        }
        self.flow(|f, t| (f, t) == (from, to));
    }

    pub(crate) fn slow_down(&mut self, from: Name, to: Name, by: Duration) {
        self.net.slow.insert((from, to), by);
    }

    pub(crate) fn host_down(&mut self, host: Name) {
        *self.net.down.entry(host).or_default() += 1;
    }

    pub(crate) fn host_up(&mut self, host: Name) {
        self.net.down.remove(&host);
        self.flow(|f, t| f == host || t == host);
    }

    pub(crate) fn heal_net(&mut self) {
        self.net.cuts.clear();
        self.net.slow.clear();
        self.net.down.clear();
        self.flow(|_, _| true);
    }

    /// What was stalled is sent again before long.
    fn flow(&mut self, over: impl Fn(Name, Name) -> bool) {
        let mut stalled = Vec::new();
        for (id, conn) in &self.net.conns {
            for from in [0, 1] {
                let hosts = (conn.ends[from].host, conn.ends[1 - from].host);
                if !conn.packets[from].is_empty() && over(hosts.0, hosts.1) {
                    stalled.push((*id, from));
                }
            }
        }
        for (conn, from) in stalled {
            let at = self.now + self.rng.millis(5..1200);
            self.push(at, Event::Pump { conn, from });
        }
    }

    /// The connections that are open at both ends.
    pub(crate) fn established(&self) -> Vec<ConnId> {
        let open = |conn: &&Conn| conn.ends.iter().all(|end| end.open);
        self.net.conns.iter().filter(|(_, conn)| open(conn)).map(|(id, _)| *id).collect()
    }
}

impl Net {
    fn passes(&self, from: Name, to: Name) -> bool {
        let up = |host| !self.down.contains_key(&host);
        up(from) && up(to) && !self.cuts.contains_key(&(from, to))
    }

    fn open_end(&self, me: Me, conn: ConnId) -> Option<usize> {
        let conn = self.conns.get(&conn)?;
        conn.ends.iter().position(|end| end.me == Some(me) && end.open)
    }

    fn held_by(&self, me: Me) -> Vec<(ConnId, usize)> {
        let held = |(id, conn): (&ConnId, &Conn)| {
            let end = conn.ends.iter().position(|end| end.me == Some(me) && end.open)?;
            Some((*id, end))
        };
        self.conns.iter().filter_map(held).collect()
    }

    fn accept(&mut self, conn: ConnId, me: Me, now: Moment) {
        if let Some(found) = self.conns.get_mut(&conn) {
            found.ends[1] = End { me: Some(me), open: true, heard: now, ..found.ends[1] };
        }
    }

    /// Forgets a connection that nobody holds and nothing travels on.
    fn sweep(&mut self, conn: ConnId) {
        let over = |conn: &Conn| {
            conn.ends.iter().all(|end| !end.open) && conn.packets.iter().all(VecDeque::is_empty)
        };
        if self.conns.get(&conn).is_some_and(over) {
            self.conns.remove(&conn);
        }
    }
}
