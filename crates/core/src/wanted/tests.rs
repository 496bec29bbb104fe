//! Handshakes as clients send them, and as nobody should.

use super::*;

struct Head(&'static str, &'static [(&'static str, &'static str)]);

impl Handshake for Head {
    fn target(&self) -> &str {
        self.0
    }
    fn header(&self, name: &str) -> Option<&str> {
        self.1.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }
}

fn defaults() -> Defaults {
    Defaults {
        browser: BrowserKind::Chromium,
        isolation: Isolation::Tenant,
        launch: LaunchPolicy {
            headless: true,
            allowed: vec!["headless".to_owned()],
            allowed_args: Vec::new(),
        },
        expose_network: true,
        redirect: false,
    }
}

fn read(head: &Head) -> Result<Wanted, Refusal> {
    Wanted::read(head, &defaults())
}

#[test]
fn the_query_wins_over_the_header_and_the_header_over_the_default() {
    let headers = &[("X-Playwright-Browser", "firefox")];
    assert_eq!(read(&Head("/?browser=webkit", headers)).unwrap().browser, BrowserKind::Webkit);
    assert_eq!(read(&Head("/", headers)).unwrap().browser, BrowserKind::Firefox);
    assert_eq!(read(&Head("/", &[])).unwrap().browser, BrowserKind::Chromium);
    assert_eq!(read(&Head("/?browser=", &[])).unwrap().browser, BrowserKind::Chromium);
}

#[test]
fn an_unknown_browser_is_refused_with_the_known_ones() {
    let refusal = read(&Head("/?browser=netscape", &[])).unwrap_err();
    assert_eq!(refusal.status, 400);
    assert!(refusal.message.contains("netscape") && refusal.message.contains("firefox"));
}

#[test]
fn a_plain_client_gets_a_shared_browser() {
    let plain = Head(
        "/",
        &[
            ("User-Agent", "Playwright/1.65.1 (x64; debian 12) node/20.20"),
            ("x-playwright-proxy", ""),
            ("x-playwright-launch-options", r#"{"handleSIGINT":false,"headless":true}"#),
        ],
    );
    let wanted = read(&plain).unwrap();
    assert_eq!(wanted.version, Some(PlaywrightVersion { major: 1, minor: 65 }));
    assert!(!wanted.needs_own_browser());
}

#[test]
fn exposed_networks_and_launch_options_need_a_browser_of_their_own() {
    let exposed = read(&Head("/", &[("x-playwright-proxy", "<loopback>")])).unwrap();
    assert_eq!(exposed.expose_network.as_deref(), Some("<loopback>"));
    assert!(exposed.needs_own_launch());
    let headed = Head("/?launch-options=%7B%22headless%22%3Afalse%7D", &[]);
    assert!(read(&headed).unwrap().needs_own_launch());
    let alone = read(&Head("/?isolation=session", &[])).unwrap();
    assert!(alone.needs_own_browser() && !alone.needs_own_launch());
}

#[test]
fn a_made_up_isolation_is_refused() {
    assert_eq!(read(&Head("/?isolation=none", &[])).unwrap_err().status, 400);
}

#[test]
fn who_is_sent_to_its_worker_is_chosen_by_the_query_and_else_by_the_operator() {
    const PLAYWRIGHT: &[(&str, &str)] = &[("User-Agent", "Playwright/1.65.1 (x64) python/3.11")];
    let redirecting = Defaults { redirect: true, ..defaults() };
    for (target, headers, by_default, where_redirected) in [
        ("/", PLAYWRIGHT, false, true),
        ("/?route=", PLAYWRIGHT, false, true),
        ("/?route=direct", PLAYWRIGHT, true, true),
        ("/?route=relay", PLAYWRIGHT, false, false),
        // Nobody knows whether it follows, unless it says so.
        ("/", &[("User-Agent", "my-own-client/1.0")], false, false),
        ("/?route=direct", &[], true, true),
    ] {
        let head = Head(target, headers);
        let direct = |defaults: &Defaults| Wanted::read(&head, defaults).unwrap().direct;
        assert_eq!(direct(&defaults()), by_default, "{target} {headers:?}");
        assert_eq!(direct(&redirecting), where_redirected, "{target} {headers:?}");
    }
}

#[test]
fn a_made_up_route_is_refused_with_those_that_there_are() {
    let refusal = read(&Head("/?route=scenic", &[])).unwrap_err();
    assert_eq!(refusal.status, 400);
    for part in ["scenic", "route=direct", "route=relay"] {
        assert!(refusal.message.contains(part), "{}", refusal.message);
    }
}

#[test]
fn queries_are_decoded_and_odd_ones_survive() {
    assert_eq!(query("/?a=%41+b&a=c", "a").unwrap(), "A b");
    assert_eq!(query("/?%61=x", "a").unwrap(), "x");
    assert_eq!(query("/?a=%zz%4", "a").unwrap(), "%zz%4");
    assert_eq!(query("/?a=%ff", "a").unwrap(), "\u{fffd}");
    assert_eq!(query("/?a=%é1", "a").unwrap(), "%é1");
    assert_eq!(query("/a", "a"), None);
    assert_eq!(query("/?a", "a").unwrap(), "");
}
