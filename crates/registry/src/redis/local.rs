//! Which of this machine's addresses others can know it by.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::{UdpSocket, lookup_host};

use super::address::RedisAddress;

/// This machine's own address on the way to Redis. Nothing is sent.
///
/// # Errors
/// When none of the hosts in the address can be resolved, or there is no way to any.
pub async fn local_address_towards(redis: &RedisAddress) -> io::Result<IpAddr> {
    let mut error = io::Error::from(io::ErrorKind::NotFound);
    for node in &redis.nodes {
        match towards(&node.host, node.port).await {
            Ok(address) => return Ok(address),
            Err(other) => error = other,
        }
    }
    Err(error)
}

async fn towards(host: &str, port: u16) -> io::Result<IpAddr> {
    let mut error = io::Error::from(io::ErrorKind::NotFound);
    for address in lookup_host((host, port)).await? {
        match route(address).await {
            Ok(local) => return Ok(local),
            Err(other) => error = other,
        }
    }
    Err(error)
}

/// A datagram socket that is connected has asked for the way, and has sent nothing.
async fn route(address: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = match address {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(address).await?;
    Ok(socket.local_addr()?.ip())
}

#[cfg(test)]
mod tests {
    use flotilla_core::config::Redis;

    use super::*;

    async fn towards_host(host: &str) -> io::Result<IpAddr> {
        let settings = Redis { redis_host: Some(host.to_owned()), ..Redis::default() };
        local_address_towards(&RedisAddress::parse(&settings).unwrap()).await
    }

    #[tokio::test]
    async fn the_way_to_redis_says_which_address_is_ours() {
        assert_eq!(towards_host("127.0.0.9").await.unwrap(), Ipv4Addr::LOCALHOST);
        assert!(towards_host("no-such-host.invalid").await.is_err());
    }
}
