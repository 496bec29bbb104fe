//! The values that labels take.

use crate::advert::InvalidAdvert;
use crate::browser::BrowserKind;
use crate::call::CallError;
use crate::ending::EndCause;
use crate::launcher::LaunchError;
use crate::order::OrderError;
use crate::pool::ExitReason;
use crate::refusal::Refusal;
use crate::ticket::TicketError;

use super::label::{Label, label, label_of};

label_of!(BrowserKind = "browser");
label_of!(EndCause = "cause");
label_of!(ExitReason = "reason");
label_of!(TicketError = "reason");
label_of!(OrderError = "reason");
label_of!(CallError = "reason");

label! {
    /// What became of a client that wanted a session.
    StartResult = "result" {
        /// It got one.
        Ok = "ok",
        /// It asked for what makes no sense, is not allowed, or it left before its turn.
        ClientError = "client_error",
        /// Every slot was taken, and the queue was full or too slow.
        NoCapacity = "no_capacity",
        /// Nobody serves its browser or Playwright version.
        NoVersion = "no_version",
        /// Its tenant has used up what it may use.
        Quota = "quota",
        /// The grid takes nobody, on purpose.
        Maintenance = "maintenance",
        /// The worker or the browser failed.
        WorkerError = "worker_error",
        /// The grid itself failed.
        Internal = "internal",
    }
}

impl From<&Refusal> for StartResult {
    fn from(refusal: &Refusal) -> Self {
        match (refusal.code, refusal.status) {
            ("browser_not_served" | "version_not_served", _) => Self::NoVersion,
            ("nothing_served" | "queue_full" | "queue_timeout" | "gateway_full", _) => {
                Self::NoCapacity
            }
            ("draining", _) => Self::Maintenance,
            ("launch_failed" | "launch_backing_off" | "no_worker", _) => Self::WorkerError,
            (_, 400..=499) => Self::ClientError,
            _ => Self::Internal,
        }
    }
}

label! {
    /// A part of the way from a client's request to its 101.
    ConnectPhase = "phase" {
        /// Reading the head and deciding who it is and what it wants.
        Auth = "auth",
        /// Waiting for a slot.
        Queue = "queue",
        /// Having a worker admit the session, with the launch of a browser where one is needed.
        Claim = "claim",
        /// Reaching the browser's server.
        Dial = "dial",
        /// Its answer to the handshake.
        Upgrade = "upgrade",
    }
}

label! {
    /// Why an entry of the registry was not believed.
    AdvertFault = "reason" {
        /// It was not signed with the fleet's secret.
        Forged = "forged",
        /// It was longer than any real one.
        TooLong = "too_long",
        /// It was no advert at all.
        Malformed = "malformed",
        /// It said what cannot be.
        Absurd = "absurd",
        /// It was filed under another worker's name.
        Misfiled = "misfiled",
        /// Something else stood where entries should.
        WrongType = "wrong_type",
    }
}

impl From<&InvalidAdvert> for AdvertFault {
    fn from(error: &InvalidAdvert) -> Self {
        match error {
            InvalidAdvert::Forged => Self::Forged,
            InvalidAdvert::TooLong(_) => Self::TooLong,
            InvalidAdvert::Malformed(_) => Self::Malformed,
            InvalidAdvert::Absurd(_) => Self::Absurd,
            InvalidAdvert::Misfiled => Self::Misfiled,
        }
    }
}

label! {
    /// What the registry was asked for.
    StoreOperation = "op" {
        /// Telling it about a worker.
        Announce = "announce",
        /// Reading the whole fleet.
        Snapshot = "snapshot",
        /// Whether it is there.
        Ping = "ping",
        /// Removing what the dead left.
        Reap = "reap",
        /// Reading or writing a command.
        Command = "command",
    }
}

label! {
    /// How waiting in the queue ended.
    QueueResult = "result" {
        /// With a slot.
        Granted = "granted",
        /// With the deadline.
        Timeout = "timeout",
        /// The client left.
        ClientGone = "client_gone",
        /// A drain began.
        Draining = "draining",
    }
}

label! {
    /// Which way bytes go.
    Direction = "direction" {
        /// From the client to the browser.
        ToBrowser = "to_browser",
        /// From the browser to the client.
        ToClient = "to_client",
    }
}

label! {
    /// Who sent a close frame first.
    ClosedBy = "by" {
        /// The client.
        Client = "client",
        /// The worker's side: browser or driver.
        Worker = "worker",
        /// The gateway.
        Gateway = "gateway",
    }
}

macro_rules! close_codes {
    ($($variant:ident = $code:literal $word:literal,)+) => {
        label! {
            /// A WebSocket's close code.
            CloseCode = "code" {
                $(#[doc = $word] $variant = $word,)+
                /// None was sent.
                None = "none",
                /// A code without a name here.
                Other = "other",
            }
        }

        impl From<Option<u16>> for CloseCode {
            fn from(code: Option<u16>) -> Self {
                match code {
                    $(Some($code) => Self::$variant,)+
                    Some(_) => Self::Other,
                    None => Self::None,
                }
            }
        }
    };
}

close_codes! {
    C1000 = 1000 "1000",
    C1001 = 1001 "1001",
    C1002 = 1002 "1002",
    C1003 = 1003 "1003",
    C1007 = 1007 "1007",
    C1008 = 1008 "1008",
    C1009 = 1009 "1009",
    C1010 = 1010 "1010",
    C1011 = 1011 "1011",
    C1012 = 1012 "1012",
    C1013 = 1013 "1013",
}

label! {
    /// Why a browser did not start.
    LaunchFailure = "reason" {
        /// It is not there.
        NotInstalled = "not_installed",
        /// It did not come up.
        Failed = "failed",
        /// The driver died, or did not answer in time.
        DriverGone = "driver_gone",
    }
}

impl From<&LaunchError> for LaunchFailure {
    fn from(error: &LaunchError) -> Self {
        match error {
            LaunchError::NotInstalled { .. } => Self::NotInstalled,
            LaunchError::Failed(_) => Self::Failed,
            LaunchError::DriverGone { .. } => Self::DriverGone,
        }
    }
}

label! {
    /// Why a worker went.
    WorkerExit = "reason" {
        /// It had served as much as a worker may.
        Lifetime = "lifetime",
        /// It died.
        Crash = "crash",
        /// The system took its memory away.
        Oom = "oom",
        /// A newer one took its place.
        Update = "update",
        /// There were more than needed.
        ScaleIn = "scale_in",
        /// Somebody stopped it.
        Operator = "operator",
        /// It lost the registry.
        StoreLost = "store_lost",
    }
}

label! {
    /// Which workers: a grid on one machine has one pool.
    Pool = "pool" {
        /// The workers of this machine.
        Local = "local",
    }
}

label! {
    /// What an operator asked for.
    OperatorAction = "action" {
        /// The workers.
        Workers = "workers",
        /// The sessions.
        Sessions = "sessions",
        /// That a worker takes no new sessions.
        Drain = "drain",
        /// That it takes sessions again.
        Undrain = "undrain",
        /// That a worker ends.
        Shutdown = "shutdown",
        /// That a session ends.
        End = "end",
    }
}

label! {
    /// What became of it.
    OperatorResult = "result" {
        /// It is so.
        Done = "done",
        /// It makes no sense, or there is no such worker or session.
        Refused = "refused",
        /// A worker did not answer.
        Failed = "failed",
    }
}

label! {
    /// What an HTTP request asks to be done.
    Method = "method" {
        /// GET.
        Get = "GET",
        /// HEAD.
        Head = "HEAD",
        /// POST.
        Post = "POST",
        /// Any other.
        Other = "other",
    }
}

impl From<&str> for Method {
    fn from(method: &str) -> Self {
        Self::ALL[..3].iter().copied().find(|m| m.value() == method).unwrap_or(Self::Other)
    }
}

label! {
    /// What an HTTP request is about.
    Route = "route" {
        /// A WebSocket handshake, at any path.
        Connect = "connect",
        /// The start page.
        Home = "/",
        /// Where to connect, for clients that were given an `http://` address.
        Json = "/json",
        /// The metrics.
        Metrics = "/metrics",
        /// Whether the process lives.
        Healthz = "/healthz",
        /// Whether it takes clients.
        Readyz = "/readyz",
        /// What the grid says about itself.
        Status = "/status.json",
        /// What operators ask for.
        Operator = "/v1/",
        /// Anything else.
        Other = "other",
    }
}

impl Route {
    /// The route of a path without its query, for requests that are no handshakes.
    pub fn of(path: &str) -> Self {
        let path = match path.trim_end_matches('/') {
            "" => "/",
            path => path,
        };
        if path.ends_with("/json") || path.ends_with("/json/version") {
            return Self::Json;
        }
        if path.starts_with(Self::Operator.value()) {
            return Self::Operator;
        }
        let named = &Self::ALL[1..Self::ALL.len() - 1];
        named.iter().copied().find(|route| route.value() == path).unwrap_or(Self::Other)
    }
}

label! {
    /// What kind of request is under way.
    RouteClass = "route_class" {
        /// A handshake that has not been answered yet.
        Connect = "connect",
        /// An ordinary request.
        Http = "http",
    }
}

macro_rules! statuses {
    ($($variant:ident = $code:literal $word:literal,)+) => {
        label! {
            /// The status of an HTTP answer.
            StatusCode = "status" {
                $(#[doc = $word] $variant = $word,)+
                /// A status that the grid never answers by itself.
                Other = "other",
            }
        }

        impl From<u16> for StatusCode {
            fn from(status: u16) -> Self {
                match status {
                    $($code => Self::$variant,)+
                    _ => Self::Other,
                }
            }
        }
    };
}

statuses! {
    S101 = 101 "101",
    S200 = 200 "200",
    S204 = 204 "204",
    S301 = 301 "301",
    S307 = 307 "307",
    S308 = 308 "308",
    S400 = 400 "400",
    S401 = 401 "401",
    S403 = 403 "403",
    S404 = 404 "404",
    S405 = 405 "405",
    S408 = 408 "408",
    S409 = 409 "409",
    S413 = 413 "413",
    S426 = 426 "426",
    S428 = 428 "428",
    S429 = 429 "429",
    S431 = 431 "431",
    S499 = 499 "499",
    S500 = 500 "500",
    S502 = 502 "502",
    S503 = 503 "503",
    S504 = 504 "504",
}

label! {
    /// A part of a probe's session.
    ProbePhase = "phase" {
        /// Connecting.
        Connect = "connect",
        /// A context.
        Context = "context",
        /// A page, and going somewhere with it.
        Navigate = "navigate",
        /// Running script there.
        Evaluate = "evaluate",
        /// Leaving.
        Close = "close",
    }
}

label! {
    /// How a probe ended.
    ProbeResult = "result" {
        /// Well.
        Ok = "ok",
        /// Not.
        Failed = "failed",
    }
}
