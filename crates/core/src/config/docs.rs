//! The reference page and the example file, from the table.

use std::fmt::Write;

use super::read::Sources;
use super::rules::{RULES, entry};
use super::{Config, Setting, settings};

const HEAD: &str = "\
# Configuration

Every setting can be written as a flag of `flotilla up`, as an environment variable, or in a TOML
file. The stronger wins: flag, then environment, then file, then default. `flotilla config show`
prints what is in force and where it came from, `flotilla config check` says what is wrong, and
[flotilla.example.toml](../flotilla.example.toml) is a file to start from. The file is the one that
`--config` or `FLOTILLA_CONFIG` names, else the first that exists of `flotilla.toml` in the current
folder, `$XDG_CONFIG_HOME/flotilla/flotilla.toml` (`~/.config/flotilla/flotilla.toml`) and
`/etc/flotilla/flotilla.toml`.

- **Durations** are seconds (`5`), or whole numbers with a unit: `500ms`, `5s`, `5m`, `1h`.
- **Sizes** are bytes (`65536`), or whole numbers with a unit: `32KiB`, `512MiB`, `2GiB`.
- **Lists** have commas between their items; in TOML they may be arrays.
- An empty environment variable counts as not set.
- An unknown key in the file is an error. So is a value that cannot be read. All errors are shown
  together, and nothing starts.

Settings marked *live* can change their value without a restart as soon as a grid is told to read
them again; this release reads them once, when it starts. Settings marked *fleet* are for
`flotilla gateway` and `flotilla worker`: `flotilla up` ignores them.
";

/// The reference page, in Markdown.
pub fn markdown() -> String {
    let mut page = HEAD.to_owned();
    let mut group = "";
    for setting in settings() {
        if setting.group != group {
            group = setting.group;
            let _ = write!(
                page,
                "\n## {group}\n\n| Key and flag | Variable | Default | Meaning |\n|---|---|---|---|\n"
            );
        }
        page.push_str(&row(setting));
    }
    page.push_str("\n## Rules between timings\n\nThey are checked at start. ");
    page.push_str("`flotilla config check --from OLD.toml` says in which order to change timings on a grid that runs.\n\n");
    page.push_str("| Rule | Why | Order of changes |\n|---|---|---|\n");
    for rule in &RULES {
        let _ = writeln!(page, "| `{rule}` | {} | {} |", rule.why, rule.order);
    }
    page
}

/// What the page's head or the setting's own documentation explains.
const EXPLAINED: [&str; 7] = ["DURATION", "SIZE", "LIST", "FOLDER", "TEXT", "SECRET", "true|false"];

fn row(setting: &Setting) -> String {
    let default = match setting.default_text() {
        "" => "not set".to_owned(),
        // Defaults in words bring their own marks.
        words if words != setting.default => words.to_owned(),
        value => format!("`{value}`"),
    };
    let mut meaning = setting.doc().replace('|', "\\|");
    if !EXPLAINED.contains(&setting.placeholder) {
        let _ = write!(meaning, " {}.", capital(&(setting.allowed)()));
    }
    let marks =
        [(setting.live, "live"), (setting.note.is_some(), "fleet"), (setting.secret, "secret")];
    for (_, mark) in marks.into_iter().filter(|(on, _)| *on) {
        let _ = write!(meaning, " *{mark}*");
    }
    format!(
        "| `{}`<br>`--{}` | `{}` | {default} | {meaning} |\n",
        setting.key,
        setting.flag(),
        setting.env_name()
    )
}

fn capital(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

/// The example file: every setting, each commented out.
///
/// # Panics
/// Never: the defaults load, which a test holds them to.
pub fn example() -> String {
    let defaults = Config::load(&Sources::default()).expect("the defaults load").entries;
    let mut file =
        "# Flotilla's settings. Every line that is commented out shows the default, or an\n\
                    # example where there is none. docs/configuration.md says more.\n"
            .to_owned();
    let mut group = "";
    for setting in settings() {
        if setting.group != group {
            group = setting.group;
            let _ = write!(file, "\n## {group}\n");
        }
        let _ = writeln!(file, "\n{}", wrapped(&setting.doc()));
        let value = match (setting.sample_toml(), entry(&defaults, setting.key)) {
            (Some(sample), _) => sample.to_owned(),
            (None, row) => row.map(|row| row.toml.clone()).unwrap_or_default(),
        };
        let _ = writeln!(file, "# {} = {value}", setting.key);
    }
    file
}

/// Prose as TOML comments of up to 96 characters. Two marks, so that uncommenting one gives TOML.
fn wrapped(prose: &str) -> String {
    let mut lines = vec!["##".to_owned()];
    for word in prose.split(' ') {
        // There is always a last line.
        let last = lines.last_mut().expect("lines begin with one");
        if last.len() + 1 + word.len() > 96 {
            lines.push(format!("## {word}"));
        } else {
            last.push(' ');
            last.push_str(word);
        }
    }
    lines.join("\n")
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::config::File;

    /// Holds a generated file of the repository to the table. `FLOTILLA_BLESS=1` writes it anew.
    pub(crate) fn assert_current(file: &str, text: &str) {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(file);
        if std::env::var_os("FLOTILLA_BLESS").is_some() {
            std::fs::write(&path, text).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == text,
            "{file} is not what the table says. Write it anew: \
             FLOTILLA_BLESS=1 cargo test -p flotilla-core"
        );
    }

    #[test]
    fn the_reference_page_is_current() {
        assert_current("docs/configuration.md", &markdown());
    }

    #[test]
    fn the_example_file_is_current() {
        assert_current("flotilla.example.toml", &example());
    }

    fn load(text: String) -> Config {
        let file = File { name: "flotilla.example.toml".to_owned(), text };
        let sources = Sources { file: Some(file), ..Sources::default() };
        Config::load(&sources).unwrap().config
    }

    #[test]
    fn the_example_file_loads_as_it_is_and_with_every_line_taken_in() {
        assert_eq!(load(example()), Config::default());
        let uncommented: String = example()
            .lines()
            .map(|line| format!("{}\n", line.strip_prefix("# ").unwrap_or(line)))
            .collect();
        let keys = uncommented.lines().filter(|line| line.contains(" = ")).count();
        assert!(keys >= settings().count());
        let all = load(uncommented.lines().skip(2).map(|line| format!("{line}\n")).collect());
        assert_eq!(all.sessions.queue_limit, 100);
        assert_eq!(all.browsers.versions.len(), 2);
    }

    #[test]
    fn every_setting_is_documented_in_sentences() {
        for setting in settings() {
            let doc = setting.doc();
            assert!(doc.ends_with('.') && doc.len() > 15, "{}: {doc:?}", setting.key);
            assert!(
                !setting.summary().is_empty() && setting.summary().len() < 110,
                "{}",
                setting.key
            );
        }
    }
}
