//! A gateway's decisions and the workers that they are about.

use std::collections::HashMap;
use std::time::Duration;

use flotilla_core::advert::{Advert, BrowserCount};
use flotilla_core::keyring::Keyring;
use flotilla_core::refusal::Served;
use flotilla_core::turns::Turns;
use flotilla_core::view::{Patience, View};
use flotilla_core::{BrowserKind, Instance, PlaywrightVersion, WorkerId};

pub(crate) const SLOTS: usize = 10;
pub(crate) const SERVED: Served = (BrowserKind::Chromium, VERSIONS[0]);
const VERSIONS: [PlaywrightVersion; 2] =
    [PlaywrightVersion { major: 1, minor: 65 }, PlaywrightVersion { major: 1, minor: 64 }];

/// One gateway and a fleet.
pub(crate) struct Simulation {
    pub(crate) view: View,
    pub(crate) turns: Turns<u32>,
    pub(crate) keyring: Keyring,
    /// What each worker would say of itself.
    pub(crate) workers: Vec<Advert>,
    places: HashMap<WorkerId, usize>,
    /// The worker of each session.
    pub(crate) sessions: Vec<usize>,
    now: Duration,
    random: u64,
}

// === impl Simulation ===

impl Simulation {
    /// Workers that nobody knows yet.
    pub(crate) fn new(workers: usize) -> Self {
        let keyring = Keyring::parse("the-secret-of-the-simulated-fleet");
        let mut simulation = Self {
            view: View::new(Patience::new(Duration::from_secs(60), Duration::from_secs(5))),
            turns: Turns::new(100_000),
            keyring: keyring.expect("it is long enough"),
            workers: Vec::new(),
            places: HashMap::new(),
            sessions: Vec::new(),
            now: Duration::from_secs(1),
            random: 0x9e37_79b9_7f4a_7c15,
        };
        for place in 0..workers {
            let advert = simulation.advert(place);
            simulation.places.insert(advert.id.clone(), place);
            simulation.workers.push(advert);
        }
        simulation
    }

    fn advert(&mut self, place: usize) -> Advert {
        let serves = VERSIONS.map(|version| (BrowserKind::Chromium, version)).to_vec();
        Advert {
            id: WorkerId::from_random(self.random().to_be_bytes()),
            instance: Instance::from_random(self.random().to_be_bytes()),
            endpoint: format!("10.{}.{}.{}:3131", place >> 16, place >> 8 & 255, place & 255),
            release: "0.1.0".to_owned(),
            slots: SLOTS,
            serves,
            browsers: vec![BrowserCount { browser: BrowserKind::Chromium, active: 0, lifetime: 0 }],
            ..Advert::default()
        }
    }

    /// All are heard of, dialled back and proved.
    pub(crate) fn meet(&mut self) {
        for place in 0..self.workers.len() {
            let advert = self.say(place);
            self.view.heard(advert, self.now);
        }
        for check in self.view.take_checks(self.now) {
            let advert = self.say(self.places[&check.id]);
            self.view.checked(&check, Ok(advert), self.now);
        }
        self.view.take_notices();
    }

    /// The worker's advert as of now.
    pub(crate) fn say(&mut self, place: usize) -> Advert {
        self.now += Duration::from_micros(1);
        let advert = &mut self.workers[place];
        advert.seq += 1;
        advert.uptime_ms = u64::try_from(self.now.as_millis()).unwrap_or_default();
        advert.clone()
    }

    pub(crate) fn now(&self) -> Duration {
        self.now
    }

    pub(crate) fn place(&self, id: &WorkerId) -> usize {
        self.places[id]
    }

    /// The worker has one session more, or one less.
    pub(crate) fn change(&mut self, place: usize, starts: bool) {
        let advert = &mut self.workers[place];
        match starts {
            true => {
                advert.used += 1;
                advert.lifetime += 1;
            }
            false => advert.used -= 1,
        }
        advert.browsers[0].active = advert.used;
        advert.browsers[0].lifetime = advert.lifetime;
    }

    /// A session that is to end: any.
    pub(crate) fn any_session(&mut self) -> usize {
        let at = self.random() as usize % self.sessions.len();
        self.sessions.swap_remove(at)
    }

    pub(crate) fn any_worker(&mut self) -> usize {
        self.random() as usize % self.workers.len()
    }

    /// Xorshift: the same fleet and the same sessions in every run.
    fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}
