//! A port of the loopback address that nobody else is given.

use std::net::Ipv4Addr;

use tokio::net::TcpSocket;

/// A port that is bound, and on which nobody listens: a connection is refused. Who says `SO_REUSEADDR`, as servers do, may
/// listen on it all the same; who asks for any free port is given another one.
pub struct HeldPort {
    /// Its number.
    pub port: u16,
    _socket: TcpSocket,
}

impl HeldPort {
    /// Any port that is free, held until this is dropped.
    pub fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        Self { port: socket.local_addr().unwrap().port(), _socket: socket }
    }
}
