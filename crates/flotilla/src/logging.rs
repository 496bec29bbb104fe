//! Logs go to standard error: JSON lines for machines, or text for people.

use flotilla_core::config::{Log, LogFormat};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

/// Starts logging as configured.
pub fn start(log: &Log) {
    install(log, log.log_level.as_str());
}

/// Starts logging for a command that has something else to show: errors, for people.
pub fn start_quiet() {
    install(&Log { log_format: LogFormat::Text, ..Log::default() }, "error");
}

fn install(log: &Log, level: &str) {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(level))
        .with_writer(BoxMakeWriter::new(std::io::stderr))
        .with_target(false);
    // It fails only when a logger is there already, which then goes on logging.
    let _ = match log.log_format {
        LogFormat::Json => builder
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .try_init(),
        LogFormat::Text => {
            builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init()
        }
    };
}
