//! Faults strike, and are undone.

use std::time::Duration;

use flotilla_core::keyring::Keyring;
use flotilla_core::ticket::{Ticket, millis};

use crate::fault::{Attack, Fault, Lie};
use crate::history::{Fact, Slip};
use crate::msg::{Msg, Order};
use crate::net::Parting;
use crate::redis;
use crate::run::{Node, Run};
use crate::worker;
use crate::world::{Died, Name, Role, Timer};

impl Run {
    /// Does what the seed has planned; `false` when there was nothing to strike.
    pub(crate) fn strike(&mut self, fault: Fault) -> bool {
        match fault.clone() {
            Fault::Kill { name, parting, back, moved } => {
                if moved && name.role == Role::Worker {
                    let port = 3132 + self.world.rng.number(0..100);
                    self.endpoints.insert(name, format!("{name:?}:{port}"));
                }
                self.start_later(name, back);
                self.stop(name, parting)
            }
            Fault::PowerOff { name, back } => {
                self.start_later(name, back);
                self.stop(name, Parting::Silent)
            }
            Fault::Pause { name, lasts } => self.pause(name, lasts),
            Fault::Cut { .. } | Fault::Isolate { .. } | Fault::Slow { .. } => self.links(fault),
            Fault::Break { number, both } => self.break_conn(number, both),
            Fault::Wipe => self.wipe(),
            Fault::BrowserDies { worker, number } => self.browser_dies(worker, number),
            Fault::DriverDies { worker } => {
                let Some(Node::Worker(node)) = self.nodes.get_mut(&worker) else { return false };
                node.driver_dies(&mut self.world);
                true
            }
            Fault::LaunchesFail { worker, lasts }
            | Fault::LaunchesSlow { worker, lasts }
            | Fault::DisposalHangs { worker, lasts } => self.browsers(&fault, worker, lasts),
            Fault::Operator { worker, order } => self.order(worker, order),
            Fault::Restart { gateway } => self.restart(gateway),
            Fault::Twin { worker, lasts } => {
                self.start(twin(worker));
                self.undo_later(fault, lasts)
            }
            Fault::Attack { worker, how } => self.attack(worker, how),
            Fault::Lie { how, number } => self.lie(how, number),
        }
    }

    fn links(&mut self, fault: Fault) -> bool {
        match fault {
            Fault::Cut { from, to, both, lasts } => {
                self.cut(from, to);
                if both {
                    self.cut(to, from);
                }
                self.undo_later(fault, lasts)
            }
            Fault::Isolate { name, lasts } => {
                for other in self.others(name) {
                    self.cut(name, other);
                    self.cut(other, name);
                }
                self.undo_later(fault, lasts)
            }
            Fault::Slow { from, to, by, lasts } => {
                let millis = by.as_millis() as u64;
                self.world.note(Fact::Slowed { from, to, millis });
                self.world.slow_down(from, to, by);
                self.undo_later(fault, lasts)
            }
            _ => false,
        }
    }

    fn browsers(&mut self, fault: &Fault, worker: Name, lasts: Duration) -> bool {
        let until = self.world.now + lasts;
        let (fact, until_of) = match fault {
            Fault::LaunchesFail { .. } => {
                (Fact::LaunchesFail { worker, until }, &mut self.world.troubles.launches_fail)
            }
            Fault::LaunchesSlow { .. } => {
                (Fact::LaunchesSlow { worker, until }, &mut self.world.troubles.launches_slow)
            }
            _ => (Fact::DisposalHangs { worker, until }, &mut self.world.troubles.disposal_hangs),
        };
        until_of.insert(worker, until);
        self.world.note(fact);
        true
    }

    fn undo_later(&mut self, fault: Fault, wait: Duration) -> bool {
        let at = self.world.now + wait;
        self.world.push(at, crate::world::Event::Act(crate::world::Act::Undo(fault)));
        true
    }

    pub(crate) fn undo(&mut self, fault: Fault) {
        match fault {
            Fault::Cut { from, to, both, .. } => {
                self.uncut(from, to);
                if both {
                    self.uncut(to, from);
                }
            }
            Fault::Isolate { name, .. } => {
                for other in self.others(name) {
                    self.uncut(name, other);
                    self.uncut(other, name);
                }
            }
            Fault::Slow { from, to, .. } => {
                self.world.note(Fact::Slowed { from, to, millis: 0 });
                self.world.slow_down(from, to, Duration::ZERO);
            }
            Fault::Twin { worker, .. } => {
                self.stop(twin(worker), Parting::Closed);
            }
            _ => {}
        }
    }

    fn others(&self, name: Name) -> Vec<Name> {
        self.world.setup.hosts().into_iter().filter(|other| *other != name).collect()
    }

    fn cut(&mut self, from: Name, to: Name) {
        self.world.note(Fact::Cut { from, to });
        self.world.cut(from, to);
    }

    fn uncut(&mut self, from: Name, to: Name) {
        self.world.note(Fact::Uncut { from, to });
        self.world.uncut(from, to);
    }

    fn pause(&mut self, name: Name, lasts: Duration) -> bool {
        let until = (self.world.now + lasts).min(self.world.setup.heal_at);
        let Some(who) = self.world.me(name) else { return false };
        let Some(proc) = self.world.procs.get_mut(&name) else { return false };
        // What waits for it to run again keeps its order, so one pause is not made longer.
        let runs = proc.paused_until <= self.world.now;
        if runs {
            proc.paused_until = until;
            self.world.note(Fact::Paused { who, until });
        }
        runs
    }

    fn break_conn(&mut self, number: u64, both: bool) -> bool {
        let conns = self.world.established();
        if conns.is_empty() {
            return false;
        }
        let conn = conns[number as usize % conns.len()];
        self.world.note(Fact::Broke { conn });
        self.world.break_conn(conn, both);
        true
    }

    fn wipe(&mut self) -> bool {
        let Some(Node::Redis(redis)) = self.nodes.get_mut(&Name::REDIS) else { return false };
        redis.wipe();
        self.world.note(Fact::Wiped);
        true
    }

    fn browser_dies(&mut self, worker: Name, number: u64) -> bool {
        let Some(Node::Worker(node)) = self.nodes.get_mut(&worker) else { return false };
        let (Some(browser), Some(me)) = (node.some_browser(number), self.world.me(worker)) else {
            return false;
        };
        let timer = Timer::Exited(browser, Died::Crashed);
        self.world.timer(me, self.world.now, timer);
        true
    }

    fn restart(&mut self, gateway: Name) -> bool {
        let Some(Node::Gateway(node)) = self.nodes.get_mut(&gateway) else { return false };
        node.drain(&mut self.world);
        if let Some(me) = self.world.me(gateway) {
            self.reap(me);
        }
        true
    }

    fn errand(&mut self, name: Name, address: &str, msg: Msg) -> bool {
        if let Some(Node::Errands(errands)) = self.nodes.get_mut(&name) {
            errands.run(&mut self.world, address, msg);
        }
        true
    }

    fn order(&mut self, worker: Name, order: Order) -> bool {
        let Some(endpoint) = self.endpoints.get(&worker).cloned() else { return false };
        self.errand(Name::OPERATOR, &endpoint, Msg::Order(order))
    }

    fn attack(&mut self, worker: Name, how: Attack) -> bool {
        let Some(endpoint) = self.endpoints.get(&worker).cloned() else { return false };
        let tickets = &self.world.leaked.tickets;
        // The last ones are still good for something; older ones should not be.
        let last = if self.world.rng.chance(500) { 6 } else { tickets.len().max(1) };
        let recent = tickets.len().saturating_sub(1 + self.world.rng.index(last));
        let Some(leaked) = tickets.get(recent).cloned() else { return false };
        let (ticket, how) = match how {
            Attack::NoTicket => ("let-me-in".to_owned(), "without a ticket"),
            Attack::Forged => (self.forge(&leaked, worker), "with a forged ticket"),
            Attack::Replayed => (leaked, "with somebody else's ticket"),
        };
        self.world.note(Fact::Attacked { worker, how, ticket: Slip::of(&ticket) });
        self.errand(Name::INTRUDER, &endpoint, Msg::Session { ticket })
    }

    /// A ticket that says all the right things, signed with another secret.
    fn forge(&self, leaked: &str, worker: Name) -> String {
        let theirs = Keyring::parse("the-secret-of-somebody-else").unwrap();
        let mut ticket = Ticket::open(&self.world.keyring, leaked).unwrap();
        ticket.worker = worker::id(worker);
        if let Some(Node::Worker(node)) = self.nodes.get(&worker) {
            ticket.instance = node.instance.clone();
        }
        let me = self.world.me(worker);
        let uptime = me.map_or(Duration::ZERO, |me| self.world.uptime(me));
        ticket.expires = millis(uptime + Duration::from_secs(20));
        ticket.nonce ^= 1;
        ticket.seal(&theirs)
    }

    fn lie(&mut self, how: Lie, number: u64) -> bool {
        let adverts = &self.world.leaked.adverts;
        if adverts.is_empty() {
            return false;
        }
        let leaked = adverts[number as usize % adverts.len()].clone();
        let (advert, how) = match how {
            Lie::Garbage => ("\u{1}not an advert".into(), "garbage"),
            Lie::Forged => (leaked.replace("\"slots\":", "\"slots\":9").into(), "a changed advert"),
            Lie::Stale => (leaked, "an old advert"),
        };
        self.world.note(Fact::Lied { how });
        let worker = Name::new(Role::Worker, 1 + number as usize % self.world.setup.workers.len());
        let (key, ttl) = (worker::id(worker).0, self.world.setup.timing.ttl);
        self.errand(Name::INTRUDER, redis::ADDRESS, Msg::Tell { key, advert, ttl })
    }

    /// Everything works again, and everybody is there.
    pub(crate) fn heal(&mut self) {
        self.healed = true;
        self.world.note(Fact::Healed);
        self.world.heal_net();
        self.world.troubles = Default::default();
        for worker in self.world.setup.worker_names() {
            self.stop(twin(worker), Parting::Closed);
        }
        let setup = &self.world.setup;
        let all = [setup.gateway_names(), setup.worker_names(), vec![Name::REDIS]].concat();
        for name in all {
            self.start(name);
        }
        for worker in self.world.setup.worker_names() {
            self.order(worker, Order::Undrain);
        }
    }
}

/// Another worker with the same name.
fn twin(worker: Name) -> Name {
    Name { number: worker.number + 100, ..worker }
}
