//! The part of the fake clients.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use flotilla_testkit::fakes::Client;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::part::{Orders, answer};

/// How many connect at one time when many are to be held.
const AT_ONCE: usize = 64;

/// What the clients can be told.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Connect and close one after the other. The answer is how long each waited for its 101, in
    /// seconds.
    Connect { clients: usize },
    /// So many more connect, and stay. The answer is how many there are.
    Hold { clients: usize },
    /// So many more connect, and are expected to wait. The answer does not wait for them.
    Wait { clients: usize },
    /// So often one leaves, the one that waits longest comes in, and another one queues up.
    Turn { times: usize },
    /// All leave that are in.
    Leave,
    /// Lanes beside each other that connect, close and connect again.
    Start { lanes: usize, seconds: f64, at: SocketAddr },
}

/// What came of turns: seconds on the clock of this machine.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Turns {
    /// When the one that left said so.
    pub(crate) left: Vec<f64>,
    /// When the next had its 101.
    pub(crate) entered: Vec<f64>,
}

/// What came of starts.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Starts {
    pub(crate) sessions: u64,
    pub(crate) seconds: f64,
}

pub(crate) async fn play() -> anyhow::Result<()> {
    let mut orders = Orders::read()?;
    let Some(gateway) = orders.next::<SocketAddr>().await? else { return Ok(()) };
    let mut clients =
        Clients { gateway, clock: Clock::new(), inside: VecDeque::new(), waiting: JoinSet::new() };
    answer(&())?;
    while let Some(order) = orders.next().await? {
        clients.obey(order).await?;
    }
    Ok(())
}

struct Clients {
    gateway: SocketAddr,
    clock: Clock,
    /// Those that stay; told to leave, they do.
    inside: VecDeque<Staying>,
    waiting: JoinSet<anyhow::Result<(Client, f64)>>,
}

struct Staying {
    leave: oneshot::Sender<()>,
    left: tokio::task::JoinHandle<anyhow::Result<()>>,
}

// === impl Clients ===

impl Clients {
    async fn obey(&mut self, order: Order) -> anyhow::Result<()> {
        match order {
            Order::Connect { clients } => {
                let mut took = Vec::new();
                for _ in 0..clients {
                    let began = Instant::now();
                    let client = open(self.gateway).await?;
                    took.push(began.elapsed().as_secs_f64());
                    client.close().await?;
                }
                answer(&took)
            }
            Order::Hold { clients } => {
                self.hold(clients).await?;
                answer(&self.inside.len())
            }
            Order::Wait { clients } => {
                (0..clients).for_each(|_| self.queue_up());
                answer(&())
            }
            Order::Turn { times } => {
                let mut turns = Turns::default();
                for _ in 0..times {
                    self.turn(&mut turns).await?;
                }
                answer(&turns)
            }
            Order::Leave => {
                self.waiting.shutdown().await;
                for staying in std::mem::take(&mut self.inside) {
                    staying.leave().await?;
                }
                answer(&())
            }
            Order::Start { lanes, seconds, at } => answer(&start(lanes, seconds, at).await?),
        }
    }

    async fn hold(&mut self, clients: usize) -> anyhow::Result<()> {
        let mut left = clients;
        let mut opening = JoinSet::new();
        while left > 0 || !opening.is_empty() {
            while left > 0 && opening.len() < AT_ONCE {
                opening.spawn(open(self.gateway));
                left -= 1;
            }
            if let Some(client) = opening.join_next().await {
                self.inside.push_back(Staying::new(client??));
            }
        }
        Ok(())
    }

    fn queue_up(&mut self) {
        let (gateway, clock) = (self.gateway, self.clock);
        self.waiting.spawn(async move {
            let client = open(gateway).await?;
            Ok((client, clock.now()))
        });
    }

    async fn turn(&mut self, turns: &mut Turns) -> anyhow::Result<()> {
        let leaving = self.inside.pop_front().context("nobody is inside")?;
        turns.left.push(self.clock.now());
        leaving.leave().await?;
        let next = self.waiting.join_next().await.context("nobody waits")?;
        let (client, entered) = next??;
        turns.entered.push(entered);
        self.inside.push_back(Staying::new(client));
        self.queue_up();
        Ok(())
    }
}

impl Staying {
    fn new(mut client: Client) -> Self {
        let (leave, told) = oneshot::channel();
        let left = tokio::spawn(async move {
            tokio::select! {
                _ = told => {}
                ended = client.stay() => {
                    return Err(anyhow!("a session ended by itself: {ended:?}"));
                }
            }
            Ok(client.close().await?)
        });
        Self { leave, left }
    }

    async fn leave(self) -> anyhow::Result<()> {
        let _ = self.leave.send(());
        self.left.await?
    }
}

async fn open(at: SocketAddr) -> anyhow::Result<Client> {
    Client::open(at).await?.map_err(|refused| anyhow!("refused: {refused:?}"))
}

async fn start(lanes: usize, seconds: f64, at: SocketAddr) -> anyhow::Result<Starts> {
    let began = Instant::now();
    let until = began + Duration::from_secs_f64(seconds);
    let mut all = JoinSet::new();
    for _ in 0..lanes {
        all.spawn(async move {
            let mut sessions = 0;
            while Instant::now() < until {
                open(at).await?.close().await?;
                sessions += 1;
            }
            anyhow::Ok(sessions)
        });
    }
    let sessions: anyhow::Result<Vec<u64>> = all.join_all().await.into_iter().collect();
    Ok(Starts { sessions: sessions?.into_iter().sum(), seconds: began.elapsed().as_secs_f64() })
}
