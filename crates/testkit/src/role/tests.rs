//! A role is started, watched and ended: shown by a binary that is a script.

use std::os::unix::fs::PermissionsExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;
use crate::fleet::Fleet;
use crate::procs;
use crate::wait::wait_until;

const SOON: Duration = Duration::from_secs(20);

/// The words of a role that is ready, and is then what the rest of the script makes it.
fn binary(folder: &Folder, rest: &str) -> String {
    let path = folder.join("flotilla");
    let ready = r#"{"event":"ready","role":"%s","id":"w-1","endpoint":"%s:%s"}\n"#;
    let script = format!(
        "#!/bin/sh\necho \"secret: $FLOTILLA_FLEET_SECRET, redis: $REDIS_URL\" >&2\n\
         printf '{ready}' \"$1\" \"$PRIVATE_HOSTNAME\" \"$PORT\"\n{rest}\n"
    );
    // Written and closed by another process: a child that is being started at this moment holds
    // a copy of what this one has open, and the kernel runs no file that is open for writing.
    let mut write = Command::new("sh");
    write.args(["-c", "printf %s \"$1\" >\"$2\"", "sh", &script]).arg(&path);
    assert!(write.status().unwrap().success());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

#[test]
fn a_role_tells_who_it_is_and_has_its_fleets_settings_and_its_own() {
    let folder = Folder::new();
    let fleet = Fleet::new(&binary(&folder, "exec sleep 600")).redis("redis://nobody:1");
    let mut worker = fleet.worker().env("PORT", 3131).start();
    assert_eq!((worker.id(), worker.endpoint()), ("w-1", "127.0.0.1:3131"));
    let said = format!("secret: {}, redis: redis://nobody:1\n", fleet.secret());
    wait_until("its log", SOON, || worker.log() == said);
    let pid = worker.pid();
    worker.terminate();
    assert!(!worker.wait_exit(SOON).success(), "sleep knows no order");
    assert_eq!(procs::find(pid), None);

    let mut gateway = fleet.gateway().env("REDIS_URL", "redis://else:1").start();
    wait_until("its log", SOON, || gateway.log().ends_with("redis://else:1\n"));
    let all = gateway.processes();
    assert_eq!(all.len(), 1);
    gateway.kill9();
    gateway.check_nothing_left(&all);
}

#[test]
fn what_a_role_leaves_behind_is_found() {
    let folder = Folder::new();
    let role = Fleet::new(&binary(&folder, "sleep 600 & echo $! >child; wait")).worker().start();
    let child = role.folder.join("child");
    wait_until("its child", SOON, || std::fs::read_to_string(&child).is_ok_and(|t| t.len() > 1));
    let orphan: u32 = std::fs::read_to_string(&child).unwrap().trim().parse().unwrap();
    let found = catch_unwind(AssertUnwindSafe(move || {
        let mut role = role;
        let all = role.processes();
        role.kill9();
        role.check_nothing_left(&all);
    }));
    procs::kill(orphan);
    let words = found.expect_err("it left a process");
    let words = words.downcast_ref::<String>().unwrap();
    assert!(words.contains(&format!("pid: {orphan}")), "{words}");
}

#[test]
fn a_role_that_ends_before_it_is_ready_fails_its_test_with_its_log() {
    let builder = RoleBuilder::new("false", "worker").idle();
    let failed = catch_unwind(AssertUnwindSafe(|| builder.start()));
    let words = failed.expect_err("it never became ready");
    let words = words.downcast_ref::<String>().unwrap();
    assert!(words.contains("flotilla worker ended before it was ready"), "{words}");
}
