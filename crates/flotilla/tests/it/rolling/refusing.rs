//! Rolls that do not begin, or are given up: everything else is as it was.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use flotilla_testkit::procs;
use flotilla_testkit::program::Program;
use flotilla_testkit::wait::wait_until;
use rustix::process::Signal;

use super::fleet::{Bed, read};
use crate::{NEWEST, SOON, connect_as, words};

const OLD: [&str; 2] = ["old-1", "old-2"];

#[test]
fn a_version_that_does_not_come_up_is_given_up_and_the_rest_is_untouched() {
    // How new workers are broken.
    let how = Arc::<Mutex<&str>>::default();
    let broken = Arc::clone(&how);
    let bed = Bed::with(2, move |name, worker| match *broken.lock().unwrap() {
        _ if name.starts_with("old-") => worker,
        "it ends at once" => worker.env("BROWSER_TYPE", "webkit"),
        // Where it says that it is, nobody listens.
        "nobody reaches it" => {
            worker.env("FLOTILLA_HOST", "127.0.0.1").env("PRIVATE_HOSTNAME", "127.0.0.2")
        }
        _ => worker,
    });
    let patience = ["--start-timeout", "5s", "--stop-timeout", "10s"];
    for (way, why) in [("it ends at once", "was not seen"), ("nobody reaches it", "unroutable")] {
        *how.lock().unwrap() = way;
        let rolled = bed.roll(&patience);
        rolled.assert_given_up(why);
        assert_eq!(rolled.count("starting"), 1, "{way}: {}", rolled.said);
        bed.assert_serving(OLD);
    }
    *how.lock().unwrap() = "";
    let rolled = bed.roll(&["--release", "99.0.0"]);
    rolled.assert_given_up("where 99.0.0 is wanted");
    bed.assert_serving(OLD);
    let rolled = bed.roll(&["--start-command", "exit 7"]);
    rolled.assert_given_up("the start command ended with exit status: 7");
    bed.assert_serving(OLD);
    // Only the first of them failed, and by itself.
    let failed = bed.supervisor.ended().iter().filter(|ended| !ended.status.success()).count();
    assert_eq!(failed, 1);
}

#[test]
fn sessions_that_outlast_the_drain_end_the_roll_and_not_the_other_way_round() {
    let bed = Bed::new(2);
    let node = Program::node(NEWEST, bed.gateway.endpoint());
    node.run(&connect_as("a", ""));
    node.run(&connect_as("b", ""));
    wait_until("the sessions to be older than their drain would last", SOON, || {
        bed.gateway.status().sessions.iter().all(|session| session.age_seconds > 1.1)
    });
    let refused = bed.roll(&["--drain-timeout", "1s"]);
    refused.assert_refused("has a session that has lasted");
    assert_eq!(refused.count("starting"), 0);
    let rolled = bed.roll(&["--drain-timeout", "1s", "--yes"]);
    rolled.assert_given_up("It takes new ones again; nothing was cut");
    assert_eq!(rolled.count("undrained"), 1, "{}", rolled.said);
    assert_eq!(node.run("return await s.a_page.evaluate('5')"), 5);
    let names = bed.names();
    assert!(OLD.iter().all(|old| names.contains(*old)), "{names:?}");
    bed.assert_serving(names.iter().map(String::as_str));
    node.run("await s.a.close(); await s.b.close()");
    bed.end();
}

#[test]
fn what_cannot_be_begun_is_refused_and_a_dry_run_does_nothing() {
    let bed = Bed::new(2);
    bed.roll(&["--max-surge", "0"]).assert_refused("nothing can be replaced");
    bed.roll(&["--max-unavailable", "2"]).assert_refused("all of them could be away");
    bed.roll(&["--endpoint", "ws://127.0.0.1:9"]).assert_refused("nobody answers");
    let mut stranger = bed.command(&[]);
    stranger.env_remove("FLOTILLA_FLEET_SECRET");
    read(&stranger.output().unwrap()).assert_refused("FLOTILLA_FLEET_SECRET");
    let dry = bed.roll(&["--dry-run"]);
    assert_eq!((dry.code, dry.events.len()), (Some(0), 1), "{}", dry.said);
    assert_eq!(dry.events[0]["fleet"].as_array().unwrap().len(), 2);
    bed.assert_serving(OLD);
    bed.end();
}

#[test]
fn a_roll_that_is_interrupted_finishes_what_it_began_and_is_continued() {
    let bed = Bed::new(2);
    let mut command = bed.command(&[]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let begun = |line: &String| line.contains(r#""event":"probing""#);
    assert!(lines.by_ref().map_while(Result::ok).any(|line| begun(&line)));
    procs::signal(child.id(), Signal::INT);
    let rest: Vec<_> = lines.map_while(Result::ok).collect();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{rest:?}");
    let result: serde_json::Value = serde_json::from_str(rest.last().unwrap()).unwrap();
    assert_eq!(result["failure"], "it was interrupted", "{rest:?}");
    assert_eq!((&result["replaced"], &result["of"]), (&1.into(), &2.into()), "{rest:?}");
    let half = bed.names();
    let flags: Vec<_> = result["resume"].as_str().unwrap().split(" --").skip(1).collect();
    let since = flags.iter().find_map(|flag| flag.strip_prefix("since ")).unwrap();
    let replicas = flags.iter().find_map(|flag| flag.strip_prefix("replicas ")).unwrap();
    let rolled = bed.roll(&["--since", since, "--replicas", replicas]);
    rolled.assert_unnoticed();
    assert!(
        rolled.count("starting") <= 2,
        "{}",
        words(&bed.command(&["--help"]).output().unwrap())
    );
    let kept = half.iter().filter(|name| name.starts_with("roll-"));
    assert!(kept.clone().count() == 1 && kept.clone().all(|name| bed.names().contains(name)));
    assert!(bed.names().iter().all(|name| name.starts_with("roll-")), "{:?}", bed.names());
    bed.end();
}
