//! Tests of the handshake heads.
