//! Workers are rolled.

use std::time::Duration;

use super::fleet::{Bed, SLOTS};
use super::load::{Load, Watch};

#[test]
fn ten_rolls_of_three_workers_in_a_row_are_noticed_by_nobody() {
    let bed = Bed::new(3);
    let load = Load::start(bed.gateway.endpoint(), 3, 1, Duration::from_millis(600));
    let watch = Watch::start(bed.gateway.address());
    for number in 1..=10 {
        let before = bed.names();
        let rolled = bed.roll(&[]);
        rolled.assert_unnoticed();
        eprintln!("roll {number}: {}", rolled.sentence());
        assert_eq!(bed.names().intersection(&before).count(), 0, "old ones run");
        assert_eq!(bed.names().len(), 3, "{}", rolled.said);
    }
    let lowest = watch.end();
    let noticed = load.end();
    eprintln!("{lowest:?} {noticed:?}");
    assert_eq!(noticed.noticed, Vec::<String>::new());
    assert!(noticed.sessions > 30 && noticed.opened > 100, "too little was tried: {noticed:?}");
    assert!(lowest.slots >= 3 * SLOTS, "{lowest:?}");
    assert!(lowest.workers >= 3 && lowest.most <= 4, "{lowest:?}");
    assert_eq!(bed.supervisor.ended().len(), 30);
    bed.end();
}
