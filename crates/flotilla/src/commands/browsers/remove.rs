//! `flotilla browsers remove`.

use std::io::{IsTerminal, stdin};

use flotilla_worker::provision::{Catalogue, Installed, Installer, Wanted};

use super::{BAD, RemoveCommand, refuse};
use crate::printer::Printer;

pub(super) async fn run(command: &RemoveCommand, installer: &Installer, printer: Printer) -> u8 {
    let found = match find(&command.version, installer) {
        Ok(found) => found,
        Err(error) => return refuse(printer, error),
    };
    if found.is_empty() {
        printer.error(
            format!("no Playwright {} is installed", command.version),
            Some("`flotilla browsers list` shows what there is"),
        );
        return BAD;
    }
    let folders = found.iter().map(|one| one.dir.display().to_string());
    let folders: Vec<String> = folders.collect();
    if command.dry_run {
        folders.iter().for_each(|dir| printer.out(format!("would remove {dir}")));
        return 0;
    }
    if !command.yes && !agreed(&folders, printer) {
        printer.error("nothing removed", Some("--yes removes without asking"));
        return BAD;
    }
    let versions: Vec<_> = found.iter().map(|one| one.manifest.playwright.clone()).collect();
    match installer.remove(&versions).await {
        Ok(()) => {
            folders.iter().for_each(|dir| printer.out(format!("removed {dir}")));
            0
        }
        Err(error) => refuse(printer, error),
    }
}

fn find(version: &str, installer: &Installer) -> Result<Vec<Installed>, String> {
    let wanted: Wanted = match version.parse().map_err(|error| format!("{error}"))? {
        Wanted::Latest => return Err("say which version: 1.64.1, or 1.64".to_owned()),
        wanted => wanted,
    };
    let all = Catalogue::installations(&installer.data);
    let all = all.map_err(|error| format!("{}: {error}", installer.data.display()))?;
    let matching = all.into_iter().filter(|one| wanted.matches(&one.manifest.playwright));
    Ok(matching.collect())
}

/// Only a person at a terminal can agree.
fn agreed(folders: &[String], printer: Printer) -> bool {
    if !stdin().is_terminal() {
        return false;
    }
    printer.note(format!("Remove {}? [y/N]", folders.join(", ")));
    let mut answer = String::new();
    stdin().read_line(&mut answer).is_ok() && answer.trim().eq_ignore_ascii_case("y")
}
