//! What `flotilla roll` takes.

use std::time::Duration;

use super::super::duration;

/// What both take.
#[derive(Clone, Debug, clap::Args)]
pub struct Common {
    /// Where clients connect: a gateway, or the balancer before several [default: the one that
    /// FLOTILLA_HOST and PORT name]
    #[arg(long, value_name = "URL", env = "FLOTILLA_ENDPOINT", hide_env_values = true)]
    pub endpoint: Option<String>,
    /// Starts one new process, and comes back
    #[arg(long, value_name = "CMD")]
    pub start_command: String,
    /// Ends one old process, and comes back when it has ended
    #[arg(long, value_name = "CMD")]
    pub stop_command: Option<String>,
    /// How long a new one may take until it takes sessions, and a command until it comes back
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = duration)]
    pub start_timeout: Duration,
    /// How long a session on a new one may take
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub probe_timeout: Duration,
    /// How long the sessions of an old one may last; then the roll is given up, and they go on
    /// [default: DRAIN_TIMEOUT]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub drain_timeout: Option<Duration>,
    /// How long one without sessions may take to end
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = duration)]
    pub stop_timeout: Duration,
    /// How often to connect, to measure what clients notice
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = duration)]
    pub connect_every: Duration,
    /// How long to measure connects before the roll, to compare with
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = duration)]
    pub measure_before: Duration,
    /// What started before this is old, in seconds since 1970: to continue a roll [default: now]
    #[arg(long, value_name = "SECONDS")]
    pub since: Option<f64>,
    /// Begin although some sessions are older than the drain timeout
    #[arg(long)]
    pub yes: bool,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print what happens as JSON, one line each, the result last
    #[arg(long)]
    pub json: bool,
}

/// What `flotilla roll workers` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct WorkerOptions {
    /// What both take.
    #[command(flatten)]
    pub common: Common,
    /// The gateways themselves, where --endpoint is a balancer: the first is asked how workers
    /// are, all of them how sessions ended
    #[arg(long, value_name = "URL")]
    pub gateway: Vec<String>,
    /// How many workers there are to be [default: as many as there are]
    #[arg(long, value_name = "N")]
    pub replicas: Option<usize>,
    /// How many of them may be away at one time
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub max_unavailable: usize,
    /// How many more may run at one time
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub max_surge: usize,
    /// How many are replaced at one time
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub batch: usize,
    /// How many slots must stay at every instant [default: those of the smallest workers that stay]
    #[arg(long, value_name = "N")]
    pub slots_floor: Option<usize>,
    /// The release that new workers must run; workers that run it already are not replaced
    #[arg(long, value_name = "VERSION")]
    pub release: Option<String>,
    /// Try every browser and Playwright version of a new worker, not only the default
    #[arg(long)]
    pub probe_all: bool,
}

/// What `flotilla roll gateways` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct GatewayOptions {
    /// What both take.
    #[command(flatten)]
    pub common: Common,
    /// Every gateway itself, behind the balancer that --endpoint names
    #[arg(long, value_name = "URL", required = true)]
    pub gateway: Vec<String>,
    /// How many gateways may be away at one time
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub max_unavailable: usize,
    /// How many are replaced at one time
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub batch: usize,
}
