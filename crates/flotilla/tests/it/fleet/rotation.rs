//! The fleet's secret is replaced while clients come all the time.

use std::path::PathBuf;

use flotilla_core::keyring::Keyring;
use flotilla_testkit::fleet::Fleet;
use flotilla_testkit::folder::Folder;
use flotilla_testkit::program::Program;
use flotilla_testkit::raw::{Socket, Vanish};
use flotilla_testkit::role::{Role, RoleBuilder};
use flotilla_testkit::wait::wait_until;

use super::clients::{closes, opens, works};
use super::doors::{advert_of, come, ticket};
use super::probe::Probe;
use super::{measured, secrets};
use crate::{NEWEST, SOON};

const OLD: &str = "the-old-secret-of-the-fleet";
const NEW: &str = "the-new-secret-of-the-fleet";

/// A role and the file that it reads its secret from.
struct Keeper {
    role: Role,
    file: PathBuf,
}

// === impl Keeper ===

impl Keeper {
    fn start(role: RoleBuilder, folder: &Folder, name: &str) -> Self {
        let file = folder.join(name);
        std::fs::write(&file, OLD).unwrap();
        let role = role.env("FLOTILLA_FLEET_SECRET_FILE", file.display()).start();
        Self { role, file }
    }

    /// Writes this into its file, and waits until it has said so.
    fn is_given(&self, text: &str, says: &str) {
        let said = || self.role.log().matches(says).count();
        let before = said();
        std::fs::write(&self.file, text).unwrap();
        wait_until(says, SOON, || said() > before);
    }
}

fn started(fleet: &Fleet, folder: &Folder) -> [Keeper; 3] {
    let roles = [(fleet.gateway(), "gateway"), (fleet.worker(), "one"), (fleet.worker(), "two")];
    roles.map(|(role, name)| Keeper::start(role, folder, name))
}

#[test]
fn the_secret_is_rotated_in_three_steps_and_nobody_fails_to_connect() {
    let (_redis, fleet) = secrets::talkative();
    let fleet = fleet.env("HEARTBEAT_INTERVAL", "500ms");
    let folder = Folder::new();
    let [gateway, one, two] = started(&fleet, &folder);
    gateway.role.wait_workers(2, SOON);
    let node = Program::node(NEWEST, gateway.role.endpoint());
    opens(&node, "kept");
    let probe = Probe::start(&gateway.role);
    // Each step on one after the other, in an order of its own.
    let both = [format!("{OLD}\n{NEW}\n"), format!("{NEW},{OLD}")];
    let steps = [
        (both[0].as_str(), [&gateway, &one, &two]),
        (&both[1], [&one, &gateway, &two]),
        (NEW, [&two, &gateway, &one]),
    ];
    for (secrets, keepers) in steps {
        for keeper in keepers {
            keeper.is_given(secrets, "the fleet's secret was read again");
            probe.wait_more(5);
        }
    }
    // What is no secret changes nothing.
    gateway.is_given("short", "the fleet's secret stays as it was");
    probe.wait_more(5);
    measured(format_args!("while the secret was rotated: {:?}", probe.finish()));

    works(&node, "kept");
    let rejected = gateway.role.metric("flotilla_registry_rejected_total", &[]);
    assert_eq!(rejected, Some(0.0), "every advert was believed at any time");
    let [old, new] = [OLD, NEW].map(|secret| Keyring::parse(secret).unwrap());
    let worker = advert_of(&two.role, &new);
    let refusal = come(&two.role, &ticket(&worker, "late").seal(&old)).answer();
    let refusal = refusal.map(Socket::close).unwrap_err();
    assert_eq!(refusal.header("x-flotilla-refusal"), Some("ticket_forged"), "the old one is gone");
    let session = come(&two.role, &ticket(&worker, "in-time").seal(&new));
    wait_until("the new one to be good", SOON, || {
        two.role.status().sessions.iter().any(|session| session.id == "in-time")
    });
    session.vanish(Vanish::Fin);
    closes(&node, "kept");

    let roles = [gateway, one, two].map(|keeper| keeper.role);
    secrets::kept(&fleet, &roles.each_ref());
    for role in &roles {
        assert!(!role.log().contains(OLD) && !role.log().contains(NEW), "{}", role.log());
    }
    roles.into_iter().for_each(Role::stop_and_check);
}
