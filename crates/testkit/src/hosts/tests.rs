//! Networks lose what they are told to lose, and nothing of them is left.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use super::*;
use crate::process::Process;
use crate::procs;
use crate::wait::wait_until;

const SOON: Duration = Duration::from_secs(20);

/// Two ends of a connection from the first host to the second.
fn connected(from: &Host, to: &Host) -> (TcpStream, TcpStream) {
    let listener = to.run(|| TcpListener::bind((to.address(), 0)).unwrap());
    let address = listener.local_addr().unwrap();
    let near = from.run(|| TcpStream::connect(address).unwrap());
    let (far, _) = listener.accept().unwrap();
    for end in [&near, &far] {
        end.set_read_timeout(Some(SOON)).unwrap();
    }
    (near, far)
}

fn carries(from: &mut TcpStream, to: &mut TcpStream) {
    from.write_all(b"x").unwrap();
    to.read_exact(&mut [0]).unwrap();
}

fn has_nothing(end: &TcpStream) -> bool {
    end.set_nonblocking(true).unwrap();
    let peeked = end.peek(&mut [0]);
    end.set_nonblocking(false).unwrap();
    peeked.is_err_and(|e| e.kind() == std::io::ErrorKind::WouldBlock)
}

/// Writes, and waits until the network has lost what was written.
fn loses(host: &Host, from: &mut TcpStream, to: &TcpStream) {
    let before = host.lost();
    from.write_all(b"y").unwrap();
    wait_until("a packet to be lost", SOON, || host.lost() > before);
    assert!(has_nothing(to), "it was lost");
}

#[test]
fn hosts_reach_each_other_and_the_test_and_themselves() {
    let Some(hosts) = Hosts::new_or_say() else { return };
    let (a, b) = (hosts.add("a"), hosts.add("b"));
    let (mut near, mut far) = connected(&a, &b);
    carries(&mut near, &mut far);
    carries(&mut far, &mut near);
    assert_eq!(near.local_addr().unwrap().ip(), a.address());
    connected(&a, &a);

    let listener = TcpListener::bind((hosts.address(), 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let _near = a.run(|| TcpStream::connect(address).unwrap());
    assert_eq!(listener.accept().unwrap().1.ip(), a.address());
    let there = b.run(|| TcpListener::bind("0.0.0.0:0").unwrap());
    let port = there.local_addr().unwrap().port();
    TcpStream::connect((b.address(), port)).unwrap();
    b.run(|| TcpStream::connect(("127.0.0.1", port)).unwrap());
}

#[test]
fn loopbacks_are_each_hosts_own() {
    let Some(hosts) = Hosts::new_or_say() else { return };
    let (a, b) = (hosts.add("a"), hosts.add("b"));
    let address = SocketAddr::from(([127, 0, 0, 1], 3131));
    let _one = a.run(|| TcpListener::bind(address).unwrap());
    let _other = b.run(|| TcpListener::bind(address).unwrap());
    a.run(|| TcpListener::bind(address).unwrap_err());
}

#[test]
fn incoming_loss_loses_incoming_only_and_is_mended() {
    let Some(hosts) = Hosts::new_or_say() else { return };
    let (a, b) = (hosts.add("a"), hosts.add("b"));
    let (mut near, mut far) = connected(&a, &b);
    b.lose_incoming();
    carries(&mut far, &mut near);
    loses(&b, &mut near, &far);
    b.mend();
    far.read_exact(&mut [0]).unwrap();
    carries(&mut far, &mut near);
}

#[test]
fn outgoing_loss_loses_outgoing_only_and_is_mended() {
    let Some(hosts) = Hosts::new_or_say() else { return };
    let (a, b) = (hosts.add("a"), hosts.add("b"));
    let (mut near, mut far) = connected(&a, &b);
    b.lose_outgoing();
    carries(&mut near, &mut far);
    loses(&b, &mut far, &near);
    b.mend();
    near.read_exact(&mut [0]).unwrap();
    carries(&mut near, &mut far);
}

#[test]
fn a_fault_is_one_hosts_and_no_others() {
    let Some(hosts) = Hosts::new_or_say() else { return };
    let (a, b, c) = (hosts.add("a"), hosts.add("b"), hosts.add("c"));
    let (mut near, mut far) = connected(&a, &b);
    c.cut();
    c.lose(100, 100);
    carries(&mut near, &mut far);
    carries(&mut far, &mut near);
    assert_eq!(a.lost() + b.lost(), 0);
}

#[test]
fn a_host_that_is_cut_off_answers_nobody_and_its_connections_outlive_it() {
    let Some(hosts) = Hosts::new_or_say() else { return };
    let (a, b) = (hosts.add("a"), hosts.add("b"));
    let (mut near, mut far) = connected(&a, &b);
    let listener = b.run(|| TcpListener::bind((b.address(), 0)).unwrap());
    let address = listener.local_addr().unwrap();
    b.cut();
    let patience = Duration::from_millis(300);
    let refused = a.run(|| TcpStream::connect_timeout(&address, patience).unwrap_err());
    assert_ne!(refused.kind(), std::io::ErrorKind::ConnectionRefused, "nobody answers");
    near.write_all(b"z").unwrap();
    b.run(|| TcpStream::connect(address).unwrap());
    assert!(has_nothing(&far), "the cable is out");
    b.mend();
    far.read_exact(&mut [0]).unwrap();
    carries(&mut far, &mut near);
    a.run(|| TcpStream::connect_timeout(&address, SOON).unwrap());
}

#[test]
fn two_hosts_that_are_parted_hear_others_and_not_each_other() {
    let Some(hosts) = Hosts::new_or_say() else { return };
    let (a, b, c) = (hosts.add("a"), hosts.add("b"), hosts.add("c"));
    let (mut near, mut far) = connected(&a, &b);
    let (mut one, mut other) = (connected(&a, &c), connected(&b, &c));
    a.part(&b);
    loses(&a, &mut near, &far);
    loses(&b, &mut far, &near);
    for (end, other_end) in [&mut one, &mut other] {
        carries(end, other_end);
        carries(other_end, end);
    }
    // Either of the two may be mended.
    b.mend();
    far.read_exact(&mut [0]).unwrap();
    near.read_exact(&mut [0]).unwrap();
    carries(&mut near, &mut far);
}

#[test]
fn partial_loss_loses_a_part() {
    let Some(hosts) = Hosts::new_or_say() else { return };
    let (a, b) = (hosts.add("a"), hosts.add("b"));
    let to = b.run(|| UdpSocket::bind((b.address(), 0)).unwrap());
    let from = a.run(|| UdpSocket::bind((a.address(), 0)).unwrap());
    from.connect(to.local_addr().unwrap()).unwrap();
    from.send(b"finds the way").unwrap();
    to.set_read_timeout(Some(SOON)).unwrap();
    to.recv(&mut [0; 20]).unwrap();
    a.lose(0, 50);
    (0..200).for_each(|_| assert_eq!(from.send(b"x").unwrap(), 1));
    wait_until("some to be lost", SOON, || a.lost() > 0);
    a.mend();
    from.send(b"end").unwrap();
    let mut arrived = 0;
    while to.recv(&mut [0; 3]).unwrap() != 3 {
        arrived += 1;
    }
    assert!((40..=160).contains(&arrived), "{arrived} of 200 have arrived");
}

#[test]
fn delay_delays_where_the_kernel_can() {
    let Some(hosts) = Hosts::new_or_say() else { return };
    let (a, b) = (hosts.add("a"), hosts.add("b"));
    let (mut near, mut far) = connected(&a, &b);
    let delay = Duration::from_millis(200);
    if let Err(why) = b.delay(delay) {
        return why.say();
    }
    let began = Instant::now();
    carries(&mut far, &mut near);
    assert!(began.elapsed() >= delay, "{:?}", began.elapsed());
    b.mend();
}

#[test]
fn a_program_on_a_host_is_the_process_that_was_started() {
    let Some(hosts) = Hosts::new_or_say() else { return };
    let host = hosts.add("a");
    let mut command = host.command("sh");
    command.args(["-c", "cat /proc/net/fib_trie; echo ready; exec cat /dev/zero"]);
    let mut process = Process::start(command);
    let lines: Vec<_> = std::iter::from_fn(|| process.next_line(SOON).ok())
        .take_while(|line| line != "ready")
        .collect();
    let own = format!(" {}", host.address());
    assert!(lines.iter().any(|line| line.ends_with(&own)), "it sees its host's address: {lines:?}");
    wait_until("cat", SOON, || procs::find(process.pid()).is_some_and(|p| p.name == "cat"));
    process.kill9();
    assert_eq!(procs::find(process.pid()), None);
}

#[test]
fn nothing_is_left_after_the_last_host_and_after_a_panic() {
    let Some(hosts) = Hosts::new_or_say() else { return };
    let tag = hosts.0.namespace("probe").unwrap().name().replace("-probe", "-");
    let left = || lan::namespaces().iter().filter(|(name, _)| name.starts_with(&tag)).count();
    let host = hosts.add("a");
    drop(hosts);
    assert_eq!(left(), 2, "a host keeps its network");
    let panicked = catch_unwind(AssertUnwindSafe(move || {
        let host = host;
        assert!(host.address().is_loopback(), "this is meant to fail");
    }));
    assert!(panicked.is_err());
    assert_eq!(left(), 0);
}

#[test]
fn what_a_killed_test_left_is_removed() {
    let Some(hosts) = Hosts::new_or_say() else { return };
    let host = hosts.add("a");
    let mut command = host.command("sleep");
    command.arg("600");
    let mut owner = Process::start(command);
    let name = format!("flotilla-{}-0-switch", owner.pid());
    std::mem::forget(Namespace::new(name.clone()).unwrap());
    lan::remove_of(|pid| procs::find(pid).is_none());
    assert!(lan::namespaces().iter().any(|(other, _)| *other == name), "its owner lives");
    owner.kill9();
    lan::remove_of(|pid| procs::find(pid).is_none());
    assert!(lan::namespaces().iter().all(|(other, _)| *other != name));
    assert!(hosts.add("b").run(|| true), "the living are left alone");
}
