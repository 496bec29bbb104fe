//! Gateways are rolled, behind a balancer that asks `/readyz`.

use std::time::Duration;

use flotilla_testkit::balancer::Balancer;
use flotilla_testkit::ports::Port;
use flotilla_testkit::raw::Waiting;
use flotilla_testkit::redis::Redis;
use flotilla_testkit::supervisor::Supervisor;
use flotilla_testkit::wait::{wait_for, wait_until};

use super::fleet::{command, fleet, read, wait_settled, worker};
use super::load::Load;
use crate::SOON;

#[test]
fn two_gateways_behind_a_balancer_are_rolled_and_nobody_notices() {
    let redis = Redis::start();
    let fleet = fleet(&redis);
    let _workers = [worker(&fleet).start(), worker(&fleet).start()];
    let ports = [Port::new(), Port::new()];
    let places = ports.each_ref().map(|port| format!("127.0.0.1:{}", port.number()));
    let made = fleet.clone();
    let supervisor = Supervisor::new(move |name, replaces| {
        let place = if replaces.is_empty() { name } else { replaces };
        let port = place.rsplit(':').next().unwrap();
        let gateway = made.gateway().env("PORT", port).env("FLOTILLA_SHUTDOWN_GRACE", "1s");
        (place.to_owned(), gateway)
    });
    for place in &places {
        supervisor.start(place);
        supervisor.with(place, |gateway| gateway.wait_workers(2, SOON));
    }
    let balancer = Balancer::over(places.iter().map(String::as_str)).unwrap();
    balancer.wait_ready(places.iter().map(String::as_str), SOON);
    let load = Load::start(&balancer.endpoint(), 3, 2, Duration::from_millis(1_500));
    let (start, stop) = (supervisor.start_command(), supervisor.stop_command());
    let endpoint = balancer.endpoint();
    let urls = places.each_ref().map(|place| format!("ws://{place}"));
    let mut args = vec!["roll", "gateways", "--json", "--measure-before", "1s"];
    args.extend(["--endpoint", &endpoint, "--start-command", &start]);
    urls.iter().for_each(|url| args.extend(["--gateway", url]));
    // Over the network, and then by signals.
    for more in [&[][..], &["--stop-command", &stop]] {
        let rolled = read(&command(&fleet, &[&args[..], more].concat()).output().unwrap());
        rolled.assert_unnoticed();
        println!("{}", rolled.sentence());
        assert_eq!(rolled.result()["lowest"]["available"], 1, "{}", rolled.said);
        assert_eq!(supervisor.names().len(), 2);
    }
    let noticed = load.end();
    println!("{noticed:?}");
    assert_eq!(noticed.noticed, Vec::<String>::new());
    assert!(noticed.sessions > 10 && noticed.opened > 100, "too little was tried: {noticed:?}");
    let ended = supervisor.ended();
    assert!(ended.len() == 4 && ended.iter().all(|ended| ended.status.success()), "{ended:?}");
}

#[test]
fn a_gateway_that_leaves_says_so_and_lets_clients_in_until_its_grace_is_over() {
    let redis = Redis::start();
    let fleet = fleet(&redis);
    let _worker = worker(&fleet).env("MAX_CONCURRENT_SESSIONS", 2).start();
    let mut gateway = fleet.gateway().env("FLOTILLA_SHUTDOWN_GRACE", "4s").start();
    gateway.wait_workers(1, SOON);
    let address = gateway.address().to_owned();
    let early = gateway.open("/", &[]).unwrap();
    gateway.terminate();
    wait_until("it to say that it leaves", SOON, || gateway.get("/readyz", &[]).status == 503);
    assert!(gateway.get("/readyz", &[]).body.contains("draining"));
    assert_eq!(gateway.get("/healthz", &[]).status, 200);
    let late = gateway.open("/", &[]).expect("the balancer has not noticed yet");
    // There is no slot for this one. It waits, and has its turn although the grace is over then.
    let waiting = Waiting::send(&address, "/", &[]);
    gateway.wait_queued(1, SOON);
    // Who comes within the grace waits as well; who comes later is told to come again.
    let refused = wait_for("the grace to be over", SOON, || {
        let mut newcomer = Waiting::send(&address, "/", &[]);
        std::thread::sleep(Duration::from_millis(200));
        newcomer.answered().then(|| newcomer.answer().unwrap_err())
    });
    assert_eq!(refused.status, 503);
    assert!(refused.body.contains("draining"), "{}", refused.body);
    assert!(refused.header("retry-after").is_some());
    early.close();
    let patient = waiting.answer().expect("it was there before");
    late.close();
    patient.close();
    assert!(gateway.wait_exit(SOON).success(), "{}", gateway.log());
}

#[test]
fn a_gateway_that_was_drained_by_an_operator_can_be_told_to_stay() {
    let redis = Redis::start();
    let fleet = fleet(&redis);
    let gateway = fleet.gateway().start();
    let _worker = worker(&fleet).start();
    gateway.wait_workers(1, SOON);
    wait_settled(&gateway);
    let start = ["--start-command", "exit 1", "--measure-before", "200ms"];
    let mut args = vec!["roll", "gateways", "--json", "--drain-timeout", "1s"];
    args.extend(["--endpoint", gateway.endpoint(), "--gateway", gateway.endpoint()]);
    let held = gateway.open("/", &[]).unwrap();
    let rolled = read(&command(&fleet, &[&args[..], &start].concat()).output().unwrap());
    // Its only gateway is gone while it drains: clients notice that, and are told so.
    assert_eq!(rolled.code, Some(1), "{}", rolled.said);
    assert!(rolled.result()["failed_connects"].as_u64().unwrap() > 0, "{}", rolled.said);
    assert!(rolled.result()["failure"].as_str().unwrap().contains("nothing was cut"));
    assert_eq!(gateway.get("/readyz", &[]).status, 200, "it stays");
    gateway.open("/", &[]).unwrap().close();
    held.close();
    gateway.stop_and_check();
}
