//! Workers are rolled.

use std::time::Duration;

use flotilla_testkit::program::Program;
use flotilla_testkit::wait::wait_until;
use serde_json::json;

use super::fleet::{Bed, SLOTS, read};
use super::load::{Load, Watch};
use crate::{NEWEST, SOON, connect_as};

const WORKERS: usize = 3;

/// How a roll goes about it: what is promised, the fewest workers and the most.
const WAYS: [(&[&str], usize, usize); 3] = [
    (&[], WORKERS, 4),
    (&["--max-surge", "3", "--batch", "3"], WORKERS, 6),
    (&["--max-unavailable", "1", "--max-surge", "0"], WORKERS - 1, 3),
];

#[test]
fn ten_rolls_of_three_workers_in_a_row_are_noticed_by_nobody() {
    let bed = Bed::new(WORKERS);
    let load = Load::start(bed.gateway.endpoint(), 3, 1, Duration::from_millis(600));
    for (number, (way, fewest, most)) in (1..=10).zip(WAYS.into_iter().cycle()) {
        let before = bed.names();
        let watch = Watch::start(bed.gateway.address());
        let rolled = bed.roll(way);
        let lowest = watch.end();
        rolled.assert_unnoticed();
        println!("roll {number} {way:?}: {}", rolled.sentence());
        assert!(lowest.looks > 50, "{lowest:?}");
        assert!(
            lowest.workers >= fewest && lowest.slots >= fewest as u32 * SLOTS,
            "{way:?} {lowest:?}"
        );
        assert!(lowest.most <= most, "{way:?} {lowest:?}");
        assert_eq!(bed.names().len(), WORKERS, "{}", rolled.said);
        assert!(bed.names().is_disjoint(&before), "old ones run");
    }
    let noticed = load.end();
    println!("{noticed:?}");
    assert_eq!(noticed.noticed, Vec::<String>::new());
    assert!(noticed.sessions > 30 && noticed.opened > 100, "too little was tried: {noticed:?}");
    assert_eq!(bed.supervisor.ended().len(), 30);
    bed.end();
}

#[test]
fn a_roll_waits_for_a_session_that_goes_on_and_workers_end_as_they_are_told_over_the_network() {
    let bed = Bed::new(2);
    let node = Program::node(NEWEST, bed.gateway.endpoint());
    node.run(&connect_as("held", ""));
    let rolling = std::thread::scope(|scope| {
        let start = bed.supervisor.start_command();
        let args = ["roll", "workers", "--json", "--endpoint", bed.gateway.endpoint()];
        let mut roll = super::fleet::command(&bed.fleet, &args);
        roll.args(["--start-command", &start, "--measure-before", "200ms", "--batch", "2"]);
        let rolling = scope.spawn(move || read(&roll.output().unwrap()));
        // The other old one has gone, and the one with the session has not.
        wait_until("the roll to have come to the session", SOON, || {
            let names = bed.names();
            names.len() == 3 && names.iter().filter(|name| name.starts_with("old-")).count() == 1
        });
        let watch = node.start("await s.held_page.waitForTimeout(2000); return 5", json!({}));
        assert_eq!(watch.outcome(), Ok(5.into()), "it goes on");
        assert!(!rolling.is_finished());
        node.run("await s.held.close()");
        rolling.join().unwrap()
    });
    rolling.assert_unnoticed();
    wait_until("their processes to end", SOON, || bed.supervisor.ended().len() == 2);
    bed.end();
}
