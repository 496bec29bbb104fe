//! The grid over a real network: clients on other machines, cables that are pulled.

use flotilla_testkit::hosts::Hosts;
use flotilla_testkit::program::Program;

use crate::{NEWEST, SOON, connect_as, grid};

#[test]
fn a_client_on_another_host_that_falls_silent_loses_its_session_and_its_slot_is_free() {
    let Some(hosts) = Hosts::new_or_say() else { return };
    let (ours, theirs) = (hosts.add("grid"), hosts.add("client"));
    let grid = grid()
        .at(&ours)
        .env("FLOTILLA_PING_INTERVAL", "200ms")
        .env("FLOTILLA_PEER_TIMEOUT", "1s")
        .start();
    let node = Program::node_at(&(&theirs).into(), NEWEST, grid.endpoint());
    node.run(&connect_as("b", ""));
    grid.wait_used(1, SOON);
    theirs.lose_outgoing();
    grid.wait_used(0, SOON);
    let lost = grid.metric("flotilla_sessions_ended_total", &["cause=\"client_lost\""]);
    assert_eq!(lost, Some(1.0));
    theirs.mend();
    node.run(&connect_as("again", ""));
    node.run("await s.again.close()");
    grid.stop_and_check();
}
