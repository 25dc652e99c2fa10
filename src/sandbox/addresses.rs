//! Loopback addresses for servers, one each.
//!
//! An address is held by binding its ssh port without listening, so that two sandboxes on one machine never
//! give out the same one, and so that a connection is refused until the server's sshd starts to listen.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};

use tokio::net::{TcpListener, TcpSocket};

/// How many addresses are tried before giving up: those that others hold are passed over.
const TRIES: u32 = 65_536;

/// Hands out addresses in turn; one is not used again before all others were.
#[derive(Debug)]
pub(crate) struct Addresses {
    ssh_port: u16,
    first: u32,
    next: Mutex<u32>,
}

/// An address that is ours, and the socket that makes it so.
#[derive(Debug)]
pub(crate) struct Held {
    address: Ipv4Addr,
    socket: TcpSocket,
}

impl Addresses {
    /// Addresses from `first` on, up to 127.255.255.254.
    pub(crate) fn new(first: Ipv4Addr, ssh_port: u16) -> Self {
        Addresses { ssh_port, first: first.to_bits(), next: Mutex::new(first.to_bits()) }
    }

    /// Takes the next address whose port is free.
    pub(crate) fn hold(&self) -> Option<Held> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..TRIES {
            let address = Ipv4Addr::from_bits(*next);
            let following = next.wrapping_add(1);
            *next = if Ipv4Addr::from_bits(following).is_loopback() { following } else { self.first };
            // .0 and .255 are addresses like others on loopback, but people and tools take them for networks.
            if matches!(address.octets(), [_, _, _, 0 | 255]) {
                continue;
            }
            if let Some(socket) = self.bound(address) {
                return Some(Held { address, socket });
            }
        }
        None
    }

    fn bound(&self, address: Ipv4Addr) -> Option<TcpSocket> {
        // Without SO_REUSEADDR: only then does binding alone keep others out.
        let socket = TcpSocket::new_v4().ok()?;
        socket.bind(SocketAddr::from((address, self.ssh_port))).ok()?;
        Some(socket)
    }
}

/// A listener on an address that was given out before and is in nobody's hands now.
pub(crate) fn listen_again(address: Ipv4Addr, port: u16, backlog: u32) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    // What its last connections left behind does not matter: they were ours.
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((address, port)))?;
    socket.listen(backlog)
}

impl Held {
    pub(crate) fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// The bound socket, to listen on.
    pub(crate) fn into_socket(self) -> TcpSocket {
        self.socket
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_held_is_not_given_twice() {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let first = Ipv4Addr::new(127, 201, 7, 254);
        let (one, two) = (Addresses::new(first, port), Addresses::new(first, port));
        let held = one.hold().unwrap();
        assert_eq!(held.address(), first);
        let other = two.hold().unwrap();
        assert_eq!(other.address(), Ipv4Addr::new(127, 201, 8, 1));
        assert!(std::net::TcpStream::connect((first, port)).is_err(), "held is not listening");
    }
}
