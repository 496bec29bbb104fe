//! `flotilla config`: what is in force, from where, and whether it is right; and the flags that
//! every command with settings takes.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::LazyLock;

use clap::{Arg, ArgMatches, Command};
use flotilla_core::config::{
    self, Config, ConfigError, File, Loaded, PlanError, Role, Sources, Steps, UnsafeJump,
    check_jump, plan_change, settings,
};

use crate::printer::Printer;

/// What a command exits with whose settings are wrong.
const WRONG: u8 = 2;

/// The file that is looked for in the current folder.
const FILE: &str = "flotilla.toml";

/// Show and check the settings
#[derive(Clone, Debug, clap::Subcommand)]
pub enum ConfigCommand {
    /// Print every setting with its value and where it came from
    Show {
        /// For programs
        #[arg(long)]
        json: bool,
        /// Only what is not at its default
        #[arg(long)]
        diff_from_default: bool,
        /// For which process: some defaults and demands differ
        #[arg(long, value_enum, default_value = "up")]
        role: RoleName,
        /// The settings themselves.
        #[command(flatten)]
        settings: SettingFlags,
    },
    /// Say what is wrong with the settings; exits with 2 if anything is
    Check {
        /// Also say how to change a running grid's timings from this file's to these
        #[arg(long, value_name = "FILE")]
        from: Option<PathBuf>,
        /// For which process: some defaults and demands differ
        #[arg(long, value_enum, default_value = "up")]
        role: RoleName,
        /// The settings themselves.
        #[command(flatten)]
        settings: SettingFlags,
    },
    /// Print the reference page of all settings, or an example file
    Docs {
        /// What to print
        #[arg(value_enum, default_value = "settings")]
        page: Page,
    },
}

/// A process of a grid, by the command that starts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum RoleName {
    /// A grid in one process
    Up,
    /// A gateway of a fleet
    Gateway,
    /// A worker of a fleet
    Worker,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Up => Self::Standalone,
            RoleName::Gateway => Self::Gateway,
            RoleName::Worker => Self::Worker,
        }
    }
}

/// A page that is made from the program's own tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Page {
    /// Every setting
    Settings,
    /// A configuration file to start from
    Example,
    /// Every metric
    Metrics,
}

/// Runs the command.
///
/// # Errors
/// Never for what a person wrote: that is printed, and in the exit code.
pub fn run(command: &ConfigCommand, printer: Printer) -> anyhow::Result<ExitCode> {
    let outcome = match command {
        ConfigCommand::Show { json, diff_from_default, role, settings } => {
            load(settings, (*role).into()).map(|loaded| show(&loaded, *json, *diff_from_default))
        }
        ConfigCommand::Check { from, role, settings } => {
            load(settings, (*role).into()).and_then(|loaded| {
                let steps = from.as_deref().map(|old| steps(old, &loaded.config)).transpose()?;
                Ok(verdict(&loaded, steps))
            })
        }
        ConfigCommand::Docs { page } => Ok(match page {
            Page::Settings => config::markdown(),
            Page::Example => config::example(),
            Page::Metrics => flotilla_core::metrics::markdown(),
        }),
    };
    Ok(match outcome {
        Ok(text) => {
            printer.out(text.trim_end());
            ExitCode::SUCCESS
        }
        Err(failure) => failure.report(printer),
    })
}

fn show(loaded: &Loaded, json: bool, only_changed: bool) -> String {
    if json { format!("{:#}", loaded.json(only_changed)) } else { loaded.table(only_changed) }
}

fn verdict(loaded: &Loaded, steps: Option<String>) -> String {
    let mut text = format!("The settings are in order (hash {}).\n", loaded.hash());
    for note in &loaded.notes {
        text += &format!("note: {note}\n");
    }
    text + &steps.unwrap_or_default()
}

/// How to get from an older file's timings to those in force.
fn steps(old: &Path, new: &Config) -> Result<String, ConfigFailure> {
    let sources = Sources { file: Some(read(old)?), ..Sources::default() };
    let old = Config::load(&sources).map_err(ConfigFailure::Invalid)?.config;
    check_jump(&old.timing, &new.timing)?;
    let waves = plan_change(&old.timing, &new.timing)?;
    Ok(match waves.as_slice() {
        [] => "No timing changes.".to_owned(),
        waves => format!("The timings may change in any order:\n{}", Steps(waves)),
    })
}

// === The flags ===

/// A flag for every setting, and `--config`: from the table, so that none is forgotten.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SettingFlags {
    /// The file that `--config` names.
    pub config: Option<PathBuf>,
    /// What was given, by setting key.
    pub given: Vec<(String, String)>,
}

/// clap wants names that live as long as the program.
static FLAGS: LazyLock<Vec<String>> =
    LazyLock::new(|| settings().map(|setting| setting.flag()).collect());

impl clap::Args for SettingFlags {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help("The TOML file with settings [env: FLOTILLA_CONFIG]");
        settings().zip(FLAGS.iter()).fold(command.arg(file), |command, (setting, flag)| {
            let variable = setting.env_name();
            let default = match setting.default_text() {
                "" => String::new(),
                text => format!(" [default: {}]", text.replace('`', "")),
            };
            let arg = Arg::new(setting.key)
                .long(flag.as_str())
                .value_name(setting.placeholder)
                .help_heading(setting.group)
                .help(format!("{}{default} [env: {variable}]", setting.summary()));
            command.arg(if setting.switch {
                arg.num_args(0..=1).require_equals(true).default_missing_value("true")
            } else {
                arg.allow_hyphen_values(setting.key == "allowed_launch_args")
            })
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for SettingFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.config = matches.get_one("config").cloned();
        self.given = settings()
            .filter_map(|setting| Some((setting.key, matches.get_one::<String>(setting.key)?)))
            .map(|(key, value)| (key.to_owned(), value.clone()))
            .collect();
        Ok(())
    }
}

// === Loading ===

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigFailure {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}: {why}", .path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// The system's words.
        why: std::io::Error,
    },
    /// Something in it is wrong.
    #[error("{}", listed(.0))]
    Invalid(Vec<ConfigError>),
    /// The timings cannot change in one go.
    #[error(transparent)]
    Jump(#[from] UnsafeJump),
    /// The timings cannot change at all.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

impl ConfigFailure {
    /// Prints what is wrong and what helps, and gives the exit code.
    pub fn report(&self, printer: Printer) -> ExitCode {
        let hint = match self {
            Self::Unreadable { .. } => Some("--config and FLOTILLA_CONFIG name the file"),
            Self::Invalid(_) => Some("`flotilla config docs` describes every setting"),
            Self::Jump(_) | Self::Plan(_) => None,
        };
        printer.error(self, hint);
        ExitCode::from(WRONG)
    }
}

fn listed(errors: &[ConfigError]) -> String {
    match errors {
        [error] => error.to_string(),
        errors => {
            errors.iter().fold(format!("{} settings are wrong:", errors.len()), |text, error| {
                format!("{text}\n  - {error}")
            })
        }
    }
}

/// The settings in force: flags, then this process's environment, then the file, then defaults.
///
/// # Errors
/// Everything that is wrong with them, together.
pub fn load(flags: &SettingFlags, role: Role) -> Result<Loaded, ConfigFailure> {
    load_from(flags, role, std::env::vars_os())
}

/// As [`load`], with another environment.
///
/// # Errors
/// Everything that is wrong, together.
pub fn load_from(
    flags: &SettingFlags,
    role: Role,
    env: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Loaded, ConfigFailure> {
    // A setting that is not text is wrong anyway, and its error shows what can be shown.
    let text = |text: OsString| text.to_string_lossy().into_owned();
    let env: BTreeMap<_, _> =
        env.into_iter().map(|(name, value)| (text(name), text(value))).collect();
    let sources = Sources {
        flags: flags.given.clone(),
        file: file(flags, &env)?,
        machine: machine(&env, role),
        role,
        env: env.into_iter().collect(),
    };
    Config::load(&sources).map_err(ConfigFailure::Invalid)
}

type Env = BTreeMap<String, String>;

/// A variable's value as a path, if it is set.
fn path(env: &Env, name: &str) -> Option<PathBuf> {
    env.get(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The file that was named, else the first that exists where files are looked for.
fn file(flags: &SettingFlags, env: &Env) -> Result<Option<File>, ConfigFailure> {
    if let Some(named) = flags.config.clone().or_else(|| path(env, "FLOTILLA_CONFIG")) {
        return read(&named).map(Some);
    }
    let of_user = path(env, "XDG_CONFIG_HOME")
        .or_else(|| path(env, "HOME").map(|home| home.join(".config")))
        .map(|folder| folder.join("flotilla").join(FILE));
    let places = [Some(PathBuf::from(FILE)), of_user, Some(Path::new("/etc/flotilla").join(FILE))];
    let found = places.into_iter().flatten().find(|place| place.is_file());
    found.map(|found| read(&found)).transpose()
}

fn read(path: &Path) -> Result<File, ConfigFailure> {
    let text = std::fs::read_to_string(path)
        .map_err(|why| ConfigFailure::Unreadable { path: path.to_owned(), why })?;
    Ok(File { name: path.display().to_string(), text })
}

/// The defaults that depend on the machine.
fn machine(env: &Env, role: Role) -> Vec<(&'static str, String)> {
    let data = path(env, "XDG_DATA_HOME")
        .or_else(|| path(env, "HOME").map(|home| home.join(".local/share")))
        .unwrap_or_else(|| PathBuf::from("/var/lib"))
        .join("flotilla");
    let run_dir = path(env, "XDG_RUNTIME_DIR").map_or_else(
        // Everybody shares the temporary folder, so the name says whose this is.
        || std::env::temp_dir().join(format!("flotilla-{}", rustix::process::getuid().as_raw())),
        |folder| folder.join("flotilla"),
    );
    let places = [("data", data), ("run_dir", run_dir)];
    let mut defaults = places.map(|(key, path)| (key, path.display().to_string())).to_vec();
    if role == Role::Worker {
        // Gateways are elsewhere, and nobody gets in without a ticket of theirs.
        defaults.extend([("host", "0.0.0.0".to_owned()), ("port", "3131".to_owned())]);
    }
    defaults
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        settings: SettingFlags,
    }

    fn flags(arguments: &[&str]) -> SettingFlags {
        Cli::try_parse_from([&["flotilla"], arguments].concat()).unwrap().settings
    }

    fn env(variables: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        variables.iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    #[test]
    fn the_command_line_is_well_formed_and_has_every_setting() {
        use clap::CommandFactory;
        let mut command = Cli::command();
        command.clone().debug_assert();
        let help = command.render_long_help().to_string();
        assert!(settings().all(|s| help.contains(&format!("--{}", s.flag()))), "{help}");
    }

    #[test]
    fn flags_win_over_the_environment_and_switches_need_no_value() {
        let given = flags(&["--port", "9000", "--allow-anyone", "--headless=false"]);
        let loaded =
            load_from(&given, Role::Standalone, env(&[("PORT", "1"), ("HOME", "/nowhere")]))
                .unwrap();
        assert_eq!(loaded.config.listen.port, 9000);
        assert!(loaded.config.listen.allow_anyone);
        assert!(!loaded.config.browsers.headless);
        assert_eq!(loaded.config.places.data, Path::new("/nowhere/.local/share/flotilla"));
        let args = flags(&["--allowed-launch-args", "--lang=,--mute-audio"]);
        let loaded = load_from(&args, Role::Standalone, env(&[])).unwrap();
        assert_eq!(loaded.config.sessions.allowed_launch_args, ["--lang=", "--mute-audio"]);
    }

    #[test]
    fn a_file_that_was_named_must_be_there() {
        let failure = load_from(&flags(&["--config", "/no/such.toml"]), Role::Standalone, env(&[]))
            .unwrap_err();
        assert!(failure.to_string().contains("/no/such.toml"), "{failure}");
        let named = env(&[("FLOTILLA_CONFIG", "/no/other.toml")]);
        assert!(load_from(&SettingFlags::default(), Role::Standalone, named).is_err());
    }

    #[test]
    fn every_mistake_is_listed_in_one_go() {
        let wrong = env(&[("PORT", "eighty"), ("HEADLESS", "maybe")]);
        let failure = load_from(&flags(&["--queue-limit", "x"]), Role::Standalone, wrong)
            .unwrap_err()
            .to_string();
        assert!(failure.starts_with("3 settings are wrong:\n  - PORT: \"eighty\""), "{failure}");
        assert!(failure.contains("--queue-limit: \"x\" is not"), "{failure}");
    }
}
