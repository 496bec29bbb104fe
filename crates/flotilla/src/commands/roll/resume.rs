//! How a roll is continued that was interrupted: the command line, in words.

use std::fmt::Write as _;

use flotilla_core::rollout::Plan;

use super::options::{Common, GatewayOptions, WorkerOptions};

pub(super) fn workers(options: &WorkerOptions, since: f64, plan: &Plan) -> String {
    let mut line = String::from("flotilla roll workers");
    common(&mut line, &options.common, since);
    gateways_of(&mut line, &options.gateway);
    let Plan { desired, max_unavailable, max_surge, batch, .. } = plan;
    // Writing to a String cannot fail.
    let _ = write!(
        line,
        " --replicas {desired} --max-unavailable {max_unavailable} --max-surge {max_surge} \
         --batch {batch}"
    );
    if let Some(release) = &options.release {
        let _ = write!(line, " --release {}", quoted(release));
    }
    if options.probe_all {
        line.push_str(" --probe-all");
    }
    line
}

pub(super) fn gateways(options: &GatewayOptions, since: f64) -> String {
    let mut line = String::from("flotilla roll gateways");
    common(&mut line, &options.common, since);
    gateways_of(&mut line, &options.gateway);
    let GatewayOptions { max_unavailable, batch, .. } = options;
    let _ = write!(line, " --max-unavailable {max_unavailable} --batch {batch}");
    line
}

fn common(line: &mut String, options: &Common, since: f64) {
    let _ = write!(line, " --since {since:.3}");
    if let Some(endpoint) = &options.endpoint {
        let _ = write!(line, " --endpoint {}", quoted(endpoint));
    }
    let _ = write!(line, " --start-command {}", quoted(&options.start_command));
    if let Some(stop) = &options.stop_command {
        let _ = write!(line, " --stop-command {}", quoted(stop));
    }
    if let Some(patience) = options.drain_timeout {
        let _ = write!(line, " --drain-timeout {}ms", patience.as_millis());
    }
}

fn gateways_of(line: &mut String, gateways: &[String]) {
    for gateway in gateways {
        let _ = write!(line, " --gateway {}", quoted(gateway));
    }
}

/// As a shell reads it back.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        let text = "it's $HOME; `id` \"x\"\n";
        let echo = format!("printf %s {}", quoted(text));
        let output = std::process::Command::new("/bin/sh").args(["-c", &echo]).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), text);
    }
}
