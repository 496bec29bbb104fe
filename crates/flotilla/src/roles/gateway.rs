//! A gateway of a fleet: a view of the workers, and a way to them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use flotilla_core::config::{Config, Loaded};
use flotilla_core::ending::Ending;
use flotilla_core::keyring::SharedKeyring;
use flotilla_core::metrics::{Fleet, Metrics};
use flotilla_core::status::Status;
use flotilla_core::view::{Notice, Patience};
use flotilla_gateway::{Gateway, GatewayConfig, Remote, RemoteConfig};
use flotilla_registry::SharedView;
use flotilla_registry::redis::{RedisAddress, Subscriber, Subscription};
use tokio::task::JoinHandle;

use super::secret;
use crate::grid::Stopped;
use crate::local::Counted;
use crate::parts::{bind, gateway_config, reachable};

/// How long the last sessions may take to read why they were ended.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A running gateway.
#[derive(Debug)]
pub struct GatewayRole {
    gateway: Gateway<SharedView, Remote<SharedView>>,
    address: SocketAddr,
    subscriber: Subscriber,
    serving: JoinHandle<std::io::Result<()>>,
    following: JoinHandle<()>,
    drain_timeout: Duration,
}

impl GatewayRole {
    /// Starts everything and binds the listener; Redis may be away, and workers may come later.
    ///
    /// # Errors
    /// When the port is taken, or a setting makes no sense.
    pub async fn start(loaded: &Loaded) -> anyhow::Result<Self> {
        let config = &loaded.config;
        let keyring = secret::keyring(&config.fleet)?;
        let redis = RedisAddress::parse(&config.redis)?;
        let listener = bind(config).await?;
        let address = listener.local_addr()?;
        let metrics = Arc::new(Metrics::new(config, &loaded.hash()));
        let timing = &config.timing;
        let patience = Patience::new(timing.redis_key_ttl, timing.heartbeat_interval);
        let view = Arc::new(SharedView::new(patience));
        let subscriber = Subscriber::spawn(Subscription {
            address: redis,
            view: view.clone(),
            keyring: keyring.clone(),
            key_ttl: timing.redis_key_ttl,
            reaper_interval: timing.reaper_run_interval,
            observer: Arc::new(Counted(metrics.clone())),
        });
        let gateway = Gateway::new(
            GatewayConfig {
                shutdown_grace: Some(config.fleet.shutdown_grace),
                ..gateway_config(config, None, address, Some(keyring.clone()))
            },
            view.clone(),
            view.subscribe(),
            remote(config, &view, &keyring, metrics.clone()),
            metrics,
        );
        let front = gateway.clone();
        let serving = tokio::spawn(async move { front.serve(listener).await });
        let following = tokio::spawn(secret::follow(config.fleet.clone(), keyring));
        let drain_timeout = timing.drain_timeout;
        Ok(Self { gateway, address, subscriber, serving, following, drain_timeout })
    }

    /// Where clients connect.
    pub fn endpoint(&self) -> String {
        format!("ws://{}", reachable(self.address))
    }

    /// The grid as this gateway sees it.
    pub async fn status(&self) -> Status {
        self.gateway.status().await
    }

    /// Resolves when an operator wants this process to end.
    pub async fn told_to_stop(&self) {
        self.gateway.told_to_stop().await;
    }

    /// Wants no more clients, lets in those who come meanwhile, and waits for the sessions, at most
    /// the drain timeout or until `hurry` resolves.
    pub async fn stop(self, hurry: impl Future<Output = ()>) -> Stopped {
        let done = async {
            self.gateway.leave().await;
            self.gateway.idle().await;
        };
        tokio::select! {
            () = done => {}
            () = tokio::time::sleep(self.drain_timeout) => {}
            () = hurry => {}
        }
        self.gateway.drain();
        let ended = self.gateway.active();
        if ended > 0 {
            self.gateway.end_all(&Ending::drained());
            let _ = tokio::time::timeout(LAST_WORDS, self.gateway.idle()).await;
        }
        self.serving.abort();
        self.following.abort();
        drop(self.subscriber);
        Stopped { ended }
    }
}

fn remote(
    config: &Config,
    view: &Arc<SharedView>,
    keyring: &SharedKeyring,
    metrics: Arc<Metrics>,
) -> Remote<SharedView> {
    let remote = RemoteConfig {
        select_timeout: config.timing.worker_select_timeout,
        launch_timeout: config.browsers.launch_timeout,
        session_max_duration: config.sessions.session_max_duration,
        ttl: config.timing.redis_key_ttl,
    };
    Remote::new(view.clone(), keyring.clone(), remote, view.subscribe(), move |notice| {
        found(&metrics.fleet, notice);
    })
}

/// Says what was found out about workers.
fn found(metrics: &Fleet, notice: Notice) {
    match notice {
        Notice::Routable(worker) => {
            metrics.registrations.inc(());
            tracing::info!(%worker, "a worker can be reached");
        }
        Notice::Unroutable(worker, why) => {
            metrics.unroutable.inc(());
            tracing::warn!(%worker, why, "a worker cannot be reached: no sessions are sent there");
        }
        Notice::Expired(worker) => {
            metrics.expired.inc(());
            tracing::warn!(%worker, "a worker was not heard of for its TTL: no sessions are sent there");
        }
        Notice::Mistimed { id, heartbeat, ttl } => {
            tracing::error!(
                worker = %id, heartbeat_seconds = heartbeat.as_secs_f64(), ttl_seconds = ttl.as_secs_f64(),
                "a worker's HEARTBEAT_INTERVAL is not shorter than this gateway's REDIS_KEY_TTL: it \
                 will count as gone while it is well. Raise REDIS_KEY_TTL on the gateways first"
            );
        }
        Notice::Duplicate { id, holder, rejected } => {
            metrics.duplicates.inc(());
            tracing::error!(
                worker = %id, holder, rejected,
                "two workers have one name: the first keeps it, the other gets no sessions. \
                 Give it a name of its own (FLOTILLA_WORKER_ID), or none"
            );
        }
    }
}
