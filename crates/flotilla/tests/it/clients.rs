//! Unchanged Playwright programs of every kind run on the grid.

use std::path::Path;
use std::process::{Command, Output};

use flotilla_testkit::bed;
use flotilla_testkit::folder::Folder;
use flotilla_testkit::program::Program;
use serde_json::Value;

use crate::{NEWEST, WITH_FIREFOX, flotilla, grid, words};

/// A folder with a program in it and a client's packages beside, as a user's project has them.
fn project(files: &[&str]) -> Folder {
    let folder = Folder::new();
    for file in files {
        let to = folder.join(Path::new(file).file_name().unwrap().to_str().unwrap());
        std::fs::copy(bed::client(file), to).unwrap();
    }
    let packages = bed::npm(NEWEST).join("node_modules");
    std::os::unix::fs::symlink(packages, folder.join("node_modules")).unwrap();
    folder
}

fn test_project() -> Folder {
    project(&[
        "project/package.json",
        "project/playwright.config.mjs",
        "project/pages.spec.mjs",
        "project/contexts.spec.mjs",
    ])
}

/// Playwright cannot launch anything itself there: every browser must come from the grid.
fn without_local_browsers(command: &mut Command, folder: &Folder) -> Output {
    command
        .current_dir(folder.path())
        .env("PLAYWRIGHT_BROWSERS_PATH", folder.join("no-browsers"))
        .env_remove("PW_TEST_CONNECT_WS_ENDPOINT")
        .env_remove("FLOTILLA_ENDPOINT");
    command.output().unwrap()
}

/// The counts of Playwright's JSON reporter.
fn counts(output: &Output) -> (u64, u64) {
    let report: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", words(output)));
    let count = |name: &str| report["stats"][name].as_u64().unwrap();
    assert_eq!(count("skipped") + count("flaky"), 0, "{}", words(output));
    (count("expected"), count("unexpected"))
}

#[test]
fn the_first_scripts_in_node_and_python_open_a_page() {
    let grid = grid().start();
    let folder = project(&["first.mjs", "first.py"]);
    let mut node = Command::new("node");
    let mut python = Command::new(bed::python("1.65.2"));
    for command in [node.arg("first.mjs"), python.arg("first.py")] {
        command.env("GRID", grid.endpoint());
        let output = without_local_browsers(command, &folder);
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(text.trim(), "Hello from the grid", "{}", words(&output));
    }
    grid.stop_and_check();
}

#[test]
fn node_connects_by_ws_and_by_http() {
    let grid = grid().start();
    let node = Program::node(NEWEST, grid.endpoint());
    for endpoint in [
        grid.ws(""),
        grid.ws("/"),
        grid.ws("/?browser=chromium"),
        grid.http(""),
        grid.http("/?browser=chromium&isolation=tenant"),
    ] {
        let sum = node.run_with(
            "const browser = await chromium.connect(args.endpoint);
             const page = await browser.newPage();
             const sum = await page.evaluate('40 + 2');
             await browser.close();
             return sum;",
            serde_json::json!({ "endpoint": endpoint }),
        );
        assert_eq!(sum, 42, "{endpoint}");
    }
    grid.stop_and_check();
}

#[test]
fn python_connects_by_ws_and_by_http_in_two_versions() {
    let grid = grid().start();
    for version in ["1.62.0", "1.65.2"] {
        let python = Program::python(version, grid.endpoint());
        for endpoint in [grid.ws("/"), grid.http("/?isolation=session")] {
            let title = python.run_with(
                "
                browser = p.chromium.connect(args['endpoint'])
                page = browser.new_page()
                page.goto('data:text/html,<title>from Python</title>')
                title = page.title()
                browser.close()
                return title
                ",
                serde_json::json!({ "endpoint": endpoint }),
            );
            assert_eq!(title, "from Python", "{version} {endpoint}");
        }
    }
    grid.stop_and_check();
}

#[test]
fn a_whole_test_project_runs_by_the_environment_variable_alone() {
    let grid = grid().start();
    let folder = test_project();
    let output = without_local_browsers(
        Command::new("node").args(["node_modules/@playwright/test/cli.js", "test"]),
        &folder,
    );
    assert_eq!(counts(&output), (0, 6), "without the grid nothing can pass");

    let mut command = Command::new("node");
    command
        .args(["node_modules/@playwright/test/cli.js", "test"])
        .current_dir(folder.path())
        .env("PLAYWRIGHT_BROWSERS_PATH", folder.join("no-browsers"))
        .env("PW_TEST_CONNECT_WS_ENDPOINT", grid.endpoint());
    let output = command.output().unwrap();
    assert_eq!(counts(&output), (6, 0), "{}", words(&output));
    let started = grid.metric("flotilla_sessions_started_total", &["result=\"ok\""]);
    assert!(started >= Some(1.0), "{started:?}");
    grid.stop_and_check();
}

#[test]
fn flotilla_run_sets_a_test_project_up_with_a_running_grid() {
    let grid = grid().start();
    let folder = test_project();
    let output = without_local_browsers(
        flotilla(&["run", "--endpoint", grid.endpoint()]).args(["--", "npx", "playwright", "test"]),
        &folder,
    );
    assert!(output.status.success(), "{}", words(&output));
    assert_eq!(counts(&output), (6, 0), "{}", words(&output));
    grid.stop_and_check();
}

#[test]
fn flotilla_run_brings_a_grid_of_its_own_and_passes_the_exit_code_on() {
    let folder = test_project();
    let run = |args: &[&str]| {
        let mut command = flotilla(&["run", "--"]);
        command.args(args).env("PORT", "0").env("FLOTILLA_RUN_DIR", folder.join("run"));
        without_local_browsers(&mut command, &folder)
    };
    let output = run(&["npx", "playwright", "test"]);
    assert_eq!(counts(&output), (6, 0), "{}", words(&output));

    let output = run(&["sh", "-c", "exit 7"]);
    assert_eq!(output.status.code(), Some(7), "{}", words(&output));
    let output = run(&["no-such-program"]);
    assert_eq!(output.status.code(), Some(127), "{}", words(&output));

    let mark = format!("{}/", folder.path().display());
    let left = flotilla_testkit::procs::mentioning(&mark);
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn firefox_works_from_node_and_from_python() {
    let grid = grid().start();
    let node = Program::node(WITH_FIREFOX, grid.endpoint());
    let python = Program::python("1.62.0", grid.endpoint());
    let agent = node.run(
        "const browser = await firefox.connect(endpoint);
         const page = await browser.newPage();
         const agent = await page.evaluate('navigator.userAgent');
         await browser.close();
         return agent;",
    );
    assert!(agent.as_str().unwrap().contains("Firefox/"), "{agent}");
    let agent = python.run(
        "
        browser = p.firefox.connect(endpoint)
        page = browser.new_page()
        agent = page.evaluate('navigator.userAgent')
        browser.close()
        return agent
        ",
    );
    assert!(agent.as_str().unwrap().contains("Firefox/"), "{agent}");
    grid.stop_and_check();
}
