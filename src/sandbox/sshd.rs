//! The ssh server of one machine: public keys only, commands and shells, nothing forwarded.
//!
//! It keeps OpenSSH's contract where clients lean on it: a command runs as `shell -c TEXT` in the home folder; its
//! exit status comes before the end of its output; a connection that closes ends the command's pipes, not the
//! command.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::join_all;
use russh::keys::PrivateKey;
use russh::server::{
    Auth, ChannelOpenHandle, Config, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey,
};
use russh::{Channel, ChannelId, MethodKind, MethodSet, Pty};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::addresses::Held;
use super::machine::{Login, Machine, Terminal};

mod run;

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 128;
/// After a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How many connections a mute server holds.
const MOST_SILENT: usize = 64;
/// How long a client may take to log in, OpenSSH's `LoginGraceTime`.
const LOGIN_DEADLINE: Duration = Duration::from_mins(2);
/// How many variables a client may set.
const MOST_VARIABLES: usize = 100;

/// Answers on the machine's addresses until the machine is gone.
pub(super) async fn serve(machine: Arc<Machine>, host_key: PrivateKey) {
    let listeners = listen(&machine);
    let config = Arc::new(Config {
        methods: MethodSet::from(&[MethodKind::PublicKey][..]),
        auth_rejection_time: Duration::from_millis(50),
        auth_rejection_time_initial: Some(Duration::ZERO),
        keys: vec![host_key],
        inactivity_timeout: None,
        nodelay: true,
        ..Config::default()
    });
    let gone = machine.gone.clone();
    let accepting = listeners.iter().map(|listener| accept(&machine, listener, &config));
    gone.run_until_cancelled(join_all(accepting)).await;
}

/// Takes connections and says nothing on them, until the machine is gone.
pub(super) async fn keep_silent(machine: &Machine) {
    let listeners = listen(machine);
    let silent = listeners.iter().map(take_in_silence);
    machine.gone.run_until_cancelled(join_all(silent)).await;
}

async fn take_in_silence(listener: &TcpListener) {
    let mut silent = VecDeque::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => silent.push_back(stream),
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
        // Whoever comes so often does not wait for the oldest any more.
        if silent.len() > MOST_SILENT {
            silent.pop_front();
        }
    }
}

fn listen(machine: &Machine) -> Vec<TcpListener> {
    let listen = |held: Held| {
        let listener = held.into_socket().listen(BACKLOG);
        listener
            .inspect_err(|error| tracing::error!(%error, host = machine.host_name(), "cannot listen for ssh"))
            .ok()
    };
    machine.take_held().into_iter().filter_map(listen).collect()
}

async fn accept(machine: &Arc<Machine>, listener: &TcpListener, config: &Arc<Config>) {
    loop {
        match listener.accept().await {
            Ok((stream, client)) => {
                let _ = stream.set_nodelay(true);
                tokio::spawn(connection(Arc::clone(machine), Arc::clone(config), stream, client));
            }
            Err(error) => {
                // Out of file descriptors, most likely: others may be closed soon.
                tracing::warn!(%error, "cannot accept an ssh connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(machine: Arc<Machine>, config: Arc<Config>, stream: TcpStream, client: SocketAddr) {
    let server = stream.local_addr().unwrap_or(client);
    // Cut when the machine goes, and when nobody logs in.
    let cut = machine.gone.child_token();
    let stream = Cuttable { stream, cut: Box::pin(cut.clone().cancelled_owned()) };
    let logged_in = CancellationToken::new();
    let visitor = Visitor {
        machine,
        client,
        server,
        login: None,
        logged_in: logged_in.clone(),
        channels: HashMap::new(),
    };
    let session = async {
        match russh::server::run_stream(config, stream, visitor).await {
            Ok(session) => session.await,
            Err(error) => Err(error),
        }
    };
    let grace = async {
        if tokio::time::timeout(LOGIN_DEADLINE, logged_in.cancelled()).await.is_err() {
            cut.cancel();
        }
        std::future::pending::<Result<(), russh::Error>>().await
    };
    let ended = tokio::select! {
        ended = session => ended,
        ended = grace => ended,
    };
    if let Err(error) = ended {
        tracing::debug!(%error, %client, "an ssh connection ended");
    }
}

/// A connection that fails as soon as its machine is gone.
struct Cuttable {
    stream: TcpStream,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Cuttable {
    fn check(&mut self, context: &mut Context<'_>) -> std::io::Result<()> {
        match self.cut.as_mut().poll(context) {
            Poll::Ready(()) => Err(std::io::ErrorKind::ConnectionAborted.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Cuttable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Cuttable {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// One connection's client.
struct Visitor {
    machine: Arc<Machine>,
    client: SocketAddr,
    server: SocketAddr,
    login: Option<Login>,
    /// Cancelled, in the sense of told, when somebody has logged in.
    logged_in: CancellationToken,
    channels: HashMap<ChannelId, Waiting>,
}

/// A channel on which nothing runs yet, and what was asked for so far.
struct Waiting {
    channel: Channel<Msg>,
    terminal: Option<Terminal>,
    variables: Vec<(String, String)>,
}

impl Visitor {
    async fn checked(&self, user: &str, key: &russh::keys::PublicKey) -> Option<Login> {
        let login = self.machine.login(user).await?;
        self.machine.accepts(&login, key).await.then_some(login)
    }

    fn start(
        &mut self,
        id: ChannelId,
        text: Option<String>,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        let (Some(waiting), Some(login)) = (self.channels.remove(&id), self.login.clone()) else {
            return session.channel_failure(id);
        };
        session.channel_success(id)?;
        let mut variables = waiting.variables;
        let (client, server) = (self.client, self.server);
        let (from, to) = (client.ip(), server.ip());
        variables.push(("SSH_CONNECTION".into(), format!("{from} {} {to} {}", client.port(), server.port())));
        variables.push(("SSH_CLIENT".into(), format!("{from} {} {}", client.port(), server.port())));
        let wanted = run::Wanted { login, text, terminal: waiting.terminal, variables };
        tokio::spawn(run::run(Arc::clone(&self.machine), wanted, waiting.channel, session.handle()));
        Ok(())
    }
}

impl Handler for Visitor {
    type Error = russh::Error;

    async fn auth_publickey_offered(
        &mut self,
        user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, russh::Error> {
        let known = self.checked(user, offer.public_key).await.is_some();
        Ok(if known { Auth::Accept } else { Auth::reject() })
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, russh::Error> {
        self.login = self.checked(user, key.public_key).await;
        if self.login.is_some() {
            self.logged_in.cancel();
        }
        Ok(if self.login.is_some() { Auth::Accept } else { Auth::reject() })
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), russh::Error> {
        let waiting = Waiting { terminal: None, variables: Vec::new(), channel };
        self.channels.insert(waiting.channel.id(), waiting);
        reply.accept().await;
        Ok(())
    }

    async fn channel_close(&mut self, channel: ChannelId, _: &mut Session) -> Result<(), russh::Error> {
        self.channels.remove(&channel);
        Ok(())
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        term: &str,
        columns: u32,
        rows: u32,
        _: u32,
        _: u32,
        _: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        let Some(waiting) = self.channels.get_mut(&channel) else { return session.channel_failure(channel) };
        waiting.terminal = Some(Terminal { kind: term.into(), columns, rows });
        session.channel_success(channel)
    }

    async fn env_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        value: &str,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        let fits = !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0');
        match self.channels.get_mut(&channel) {
            Some(waiting) if fits && waiting.variables.len() < MOST_VARIABLES => {
                waiting.variables.push((name.into(), value.into()));
                session.channel_success(channel)
            }
            _ => session.channel_failure(channel),
        }
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        data: &[u8],
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        match std::str::from_utf8(data) {
            Ok(text) if !text.contains('\0') => self.start(channel, Some(text.into()), session),
            _ => session.channel_failure(channel),
        }
    }

    async fn shell_request(&mut self, channel: ChannelId, session: &mut Session) -> Result<(), russh::Error> {
        self.start(channel, None, session)
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        // The machine's own sftp-server, when it is installed: what scp uses today.
        match name {
            "sftp" => self.start(channel, Some("exec /usr/lib/openssh/sftp-server".into()), session),
            _ => session.channel_failure(channel),
        }
    }
}
