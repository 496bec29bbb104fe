//! A worker's door: nobody gets in without a ticket that is good here, now and once.

use flotilla_core::keyring::{Keyring, Purpose};
use flotilla_core::pool::{Demand, Sharing};
use flotilla_core::ticket::{Route, Ticket};
use flotilla_core::{Advert, BrowserKind, Instance, PlaywrightVersion, SessionId, WorkerId, wire};
use flotilla_testkit::fleet::{Fleet, Worker};
use flotilla_testkit::program::Program;
use flotilla_testkit::raw::{Socket, Vanish, Waiting};
use flotilla_testkit::wait::wait_until;

use super::clients::{closes, opens, works};
use super::probe::Probe;
use super::secrets::{self, TOKEN};
use crate::{NEWEST, SOON};

/// What the worker says of itself, as to a gateway that dials it back.
pub(super) fn advert_of(worker: &Worker, keyring: &Keyring) -> Advert {
    let body = worker.get(&format!("{}nonce", wire::HELLO_PATH), &[]).body;
    let (_, sealed) = body.trim_end().split_once(' ').expect("a proof and an advert");
    Advert::open(keyring, sealed).expect("it is of the fleet")
}

/// The secrets of a fleet.
pub(super) fn keyring(fleet: &Fleet) -> Keyring {
    Keyring::parse(fleet.secret()).unwrap()
}

/// A ticket that the worker takes.
pub(super) fn ticket(worker: &Advert, session: &str) -> Ticket {
    Ticket {
        session: SessionId(session.into()),
        worker: worker.id.clone(),
        instance: worker.instance.clone(),
        route: Route::Relayed,
        demand: Demand {
            kind: BrowserKind::Chromium,
            version: PlaywrightVersion { major: 1, minor: 65 },
            sharing: Sharing::Tenant("everybody".into()),
        },
        max_seconds: None,
        expires: worker.uptime_ms + 30_000,
        nonce: 1,
    }
}

/// Comes to the worker's door with that ticket.
pub(super) fn come(worker: &Worker, ticket: &str) -> Waiting {
    Waiting::send(worker.endpoint(), &format!("{}{ticket}", wire::SESSION_PATH), &[])
}

#[test]
fn a_ticket_that_is_forged_expired_replayed_or_foreign_is_refused_and_costs_nobody_a_session() {
    let (_redis, fleet) = secrets::talkative();
    let (gateway, worker) = (fleet.gateway().start(), fleet.worker().start());
    gateway.wait_workers(1, SOON);
    let node = Program::node(NEWEST, gateway.endpoint());
    opens(&node, "kept");
    let probe = Probe::start(&gateway);
    let ours = keyring(&fleet);
    let theirs = Keyring::parse("some-other-secret-of-theirs").unwrap();
    let advert = advert_of(&worker, &ours);
    let good = ticket(&advert, "stranger");
    let sealed = good.seal(&ours);

    // The one that is good takes a slot; what follows is refused for what is wrong with it alone.
    let session = come(&worker, &sealed);
    let holds = || worker.status().sessions.iter().any(|session| session.id == "stranger");
    wait_until("the good ticket to be taken", SOON, holds);
    let changed = |change: fn(&mut Ticket)| {
        let mut ticket = ticket(&advert, "another");
        change(&mut ticket);
        ticket.seal(&ours)
    };
    let cases = [
        (sealed, "ticket_replayed"),
        (good.seal(&theirs), "ticket_forged"),
        (advert.seal(&ours).replace(' ', "."), "ticket_forged"),
        ("x".repeat(30_000), "ticket_forged"),
        (ours.seal(Purpose::Ticket, b"{}"), "ticket_malformed"),
        (changed(|ticket| ticket.worker = WorkerId("another".into())), "ticket_foreign"),
        (changed(|ticket| ticket.instance = Instance("an-earlier-life".into())), "ticket_foreign"),
        (changed(|ticket| ticket.route = Route::Reserved), "ticket_wrong_route"),
        (changed(|ticket| ticket.expires = 1), "ticket_expired"),
        (changed(|ticket| ticket.expires *= 1000), "ticket_too_long"),
    ];
    for (ticket, code) in &cases {
        let label = format!("reason=\"{code}\"");
        let count = || worker.metric("flotilla_tickets_refused_total", &[&label]).unwrap();
        let before = count();
        let refusal = come(&worker, ticket).answer().map(Socket::close).unwrap_err();
        assert_eq!((refusal.status, refusal.header("x-flotilla-refusal")), (403, Some(*code)));
        assert!(refusal.body.starts_with("the ticket"), "{}", refusal.body);
        assert_eq!(count(), before + 1.0, "{code}");
        wait_until("a line in its log", SOON, || {
            let log = worker.log();
            log.lines().any(|line| line.contains("a ticket was refused") && line.contains(code))
        });
    }
    assert!(holds(), "the session of the good ticket goes on");
    session.vanish(Vanish::Fin);

    let stranger = fleet.gateway().env("FLOTILLA_FLEET_SECRET", "some-other-secret-of-theirs");
    let stranger = stranger.start();
    wait_until("it believes nobody", SOON, || {
        stranger.metric("flotilla_registry_rejected_total", &["reason=\"forged\""]) >= Some(1.0)
    });
    wait_until("a line in its log", SOON, || {
        stranger.log().contains("it is not signed with the fleet's secret")
    });
    let refusal = stranger.open("/", &[]).map(Socket::close).unwrap_err();
    assert_eq!(refusal.status, 503, "{}", refusal.body);
    assert_eq!(stranger.get("/readyz", &[]).status, 503);

    let (query, bearer) = (format!("/?token={TOKEN}"), format!("Bearer {TOKEN}"));
    gateway.open(&query, &[("Authorization", &bearer)]).map(Socket::close).unwrap();
    works(&node, "kept");
    probe.wait_more(5);
    probe.finish();
    closes(&node, "kept");
    worker.wait_used(0, SOON);
    secrets::kept(&fleet, &[&gateway, &worker, &stranger]);
    stranger.stop_and_check();
    gateway.stop_and_check();
    worker.stop_and_check();
}
