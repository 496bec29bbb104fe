//! The WebSocket relay: handshake heads, frame headers, close codes. Knows no policy.
