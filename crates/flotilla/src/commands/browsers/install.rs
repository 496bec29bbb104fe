//! `flotilla browsers install`.

use flotilla_core::BrowserKind;
use flotilla_worker::provision::{InstallRequest, Installed, Installer, Wanted};
use serde_json::{Value, json};

use super::progress::Teller;
use super::{BAD, InstallCommand, refuse};
use crate::printer::Printer;

pub(super) async fn run(
    command: &InstallCommand,
    installer: &Installer,
    printer: Printer,
) -> anyhow::Result<u8> {
    let requests = match requests(command) {
        Ok(requests) => requests,
        Err(error) => return Ok(refuse(printer, error)),
    };
    if command.dry_run {
        requests.iter().for_each(|request| foretell(request, installer, printer));
        return Ok(0);
    }
    let mut code = 0;
    let mut done = Vec::new();
    for request in &requests {
        let teller = Teller::new(printer);
        let installed = installer.install(request, &|step| teller.tell(step)).await;
        teller.end();
        match installed {
            Ok(installed) => {
                let good = is_good(&installed, &command.browser);
                code = code.max(if good { 0 } else { BAD });
                done.push(report(&installed, good));
                conclude(&installed, good, printer);
            }
            Err(error) => code = refuse(printer, error),
        }
    }
    if command.json {
        printer.json(&done)?;
    }
    Ok(code)
}

fn requests(command: &InstallCommand) -> Result<Vec<InstallRequest>, String> {
    if command.from.is_some() && command.versions.len() > 1 {
        return Err("a folder holds one version: give --from with one version or none".to_owned());
    }
    let parsed = command.versions.iter().map(|text| text.parse::<Wanted>());
    let mut versions: Vec<Option<Wanted>> = parsed
        .map(|version| version.map(Some).map_err(|error| error.to_string()))
        .collect::<Result<_, _>>()?;
    if versions.is_empty() {
        versions.push(None);
    }
    let kinds = match command.browser.as_slice() {
        [] => vec![BrowserKind::Chromium, BrowserKind::Firefox],
        asked => asked.to_vec(),
    };
    let request = |version| InstallRequest {
        version,
        from: command.from.clone(),
        kinds: kinds.clone(),
        system_only: command.system,
    };
    Ok(versions.into_iter().map(request).collect())
}

/// Every browser that was asked for works; when none was named, at least one does.
fn is_good(installed: &Installed, asked: &[BrowserKind]) -> bool {
    let works = installed.kinds();
    match asked {
        [] => !works.is_empty(),
        asked => asked.iter().all(|kind| works.contains(kind)),
    }
}

fn report(installed: &Installed, good: bool) -> Value {
    json!({
        "playwright": installed.manifest.playwright,
        "from": installed.manifest.from,
        "folder": installed.dir,
        "good": good,
        "browsers": installed.manifest.browsers,
    })
}

fn conclude(installed: &Installed, good: bool, printer: Printer) {
    let version = &installed.manifest.playwright;
    let kinds = installed.kinds();
    if kinds.is_empty() {
        printer.note(format!("Playwright {version}: no browser works with it"));
        return;
    }
    let names: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
    let but = if good { "" } else { "; not all that was asked for" };
    let names = names.join(", ");
    printer.note(format!("Playwright {version} works with {names}{but}"));
    printer.note("A grid that is running serves it once it is started again");
}

fn foretell(request: &InstallRequest, installer: &Installer, printer: Printer) {
    let root = installer.data.join("playwright");
    let version = request.version.as_ref();
    let wanted = version.map_or_else(|| "latest".to_owned(), ToString::to_string);
    let fetch = match (installer.present(request), &request.from) {
        (Some(present), _) => format!("{} is here: fetch nothing", present.manifest.playwright),
        (None, Some(from)) => format!("copy playwright-core from {}", from.display()),
        (None, None) => format!("fetch playwright-core@{wanted} from npm"),
    };
    printer.out(format!("would {fetch}, in {}", root.display()));
    for (kind, programs) in Installer::candidates(&request.kinds) {
        if !request.system_only {
            let own = "Playwright's own, if its download can be reached";
            printer.out(format!("would try {kind}: {own}"));
        }
        for program in programs {
            printer.out(format!("would try {kind}: {}", program.display()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(versions: &[&str], from: Option<&str>) -> InstallCommand {
        InstallCommand {
            versions: versions.iter().map(|&text| text.to_owned()).collect(),
            browser: Vec::new(),
            from: from.map(Into::into),
            system: false,
            dry_run: false,
            json: false,
        }
    }

    #[test]
    fn without_words_the_newest_is_asked_for() {
        let requests = requests(&command(&[], None)).unwrap();
        assert_eq!(requests.len(), 1);
        assert_eq!(requests[0].version, None);
        assert_eq!(requests[0].kinds, [BrowserKind::Chromium, BrowserKind::Firefox]);
    }

    #[test]
    fn nonsense_is_refused_before_anything_is_done() {
        let error = requests(&command(&["1.64", "newest"], None)).unwrap_err();
        assert!(error.contains("\"newest\""), "{error}");
        assert!(requests(&command(&["1.64", "1.65"], Some("/x"))).is_err());
    }
}
