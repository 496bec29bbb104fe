//! The switch that hosts are plugged into, and what it loses.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Mutex, Once};

use super::NotExercised;
use super::tools::{INTERFACE, NAMESPACES, Namespace, ip};
use crate::ports::{Claim, first_free};
use crate::procs;

/// What the namespaces' names begin with. The process that made them comes next.
const PREFIX: &str = "flotilla-";
/// Subnets are 10.200.0.0/24 to 10.249.255.0/24.
const SUBNETS: u32 = 50 * 256;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A place on the switch: its number is the last one of the address behind it.
#[derive(Debug)]
pub(super) struct Port(u8);

// === impl Port ===

impl Port {
    pub(super) fn number(&self) -> u8 {
        self.0
    }

    fn name(&self) -> String {
        format!("port{}", self.0)
    }
}

/// How many of a hundred packets are lost.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Loss {
    pub(super) incoming: u8,
    pub(super) outgoing: u8,
}

/// What the switch does not pass on.
#[derive(Debug, Default)]
struct Faults {
    /// By port.
    losses: BTreeMap<u8, Loss>,
    /// Ports that hear nothing of each other.
    parted: BTreeSet<(u8, u8)>,
}

/// A network: a switch, and the test on it.
#[derive(Debug)]
pub(super) struct Lan {
    tag: String,
    subnet: Subnet,
    next: AtomicU8,
    faults: Mutex<Faults>,
    // Before the switch: its removal is at once, and a namespace's is some time later.
    _uplink: Uplink,
    switch: Namespace,
}

// === impl Lan ===

impl Lan {
    pub(super) fn new() -> Result<Self, NotExercised> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let tag = format!("{PREFIX}{}-{number}", std::process::id());
        let subnet = Subnet::claim()?;
        let switch = Namespace::new(format!("{tag}-switch"))?;
        switch.ip(&["link", "add", "switch", "type", "bridge"])?;
        switch.ip(&["link", "set", "switch", "up"])?;
        switch.nft(&rules(&Faults::default()))?;
        let uplink = Uplink::new(&switch, number, subnet.address(1))?;
        let faults = Mutex::default();
        Ok(Self { tag, subnet, next: AtomicU8::new(2), faults, _uplink: uplink, switch })
    }

    pub(super) fn address(&self, number: u8) -> Ipv4Addr {
        self.subnet.address(number)
    }

    pub(super) fn next_port(&self) -> Port {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        assert!(number < 255, "a network has room for 253 hosts");
        Port(number)
    }

    /// A new namespace of this network. The port's number is not in its name: the caller's is.
    pub(super) fn namespace(&self, host: &str) -> Result<Namespace, NotExercised> {
        Namespace::new(format!("{}-{host}", self.tag))
    }

    /// Gives the host an interface, and puts the cable's other end into the port.
    pub(super) fn plug(
        &self,
        host: &Namespace,
        port: &Port,
        address: Ipv4Addr,
    ) -> Result<(), NotExercised> {
        let (name, switch) = (port.name(), self.switch.name());
        let peer = ["type", "veth", "peer", "name", &name, "netns", switch];
        host.ip(&[&["link", "add", INTERFACE], &peer[..]].concat())?;
        self.switch.ip(&["link", "set", &name, "master", "switch", "up"])?;
        host.ip(&["addr", "add", &format!("{address}/24"), "dev", INTERFACE])?;
        host.ip(&["link", "set", INTERFACE, "up"])
    }

    pub(super) fn set_link(&self, port: &Port, up: bool) {
        let state = if up { "up" } else { "down" };
        self.switch.ip(&["link", "set", &port.name(), state]).expect("the port is there");
    }

    pub(super) fn set_loss(&self, port: &Port, loss: Loss) {
        self.change(|faults| {
            faults.losses.insert(port.0, loss);
        });
    }

    /// Nothing passes between these two from now on.
    pub(super) fn part(&self, port: &Port, other: &Port) {
        self.change(|faults| {
            faults.parted.insert((port.0, other.0));
        });
    }

    /// Everything passes again to and from there.
    pub(super) fn mend(&self, port: &Port) {
        self.change(|faults| {
            faults.losses.remove(&port.0);
            faults.parted.retain(|&(one, other)| one != port.0 && other != port.0);
        });
    }

    fn change(&self, change: impl FnOnce(&mut Faults)) {
        let mut faults = self.faults.lock().expect("no thread panics with it");
        change(&mut faults);
        let done = self.switch.nft(&rules(&faults));
        drop(faults);
        done.expect("this kernel can lose packets");
    }

    pub(super) fn lost(&self, port: &Port) -> u64 {
        let listed = self.switch.nft("list table bridge faults").expect("the table is there");
        let name = format!("\"{}\"", port.name());
        let ours = listed.lines().filter(|line| line.contains(&name));
        ours.filter_map(packets).sum()
    }
}

/// The number after `packets`.
fn packets(rule: &str) -> Option<u64> {
    let mut words = rule.split_whitespace();
    words.find(|word| *word == "packets")?;
    words.next()?.parse().ok()
}

/// The rules by which the switch loses packets. Only IP: with ARP lost as well, the other
/// direction would be lost a moment later.
fn rules(faults: &Faults) -> String {
    let mut text = "table bridge faults {\n chain forward {\n  \
                    type filter hook forward priority 0; policy accept;\n }\n}\n\
                    flush chain bridge faults forward\n"
        .to_owned();
    for (&port, loss) in &faults.losses {
        for (side, percent) in [("oifname", loss.incoming), ("iifname", loss.outgoing)] {
            let chance = match percent {
                0 => continue,
                1..100 => format!("numgen random mod 100 < {percent} "),
                100.. => String::new(),
            };
            let name = Port(port).name();
            let _ = writeln!(
                text,
                "add rule bridge faults forward meta protocol ip {side} \"{name}\" {chance}\
                 counter drop"
            );
        }
    }
    let pairs = faults.parted.iter().flat_map(|&(one, other)| [(one, other), (other, one)]);
    for (from, to) in pairs {
        let (from, to) = (Port(from).name(), Port(to).name());
        let _ = writeln!(
            text,
            "add rule bridge faults forward meta protocol ip iifname \"{from}\" oifname \"{to}\" \
             counter drop"
        );
    }
    text
}

/// The test's own interface on the network.
#[derive(Debug)]
struct Uplink(String);

impl Uplink {
    fn new(switch: &Namespace, number: u32, address: Ipv4Addr) -> Result<Self, NotExercised> {
        // An interface's name has 15 characters at most.
        let name = format!("fl{}n{number}", std::process::id());
        let peer = ["type", "veth", "peer", "name", "uplink", "netns", switch.name()];
        ip(&[&["link", "add", &name], &peer[..]].concat())?;
        let uplink = Self(name);
        switch.ip(&["link", "set", "uplink", "master", "switch", "up"])?;
        ip(&["addr", "add", &format!("{address}/24"), "dev", &uplink.0])?;
        ip(&["link", "set", &uplink.0, "up"])?;
        Ok(uplink)
    }
}

impl Drop for Uplink {
    fn drop(&mut self) {
        let _ = ip(&["link", "del", &self.0]);
    }
}

/// 10.x.y.0/24, which no other test has.
#[derive(Debug)]
struct Subnet {
    high: u8,
    low: u8,
    _claim: Claim,
}

impl Subnet {
    fn claim() -> Result<Self, NotExercised> {
        let routes = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
        first_free(SUBNETS, |n| Self::take(200 + (n / 256) as u8, (n % 256) as u8, &routes))
            .ok_or_else(|| NotExercised("every subnet from 10.200 to 10.249 is taken".into()))
    }

    fn take(high: u8, low: u8, routes: &str) -> Option<Self> {
        // The kernel prints addresses as numbers of its own byte order.
        let printed = format!("\t{:08X}\t", u32::from_ne_bytes([10, high, low, 0]));
        let claim = Claim::take(&format!("subnet-10.{high}.{low}"))?;
        (!routes.contains(&printed)).then_some(Self { high, low, _claim: claim })
    }

    fn address(&self, number: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, self.high, self.low, number)
    }
}

/// Removes what killed tests left: the namespaces of processes that are gone, and with them their
/// interfaces. Once; then what has this process's id too is from before it had it.
pub(super) fn remove_left_behind() {
    static ONCE: Once = Once::new();
    let own = std::process::id();
    ONCE.call_once(|| remove_of(|pid| pid == own || procs::find(pid).is_none()));
}

/// Removes the namespaces that were made by such processes.
pub(super) fn remove_of(whom: impl Fn(u32) -> bool) {
    for (name, _) in namespaces().iter().filter(|(_, pid)| whom(*pid)) {
        let _ = ip(&["netns", "del", name]);
    }
}

/// The test bed's namespaces, with the process that made each.
pub(super) fn namespaces() -> Vec<(String, u32)> {
    let entries = std::fs::read_dir(NAMESPACES).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let pid = name.strip_prefix(PREFIX)?.split('-').next()?.parse().ok()?;
            Some((name, pid))
        })
        .collect()
}
