//! The Gearman server: one that runs already, or Debian's gearmand, started for the sandbox alone.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use crate::sandbox::jenkins::settings::Gearman;

/// Where Debian's package gearman-job-server puts it.
const GEARMAND: &str = "/usr/sbin/gearmand";
/// How long it may take to start, and to end.
const DEADLINE: Duration = Duration::from_secs(20);

fn hold(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// A server, and its process if it is ours.
#[derive(Debug)]
pub(in crate::sandbox::jenkins) struct Server {
    address: SocketAddr,
    child: Mutex<Option<Child>>,
}

impl Server {
    /// Starts one if that is wanted, and waits until it listens.
    pub(in crate::sandbox::jenkins) async fn start(wanted: Gearman) -> io::Result<Server> {
        if !wanted.start {
            return Ok(Server { address: wanted.address, child: Mutex::new(None) });
        }
        let mut address = wanted.address;
        // Bound and not listening: gearmand may listen on it all the same, and who looks for a free port gets another.
        let held = hold(address).map_err(|error| {
            io::Error::new(error.kind(), format!("gearmand cannot have {address}: {error}"))
        })?;
        address = held.local_addr()?;
        if !Path::new(GEARMAND).exists() {
            return Err(io::Error::other(format!(
                "there is no {GEARMAND}: apt-get install gearman-job-server, or start without --start-gearmand"
            )));
        }
        let mut child = Command::new(GEARMAND)
            .args(["--listen", &address.ip().to_string(), "--port", &address.port().to_string()])
            .args(["--log-file", "stderr", "--verbose", "FATAL"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .process_group(0)
            .spawn()?;
        let begun = Instant::now();
        while TcpStream::connect(address).await.is_err() {
            if let Some(status) = child.try_wait()? {
                return Err(io::Error::other(format!("gearmand ended at once: {status}")));
            }
            if begun.elapsed() > DEADLINE {
                return Err(io::Error::other(format!("gearmand does not listen on {address}")));
            }
            sleep(Duration::from_millis(20)).await;
        }
        drop(held);
        Ok(Server { address, child: Mutex::new(Some(child)) })
    }

    /// Where it answers.
    pub(in crate::sandbox::jenkins) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it, if it is ours.
    pub(in crate::sandbox::jenkins) async fn stop(&self) {
        if let Some(mut child) = self.child.lock().await.take() {
            let ended = tokio::time::timeout(DEADLINE, child.kill()).await;
            if !matches!(ended, Ok(Ok(()))) {
                tracing::warn!("gearmand did not end");
            }
        }
    }
}
