//! The commands, one file each: what they take, do, print and exit with.

use std::time::Duration;

pub mod ask;
pub mod browsers;
pub mod config;
pub mod doctor;
pub mod drain;
pub mod gateway;
pub mod health;
mod orders;
pub mod roll;
pub mod run;
pub mod scale_down;
pub mod sessions;
pub mod status;
mod stopping;
pub mod top;
pub mod up;
mod wait;
pub mod worker;
pub mod workers;

/// The grid that an option names, or its variable. An empty variable names none; an empty option
/// is a mistake, and is left to be refused.
pub fn named(endpoint: &Option<String>) -> Option<&str> {
    let exported = std::env::var_os("FLOTILLA_ENDPOINT").is_some();
    endpoint.as_deref().filter(|e| !(e.is_empty() && exported))
}

/// The address at which a grid on this machine is asked that listens on `host` and `port`.
pub fn front_door(host: &str, port: u16) -> String {
    let host = match host {
        "" | "0.0.0.0" => "127.0.0.1",
        "::" | "[::]" => "::1",
        other => other,
    };
    if host.contains(':') && !host.starts_with('[') {
        return format!("http://[{host}]:{port}");
    }
    format!("http://{host}:{port}")
}

/// What a command exits with whose options cannot be understood: a code that does not say
/// something about a grid.
pub fn usage_error_code(command: Option<&std::ffi::OsStr>) -> u8 {
    match command.and_then(std::ffi::OsStr::to_str) {
        Some("health" | "status") => 3,
        _ => 2,
    }
}

/// Reads a time as people write it: plain seconds, or with `ms`, `s`, `m` or `h`.
fn duration(text: &str) -> Result<Duration, String> {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &text[number.len()..] {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err("write a time such as 30, 500ms, 30s or 2m".into()),
    };
    let seconds = number.trim().parse::<f64>().ok().map(|n| n * factor);
    seconds
        .filter(|s| *s > 0.0)
        .and_then(|s| Duration::try_from_secs_f64(s).ok())
        .ok_or_else(|| "write a time above zero, such as 30, 500ms, 30s or 2m".into())
}

/// A time as people say it: its two largest units.
fn in_words(seconds: f64) -> String {
    let whole = seconds.max(0.0) as u64;
    let (days, hours, minutes) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) if whole < 10 => format!("{:.1} s", seconds.max(0.0)),
        (0, 0, 0) => format!("{whole} s"),
        (0, 0, m) => format!("{m} min {} s", whole % 60),
        (0, h, m) => format!("{h} h {m} min"),
        (d, h, _) => format!("{d} d {h} h"),
    }
}

#[cfg(test)]
mod tests {
    use clap::Args as _;

    use super::*;

    #[test]
    fn options_fit_together_beneath_a_command_that_has_a_version() {
        let command = clap::Command::new("flotilla")
            .version("1")
            .subcommand(health::HealthCommand::augment_args(clap::Command::new("health")))
            .subcommand(status::StatusCommand::augment_args(clap::Command::new("status")))
            .subcommand(run::RunCommand::augment_args(clap::Command::new("run")))
            .subcommand(workers::WorkersCommand::augment_args(clap::Command::new("workers")))
            .subcommand(sessions::SessionsCommand::augment_args(clap::Command::new("sessions")))
            .subcommand(top::TopCommand::augment_args(clap::Command::new("top")))
            .subcommand(doctor::DoctorCommand::augment_args(clap::Command::new("doctor")))
            .subcommand(drain::DrainCommand::augment_args(clap::Command::new("drain")))
            .subcommand(drain::UndrainCommand::augment_args(clap::Command::new("undrain")))
            .subcommand(scale_down::ScaleDownCommand::augment_args(clap::Command::new("less")));
        command.debug_assert();
    }

    #[test]
    fn options_that_are_wrong_say_nothing_about_the_grid() {
        assert_eq!(usage_error_code(Some("health".as_ref())), 3);
        assert_eq!(usage_error_code(Some("up".as_ref())), 2);
        assert_eq!(usage_error_code(None), 2);
    }

    #[test]
    fn a_grid_on_all_addresses_is_asked_on_this_machines_own() {
        assert_eq!(front_door("0.0.0.0", 8080), "http://127.0.0.1:8080");
        assert_eq!(front_door("::", 80), "http://[::1]:80");
        assert_eq!(front_door("grid.local", 1), "http://grid.local:1");
    }

    #[test]
    fn times_are_read_with_and_without_a_unit() {
        assert_eq!(duration("5"), Ok(Duration::from_secs(5)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1.5m"), Ok(Duration::from_secs(90)));
        for bad in ["", "0", "-1", "5 fortnights", "s", "1e400"] {
            assert!(duration(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn times_are_told_by_their_two_largest_units() {
        for (seconds, words) in [
            (0.42, "0.4 s"),
            (42.0, "42 s"),
            (62.9, "1 min 2 s"),
            (3_700.0, "1 h 1 min"),
            (90_000.0, "1 d 1 h"),
        ] {
            assert_eq!(in_words(seconds), words);
        }
    }
}
