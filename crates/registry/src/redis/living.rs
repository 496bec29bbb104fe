//! Whose heartbeats Redis still has.

use redis::{FromRedisValue as _, cmd};

use super::fault::Fault;
use super::link::Asks;

/// For each list of keys, whether one of them is there, and for a time only: a key that would stay
/// for ever is nobody's heartbeat.
pub(crate) async fn living(asks: &mut Asks, keys: Vec<Vec<String>>) -> Result<Vec<bool>, Fault> {
    let ages = keys.iter().flatten().map(|key| {
        let mut age = cmd("PTTL");
        age.arg(key);
        age
    });
    let ages: Vec<_> = ages.collect();
    if ages.is_empty() {
        return Ok(vec![false; keys.len()]);
    }
    let mut left = Vec::with_capacity(ages.len());
    for age in asks.ask_all(ages).await? {
        left.push(i64::from_redis_value(age?).is_ok_and(|left| left > 0));
    }
    let mut left = left.into_iter();
    Ok(keys.iter().map(|keys| left.by_ref().take(keys.len()).fold(false, |a, b| a | b)).collect())
}
