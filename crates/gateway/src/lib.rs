//! A client's way in: accept, queue, choose, dial, relay.
