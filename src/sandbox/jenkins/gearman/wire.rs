//! One connection of a worker: packets with bounds and deadlines.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use gearman::protocol::{GearmanCodec, Packet, PacketType};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::codec::Framed;

/// The longest packet, in bytes.
const LONGEST_PACKET: u32 = 4 << 20;
/// How long a server may take to connect and to take or answer a packet.
const DEADLINE: Duration = Duration::from_secs(30);

/// The connection is of no use any more.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Lost(String);

/// A connection.
pub(super) struct Wire {
    framed: Framed<TcpStream, GearmanCodec>,
}

/// A job that was handed over.
pub(super) struct Assigned {
    pub(super) handle: Bytes,
    pub(super) function: String,
    pub(super) data: Bytes,
}

impl Lost {
    /// The controller goes down.
    pub(super) fn going_down() -> Self {
        Self("the controller goes down".into())
    }
}

impl Wire {
    /// Connects and says who we are.
    pub(super) async fn connect(address: SocketAddr, id: &str) -> Result<Wire, Lost> {
        let stream = timeout(DEADLINE, TcpStream::connect(address)).await;
        let stream = stream.map_err(|_| Lost("no connection in time".into()))?;
        let stream = stream.map_err(|error| Lost(error.to_string()))?;
        // Without it a packet takes longer, that is all.
        let _ = stream.set_nodelay(true);
        let codec = GearmanCodec::with_max_payload_size(LONGEST_PACKET);
        let mut wire = Wire { framed: Framed::new(stream, codec) };
        wire.send(PacketType::SetClientId, vec![Bytes::copy_from_slice(id.as_bytes())]).await?;
        Ok(wire)
    }

    /// Sends a packet.
    pub(super) async fn send(&mut self, kind: PacketType, parts: Vec<Bytes>) -> Result<(), Lost> {
        let sent = timeout(DEADLINE, self.framed.send(Packet::request(kind, parts))).await;
        sent.map_err(|_| Lost("a packet was not taken".into()))?.map_err(|error| Lost(error.to_string()))
    }

    /// The next packet. Nothing is lost when this is dropped half-way.
    pub(super) async fn receive(&mut self) -> Result<Packet, Lost> {
        match self.framed.next().await {
            Some(Ok(packet)) => Ok(packet),
            Some(Err(error)) => Err(Lost(error.to_string())),
            None => Err(Lost("the server closed the connection".into())),
        }
    }

    /// Asks for a job. `None` when there is none.
    pub(super) async fn grab(&mut self) -> Result<Option<Assigned>, Lost> {
        self.send(PacketType::GrabJobUniq, Vec::new()).await?;
        loop {
            let packet = timeout(DEADLINE, self.receive()).await;
            let packet = packet.map_err(|_| Lost("no answer to a request for a job".into()))??;
            match packet.ptype {
                PacketType::NoJob => return Ok(None),
                // A call to wake up that was already on its way.
                PacketType::Noop => {}
                PacketType::JobAssignUniq => {
                    let part = |index| packet.arg(index).cloned().unwrap_or_default();
                    let function = String::from_utf8_lossy(&part(1)).into_owned();
                    return Ok(Some(Assigned { handle: part(0), function, data: part(3) }));
                }
                other => return Err(Lost(format!("{other:?} was not expected"))),
            }
        }
    }

    /// Says that we sleep until we are called.
    pub(super) async fn pre_sleep(&mut self) -> Result<(), Lost> {
        self.send(PacketType::PreSleep, Vec::new()).await
    }

    /// Says something about a job: a packet of its handle and these parts.
    pub(super) async fn tell(
        &mut self,
        kind: PacketType,
        job: &Assigned,
        parts: &[&str],
    ) -> Result<(), Lost> {
        let parts = parts.iter().map(|part| Bytes::copy_from_slice(part.as_bytes()));
        self.send(kind, [job.handle.clone()].into_iter().chain(parts).collect()).await
    }
}
