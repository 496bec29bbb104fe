//! Who is next, against a plain model of the queue.

use super::*;

fn calls(queue: &mut Queue<u8, u32>) -> Vec<u32> {
    std::iter::from_fn(|| queue.call(|_| true).map(|(_, _, waiter)| waiter)).collect()
}

#[test]
fn one_key_is_served_in_order_of_arrival() {
    let mut queue = Queue::new(10);
    for n in 0..5 {
        queue.join("a", (n % 2) as u8, n).unwrap();
    }
    assert_eq!(queue.oldest(), Some(&0));
    assert_eq!(calls(&mut queue), [0, 1, 2, 3, 4]);
    assert!(queue.is_empty());
    assert_eq!(queue.oldest(), None);
}

#[test]
fn a_flood_of_one_key_delays_another_by_one_turn() {
    let mut queue = Queue::new(100);
    for n in 0..50 {
        queue.join("flood", 0, n).unwrap();
    }
    queue.join("other", 0, 99).unwrap();
    assert_eq!(calls(&mut queue)[..3], [0, 99, 1]);
}

#[test]
fn the_queue_is_bounded_and_says_so() {
    let mut queue = Queue::new(1);
    queue.join("a", 0, 1).unwrap();
    assert_eq!(queue.join("b", 0, 2), Err(Full { waiting: 1, limit: 1 }));
}

#[test]
fn who_leaves_is_not_called_and_who_rejoins_has_its_old_place() {
    let mut queue = Queue::new(10);
    let first = queue.join("a", 0, 1).unwrap();
    let second = queue.join("a", 0, 2).unwrap();
    queue.join("a", 0, 3).unwrap();
    assert_eq!(queue.ahead("a", second), 1);
    assert_eq!(queue.leave("a", second), Some(2));
    assert_eq!(queue.leave("a", second), None);
    let (place, what, waiter) = queue.call(|_| true).unwrap();
    assert_eq!((place, waiter), (first, 1));
    queue.rejoin("a", place, what, waiter);
    assert_eq!(calls(&mut queue), [1, 3]);
}

#[test]
fn who_cannot_be_served_now_does_not_hold_up_the_others() {
    let mut queue = Queue::new(10);
    for n in [1, 2, 3] {
        queue.join("a", n, u32::from(n)).unwrap();
    }
    assert_eq!(queue.call(|n| n % 2 == 0).unwrap().2, 2);
    assert_eq!(queue.call(|n| n > 5), None);
    assert_eq!(calls(&mut queue), [1, 3]);
}

/// The same by looking at everybody, every time.
#[derive(Default)]
struct Model {
    /// Keys in the order of their turns.
    turns: Vec<String>,
    waiters: Vec<(String, Place, u8)>,
}

impl Model {
    fn join(&mut self, key: &str, place: Place, what: u8) {
        if !self.turns.iter().any(|other| other == key) {
            self.turns.push(key.to_owned());
        }
        self.waiters.push((key.to_owned(), place, what));
        self.waiters.sort_by_key(|waiter| waiter.1);
    }

    fn call(&mut self, can_be_had: impl Fn(u8) -> bool) -> Option<(String, Place, u8)> {
        let (turn, at) = self.turns.iter().enumerate().find_map(|(turn, key)| {
            let fits = |w: &(String, Place, u8)| w.0 == *key && can_be_had(w.2);
            Some((turn, self.waiters.iter().position(fits)?))
        })?;
        let key = self.turns.remove(turn);
        let called = self.waiters.remove(at);
        if self.waiters.iter().any(|waiter| waiter.0 == key) {
            self.turns.push(key);
        }
        Some(called)
    }

    fn leave(&mut self, key: &str, place: Place) -> bool {
        let before = self.waiters.len();
        self.waiters.retain(|waiter| waiter.1 != place);
        if !self.waiters.iter().any(|waiter| waiter.0 == key) {
            self.turns.retain(|other| other != key);
        }
        self.waiters.len() < before
    }
}

proptest::proptest! {
    #[test]
    fn the_heads_of_lines_decide_as_a_look_at_everybody_would(
        ops in proptest::collection::vec((0u8..5, 0u8..4, 0u8..8), 1..200)
    ) {
        let (mut queue, mut model) = (Queue::new(30), Model::default());
        // Everybody who ever joined, and who was called last.
        let (mut all, mut last) = (Vec::new(), None);
        for (op, n, wants) in ops {
            let key = n.to_string();
            match op {
                0 | 1 => if let Ok(place) = queue.join(&key, wants % 3, all.len()) {
                    model.join(&key, place, wants % 3);
                    all.push((key, place));
                },
                2 => {
                    let can_be_had = |what: u8| wants & (1 << what) != 0;
                    let called = queue.call(can_be_had);
                    let expected = model.call(can_be_had);
                    let found = called.map(|(place, what, at)| (all[at].0.clone(), place, what));
                    proptest::prop_assert_eq!(&found, &expected);
                    last = found.or(last);
                }
                3 => if let Some((key, place, what)) = last.take() {
                    let at = all.iter().position(|one| one.1 == place).expect("it joined");
                    queue.rejoin(&key, place, what, at);
                    model.join(&key, place, what);
                },
                _ => if let Some((key, place)) = all.get(usize::from(n) * 8 + usize::from(wants)) {
                    let left = queue.leave(key, *place).is_some();
                    proptest::prop_assert_eq!(left, model.leave(key, *place));
                },
            }
            let oldest = model.waiters.first().map(|waiter| waiter.1);
            proptest::prop_assert_eq!(queue.oldest().map(|at| all[*at].1), oldest);
            proptest::prop_assert_eq!(queue.len(), model.waiters.len());
            let counted: usize = queue.waiting().map(|(_, waiting)| waiting).sum();
            proptest::prop_assert_eq!(counted, queue.len());
            for (key, place, _) in &model.waiters {
                let ahead = model.waiters.iter().filter(|w| w.0 == *key && w.1 < *place).count();
                proptest::prop_assert_eq!(queue.ahead(key, *place), ahead);
            }
        }
    }
}
