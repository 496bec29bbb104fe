//! The ways in: one server, the master of some Sentinels, a cluster.

use flotilla_core::config::Secret;
use redis::aio::MultiplexedConnection;
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::cluster_async::ClusterConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _,
    ProtocolVersion, RedisConnectionInfo, RedisResult, Role, TlsCertificates, TlsMode,
};

use super::address::{Kind, Login, Node, RedisAddress};
use super::fault::Fault;
use super::jitter;
use super::link::{ANSWER, CONNECT};

/// Connects to the server, the master, or any node of the cluster.
pub(super) async fn node(
    address: &RedisAddress,
    config: &AsyncConnectionConfig,
) -> Result<MultiplexedConnection, Fault> {
    match &address.kind {
        Kind::Single | Kind::Cluster => first(address, config).await,
        Kind::Sentinels(name) => {
            let master = master(address, name).await?;
            let mut connection = server(address, &master, &address.login, config).await?;
            check_master(&master, &mut connection).await?;
            Ok(connection)
        }
    }
}

/// Connects to all of the cluster, if it is one.
pub(super) async fn cluster(address: &RedisAddress) -> Result<Option<ClusterConnection>, Fault> {
    if address.kind != Kind::Cluster {
        return Ok(None);
    }
    let connected = async { cluster_client(address)?.get_async_connection().await };
    connected.await.map(Some).map_err(|error| Fault::of(&address.to_string(), &error))
}

/// The first that lets us in. Gateways and workers spread over the nodes of a cluster by it.
async fn first(
    address: &RedisAddress,
    config: &AsyncConnectionConfig,
) -> Result<MultiplexedConnection, Fault> {
    let mut fault = Fault::NoMaster("there is no server in the address".to_owned());
    for node in jitter::from_anywhere(&address.nodes) {
        match server(address, node, &address.login, config).await {
            Ok(connection) => return Ok(connection),
            Err(other) => fault = other,
        }
    }
    Err(fault)
}

async fn server(
    address: &RedisAddress,
    node: &Node,
    login: &Login,
    config: &AsyncConnectionConfig,
) -> Result<MultiplexedConnection, Fault> {
    let settings = settings(login, address.database).set_protocol(ProtocolVersion::RESP3);
    match open(address, node, settings, config).await {
        Ok(connection) => Ok(connection),
        Err(error) => Err(Fault::of_connecting(node, address.tls.is_some(), &error).await),
    }
}

async fn open(
    address: &RedisAddress,
    node: &Node,
    settings: RedisConnectionInfo,
    config: &AsyncConnectionConfig,
) -> RedisResult<MultiplexedConnection> {
    let info = info(address, node)?.set_redis_settings(settings);
    let client = match certificates(address) {
        Some(certificates) => Client::build_with_tls(info, certificates)?,
        None => Client::open(info)?,
    };
    client.get_multiplexed_async_connection_with_config(config).await
}

fn info(address: &RedisAddress, node: &Node) -> RedisResult<ConnectionInfo> {
    let (host, port) = (node.host.clone(), node.port);
    let target = match address.tls {
        None => ConnectionAddr::Tcp(host, port),
        Some(_) => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
    };
    let info = target.into_connection_info()?;
    Ok(info.set_tcp_settings(TcpSettings::default().set_nodelay(true)))
}

fn settings(login: &Login, database: i64) -> RedisConnectionInfo {
    let settings = RedisConnectionInfo::default().set_db(database).set_skip_set_lib_name();
    let settings = match &login.user {
        Some(user) => settings.set_username(user.reveal()),
        None => settings,
    };
    match &login.password {
        Some(password) => settings.set_password(password.reveal()),
        None => settings,
    }
}

fn certificates(address: &RedisAddress) -> Option<TlsCertificates> {
    let tls = address.tls.as_ref()?;
    // Whoever else uses rustls in this process may have chosen already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Some(TlsCertificates { client_tls: None, root_cert: tls.ca.clone() })
}

// === Sentinels ===

/// Where the Sentinels say that the master is: the first that knows. It is not always the same one
/// that is asked first, since it may have been cut off and know nothing new.
async fn master(address: &RedisAddress, name: &str) -> Result<Node, Fault> {
    let mut faults = Vec::new();
    for sentinel in jitter::from_anywhere(&address.nodes) {
        match ask_sentinel(address, sentinel, name).await {
            Ok(Some(master)) => return Ok(master),
            Ok(None) => faults.push(format!("{sentinel} knows no master {name:?}")),
            Err(fault) => faults.push(fault.to_string()),
        }
    }
    Err(Fault::NoMaster(format!("no Sentinel tells the master: {}", faults.join("; "))))
}

async fn ask_sentinel(
    address: &RedisAddress,
    sentinel: &Node,
    name: &str,
) -> Result<Option<Node>, Fault> {
    let mut connection = sentinel_connection(address, sentinel).await?;
    let mut command = redis::cmd("SENTINEL");
    command.arg("GET-MASTER-ADDR-BY-NAME").arg(name);
    let answer: RedisResult<Option<(String, u16)>> = command.query_async(&mut connection).await;
    match answer {
        Ok(master) => Ok(master.map(|(host, port)| Node { host, port })),
        Err(error) => Err(Fault::of(&sentinel.to_string(), &error)),
    }
}

/// Sentinels have the same login as the servers that they watch, or none.
async fn sentinel_connection(
    address: &RedisAddress,
    sentinel: &Node,
) -> Result<MultiplexedConnection, Fault> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT))
        .set_response_timeout(Some(ANSWER));
    let stranger = Login::default();
    let logins = match address.login == stranger {
        true => vec![&stranger],
        false => vec![&address.login, &stranger],
    };
    let mut refused = None;
    for login in logins {
        match open(address, sentinel, settings(login, 0), &config).await {
            Ok(connection) => return Ok(connection),
            Err(error) if error.is_io_error() => {
                return Err(Fault::of_connecting(sentinel, address.tls.is_some(), &error).await);
            }
            Err(error) => refused = refused.or(Some(Fault::of(&sentinel.to_string(), &error))),
        }
    }
    Err(refused.unwrap_or_else(|| Fault::Silent(sentinel.to_string())))
}

/// A Sentinel may not know yet that its master is no more one.
async fn check_master(node: &Node, connection: &mut MultiplexedConnection) -> Result<(), Fault> {
    let role: RedisResult<Role> = redis::cmd("ROLE").query_async(connection).await;
    match role {
        Ok(Role::Primary { .. }) => Ok(()),
        Ok(_) => Err(Fault::NoMaster(format!("{node} is called the master and is none (yet)"))),
        Err(error) => Err(Fault::of(&node.to_string(), &error)),
    }
}

// === A cluster ===

fn cluster_client(address: &RedisAddress) -> RedisResult<ClusterClient> {
    let nodes: RedisResult<Vec<_>> = address.nodes.iter().map(|node| info(address, node)).collect();
    let mut builder = ClusterClientBuilder::new(nodes?)
        .connection_timeout(CONNECT)
        .response_timeout(ANSWER)
        .overall_response_timeout(Some(ANSWER))
        .use_protocol(ProtocolVersion::RESP3)
        .retries(2);
    if let Some(certificates) = certificates(address) {
        builder = builder.tls(TlsMode::Secure).certs(certificates);
    }
    let reveal = |secret: &Option<Secret>| secret.as_ref().map(|secret| secret.reveal().to_owned());
    if let Some(user) = reveal(&address.login.user) {
        builder = builder.username(user);
    }
    if let Some(password) = reveal(&address.login.password) {
        builder = builder.password(password);
    }
    builder.build()
}
