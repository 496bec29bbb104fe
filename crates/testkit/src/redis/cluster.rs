//! A Redis Cluster of three masters.

use super::{READY, Redis, words};
use crate::wait::wait_until;

/// A running cluster. Gone with its value.
#[derive(Debug)]
pub struct Cluster {
    /// Its nodes: each has a third of the slots.
    pub nodes: Vec<Redis>,
}

// === impl Cluster ===

impl Cluster {
    /// Starts three nodes, makes them a cluster, and waits until each of them says that it is whole.
    ///
    /// # Panics
    /// When they do not come to that.
    #[expect(clippy::new_without_default, reason = "starting servers has an effect")]
    pub fn new() -> Self {
        let nodes: Vec<_> = (0..3).map(|_| node()).collect();
        let cluster = Self { nodes };
        cluster.join();
        for node in &cluster.nodes {
            wait_until("the cluster to be whole", READY, || {
                node.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok")
            });
        }
        cluster
    }

    /// Where the nodes are, as `HOST:PORT`.
    pub fn addresses(&self) -> Vec<String> {
        self.nodes.iter().map(Redis::address).collect()
    }

    fn join(&self) {
        let mut command = self.nodes[0].setup.cli();
        command.args(["--cluster", "create"]).args(self.addresses()).arg("--cluster-yes");
        let output = command.output().expect("redis-cli can be run");
        assert!(output.status.success(), "the cluster was not made: {}", words(&output));
    }
}

fn node() -> Redis {
    Redis::builder()
        .config("cluster-enabled yes")
        .config("cluster-config-file nodes.conf")
        .config("cluster-node-timeout 1000")
        .start()
}
