//! Where clients come in.

use std::time::Duration;

use super::group::group;
use super::kind::{Deadline, Host, Port, Size, Switch};

group! {
    /// Where clients come in.
    Listen, "Where clients come in" {
        /// The address to listen on. Anything but loopback lets other machines in. A worker listens on
        /// all addresses unless told otherwise: nobody gets in there without a gateway's ticket.
        host: String as Host = "127.0.0.1";
        /// The port to listen on; a worker's is 3131 unless told otherwise. 0 lets the system choose,
        /// and what it chose is printed.
        port: u16 as Port = "8080", env "PORT";
        /// Lets everyone who can reach the grid use it. Needed to listen on anything but loopback
        /// as long as there are no API keys, because whoever drives a browser reaches what it reaches.
        allow_anyone: bool as Switch = "false";
        /// How long a client may take for its request's head.
        handshake_timeout: Duration as Deadline = "5s", live;
        /// How large a request's head may be. Test runners send launch options there, several KiB of them.
        handshake_limit: u64 as Size = "32KiB", live;
    }
}
