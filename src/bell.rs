//! The bell: how the CLI wakes the daemon; and the plate beside it, which says where the daemon serves.
//!
//! A wake carries no news. The news is a row in the store, and the daemon would find it a few seconds later anyway; the
//! bell only spares the operator those seconds. It is a datagram socket beside the database file, because that is the
//! one place that the daemon and the CLI both know. Where the database is on a server, it is a socket without a file, under
//! the name of the installation, which both read there; whoever is on another machine cannot ring it.

use std::fs::Permissions;
use std::io;
use std::net::SocketAddr;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{SocketAddr as SocketPlace, UnixDatagram as Caller};
use std::path::{Path, PathBuf};

use tokio::net::UnixDatagram;

/// The daemon's side of the bell. Dropping it takes the socket away.
#[derive(Debug)]
pub struct Bell {
    socket: UnixDatagram,
    /// The socket's file, where it has one.
    path: Option<PathBuf>,
}

/// Where a bell is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// At this file.
    File(PathBuf),
    /// Under this name, among the abstract sockets of Linux (unix(7)), which go with their process.
    Name(String),
}

/// Where the bell of the daemon is that keeps its state in this database file.
pub fn beside(database_file: &Path) -> Place {
    Place::File(with_ending(database_file, ".bell"))
}

/// Where the bell of the daemon of an installation is, on this machine.
pub fn of_installation(id: &str) -> Place {
    Place::Name(format!("nodepoold-{id}"))
}

impl Place {
    fn address(&self) -> io::Result<SocketPlace> {
        match self {
            Self::File(path) => SocketPlace::from_pathname(path),
            Self::Name(name) => SocketPlace::from_abstract_name(name),
        }
    }
}

/// Leaves beside the database file where the daemon serves its web port, for the CLI on this machine; `None`: nowhere.
///
/// # Errors
/// The file cannot be written.
pub fn announce_page(database_file: &Path, address: Option<SocketAddr>) -> io::Result<()> {
    let text = address.map_or_else(String::new, |address| address.to_string());
    let path = with_ending(database_file, ".page");
    let fresh = with_ending(database_file, ".page.new");
    std::fs::write(&fresh, text)?;
    std::fs::rename(fresh, path)
}

/// Where the daemon said that it serves. Whether it still runs is for others to know.
///
/// # Errors
/// The file cannot be read, or holds no address.
pub fn page(database_file: &Path) -> io::Result<Option<SocketAddr>> {
    match std::fs::read_to_string(with_ending(database_file, ".page")) {
        Ok(text) if text.trim().is_empty() => Ok(None),
        Ok(text) => text.trim().parse().map(Some).map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn with_ending(database_file: &Path, ending: &str) -> PathBuf {
    let mut path = database_file.as_os_str().to_owned();
    path.push(ending);
    path.into()
}

impl Bell {
    /// Hangs the bell up, at a file in place of one that a daemon left behind which is gone. Only the daemon's own user
    /// may ring one with a file.
    ///
    /// # Errors
    /// `AddrInUse` when another process listens there, `AlreadyExists` when something else than a socket is there,
    /// `InvalidInput` when the place is longer than a socket's may be (about 100 bytes).
    pub fn listen(place: &Place) -> io::Result<Self> {
        if let Place::File(path) = place {
            remove_stale(path)?;
        }
        let socket = Caller::bind_addr(&place.address()?)?;
        socket.set_nonblocking(true)?;
        let path = match place {
            Place::File(path) => Some(path.clone()),
            Place::Name(_) => None,
        };
        let bell = Self { socket: UnixDatagram::from_std(socket)?, path };
        if let Some(path) = &bell.path {
            std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
        }
        Ok(bell)
    }

    /// Waits until somebody rings. However often it was rung meanwhile, it was rung once.
    ///
    /// # Errors
    /// The socket is broken, and will stay so.
    pub async fn rung(&self) -> io::Result<()> {
        let mut nothing = [0; 1];
        self.socket.recv(&mut nothing).await?;
        while self.socket.try_recv(&mut nothing).is_ok() {}
        Ok(())
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        // A socket that stays behind is found to be stale by the next daemon.
        let _ = self.path.as_ref().map(std::fs::remove_file);
    }
}

/// Rings the bell and gives whether somebody listens there. Never waits.
pub fn ring(place: &Place) -> bool {
    let rung = Caller::unbound().and_then(|caller| {
        caller.set_nonblocking(true)?;
        caller.send_to_addr(&[0], &place.address()?)
    });
    match rung {
        Ok(_) => true,
        // The queue is full of rings that the listener has not heard yet: one of them will do.
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
    }
}

/// Removes a socket at which nobody listens any more.
fn remove_stale(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            Err(io::Error::new(io::ErrorKind::AlreadyExists, "it is not a socket"))
        }
        Ok(_) if Caller::unbound()?.connect(path).is_ok() => {
            Err(io::Error::new(io::ErrorKind::AddrInUse, "another process listens there"))
        }
        Ok(_) => std::fs::remove_file(path),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn heard(bell: &Bell) -> bool {
        tokio::time::timeout(Duration::from_secs(10), bell.rung()).await.is_ok_and(|rung| rung.is_ok())
    }

    #[tokio::test]
    async fn many_rings_are_one_and_none_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nodepool.db.bell");
        let name = of_installation(&format!("test-{}", std::process::id()));
        for place in [beside(&folder.path().join("nodepool.db")), name] {
            assert!(!ring(&place), "nobody hung it up yet");
            let bell = Bell::listen(&place).unwrap();
            if place == Place::File(path.clone()) {
                assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            }
            assert_eq!(Bell::listen(&place).unwrap_err().kind(), io::ErrorKind::AddrInUse);
            for _ in 0..2000 {
                assert!(ring(&place), "a full queue is a bell that rings");
            }
            assert!(heard(&bell).await);
            assert!(ring(&place));
            assert!(heard(&bell).await);
            drop(bell);
            assert!(!path.exists());
            assert!(!ring(&place));
        }
    }

    #[test]
    fn says_where_the_page_is() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("nodepool.db");
        assert_eq!(page(&database).unwrap(), None);
        for address in ["127.0.0.1:8005", "[::1]:80"] {
            let address = address.parse().unwrap();
            announce_page(&database, Some(address)).unwrap();
            assert_eq!(page(&database).unwrap(), Some(address));
        }
        announce_page(&database, None).unwrap();
        assert_eq!(page(&database).unwrap(), None);
        std::fs::write(folder.path().join("nodepool.db.page"), "nonsense").unwrap();
        assert!(page(&database).is_err());
    }

    #[tokio::test]
    async fn replaces_what_a_dead_daemon_left_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nodepool.db.bell");
        let place = Place::File(path.clone());
        drop(Caller::bind(&path).unwrap());
        assert!(path.exists() && !ring(&place), "a closed socket stays in the folder");
        let bell = Bell::listen(&place).unwrap();
        assert_eq!(Bell::listen(&place).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert!(ring(&place) && heard(&bell).await, "the first one still listens");

        let file = folder.path().join("notes.txt");
        std::fs::write(&file, "keep").unwrap();
        assert_eq!(
            Bell::listen(&Place::File(file.clone())).unwrap_err().kind(),
            io::ErrorKind::AlreadyExists
        );
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "keep");
    }
}
