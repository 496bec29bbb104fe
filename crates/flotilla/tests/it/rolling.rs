//! Rolling updates while clients work: real Playwright clients, raw ones that come and go fast, and
//! somebody who counts slots all the time.

mod fleet;
mod gateways;
mod load;
mod refusing;
mod workers;
