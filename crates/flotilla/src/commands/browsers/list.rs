//! `flotilla browsers list`.

use flotilla_worker::provision::{Build, Catalogue, Installed, Installer};
use serde_json::{Value, json};

use super::{ListCommand, refuse};
use crate::printer::{Align, Paint, Printer, Table};

pub(super) fn run(
    command: &ListCommand,
    installer: &Installer,
    printer: Printer,
) -> anyhow::Result<u8> {
    let data = &installer.data;
    let read = Catalogue::installations(data).and_then(|all| Ok((all, Catalogue::load(data)?)));
    let (all, served) = match read {
        Ok(read) => read,
        Err(error) => return Ok(refuse(printer, format!("{}: {error}", data.display()))),
    };
    if command.json {
        let all: Vec<Value> = all.iter().map(|one| describe(one, &served)).collect();
        printer.json(&all)?;
        return Ok(0);
    }
    if all.is_empty() {
        printer.note(format!("no Playwright in {}", data.display()));
        printer.note("hint: `flotilla browsers install` gets the newest");
        return Ok(0);
    }
    printer.out(table(&all, &served).render(printer.colors()));
    Ok(0)
}

/// Of two patch versions of a minor, one is served.
fn is_served(one: &Installed, served: &Catalogue) -> bool {
    let by_version = served.get(one.manifest.version());
    by_version.is_some_and(|chosen| chosen.dir == one.dir)
}

fn describe(one: &Installed, served: &Catalogue) -> Value {
    let here = is_served(one, served);
    let build = |build: &Build| {
        let mut text = json!(build);
        text["browser"] = json!(build.flavour.kind());
        text["served"] = json!(here && build.works());
        text
    };
    json!({
        "playwright": one.manifest.playwright,
        "version": one.manifest.version(),
        "from": one.manifest.from,
        "folder": one.dir,
        "browsers": one.manifest.browsers.iter().map(build).collect::<Vec<_>>(),
    })
}

fn table(all: &[Installed], served: &Catalogue) -> Table {
    let headings = ["PLAYWRIGHT", "BROWSER", "BUILD", "VERSION", "SOURCE", "STATE"];
    let mut table = Table::new(headings.map(|heading| (heading, Align::Left)));
    for one in all {
        for build in &one.manifest.browsers {
            let (state, paint) = state(build, is_served(one, served));
            let cells = [
                one.manifest.playwright.to_string(),
                build.flavour.kind().to_string(),
                build.flavour.to_string(),
                build.probe.browser_version.clone().unwrap_or_default(),
                build.source.to_string(),
            ];
            let plain = cells.into_iter().map(|cell| (cell, None));
            table.painted_row(plain.chain([(state, Some(paint))]));
        }
    }
    table
}

fn state(build: &Build, served: bool) -> (String, Paint) {
    match &build.probe.error {
        Some(error) => {
            let first = error.lines().next().unwrap_or_default();
            (format!("does not work: {first}"), Paint::Bad)
        }
        None if served => ("served".to_owned(), Paint::Good),
        None => ("a newer patch version is served".to_owned(), Paint::Dim),
    }
}
