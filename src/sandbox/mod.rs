//! A cloud on one machine, for trying, testing and rehearsing.
//!
//! It answers on loopback like the parts of OpenStack that a pool of CI machines needs: Keystone v3, Nova 2.1,
//! Glance v2 and Neutron v2.0, with floating IPs. Its servers can be reached by ssh, and commands run in them for real,
//! each server in namespaces and a file tree of its own. Beside it answers, when asked for, a [`jenkins`] that runs builds
//! on such servers. How long things take and what goes wrong is set by [`faults`].
//!
//! It is the outside world: it uses nothing else of this crate. Servers share the machine's network and `/usr`, so
//! they are no boundary against code that means harm.

mod addresses;
mod cinder;
mod control;
pub mod faults;
mod floating;
mod glance;
mod http;
pub mod jenkins;
mod keystone;
mod lifecycle;
mod machine;
mod neutron;
mod nova;
pub mod operation;
pub mod random;
pub mod settings;
mod sshd;
mod state;
mod user_data;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::HeaderMap;
use chrono::Utc;
use secrecy::ExposeSecret;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use addresses::Addresses;
use faults::{Dice, Faults};
use jenkins::{Jenkins, Shared};
use machine::{Machine, Place};
use settings::{NAME, POOL, REGION, Settings};
use state::{Cloud, Fixtures, Image, ImageStatus, Network};

/// Name of the file that keeps a second sandbox out of a state folder.
const LOCK: &str = "sandbox.lock";

/// The ports on which a sandbox waits for its clients.
#[derive(Debug)]
pub struct Doors {
    cloud: TcpListener,
    jenkins: Option<TcpListener>,
}

/// A running sandbox.
#[derive(Debug)]
pub struct Sandbox {
    settings: Settings,
    address: SocketAddr,
    dice: Arc<Mutex<Dice>>,
    cloud: Mutex<Cloud>,
    counts: Arc<Mutex<http::Counts>>,
    jenkins: Option<Arc<Jenkins>>,
    addresses: Addresses,
    place: Arc<Place>,
    tasks: TaskTracker,
    stop: CancellationToken,
    /// Held as long as the sandbox runs.
    _lock: fs::File,
}

impl Sandbox {
    /// Takes the state folder and the port, makes the base image and writes the clouds.yaml.
    pub async fn start(mut settings: Settings, faults: Faults) -> io::Result<(Arc<Self>, Doors)> {
        let lock = lock(&settings)?;
        let place = Arc::new(Place::new(settings.state_dir.clone(), settings.users.clone())?);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, settings.port)).await?;
        let mut cloud = Cloud::new(Fixtures {
            project: random::hex_id(),
            user: random::hex_id(),
            domain: "default",
            role: random::hex_id(),
            application_credential: random::hex_id(),
            networks: networks(&settings.networks),
            router: random::uuid(),
        });
        let base = base_image(&settings, &place);
        place.make_base_image(&base.folder)?;
        cloud.images.insert(base.id.clone(), base);
        cloud.images_made = 1;
        let shared = Shared {
            dice: Arc::new(Mutex::new(Dice::new(faults))),
            counts: Arc::default(),
            stop: CancellationToken::new(),
        };
        let (jenkins, jenkins_door) = match settings.jenkins.take() {
            Some(wanted) => {
                let (jenkins, door) = Jenkins::start(wanted, shared.clone()).await?;
                (Some(jenkins), Some(door))
            }
            None => (None, None),
        };
        let sandbox = Arc::new(Sandbox {
            address: listener.local_addr()?,
            dice: shared.dice,
            cloud: Mutex::new(cloud),
            counts: shared.counts,
            jenkins,
            addresses: Addresses::new(settings.first_address, settings.ssh_port),
            place,
            tasks: TaskTracker::new(),
            stop: shared.stop,
            settings,
            _lock: lock,
        });
        sandbox.write_clouds_yaml()?;
        Ok((sandbox, Doors { cloud: listener, jenkins: jenkins_door }))
    }

    /// Answers requests until `until` is over, then takes everything away.
    pub async fn serve(
        self: Arc<Self>,
        doors: Doors,
        until: impl Future<Output = ()> + Send,
    ) -> io::Result<()> {
        let router = axum::Router::new().fallback(http::serve).with_state(Arc::clone(&self));
        let service = router.into_make_service_with_connect_info::<http::Connection>();
        let served = async { axum::serve(http::Door(doors.cloud), service).await };
        if let (Some(jenkins), Some(door)) = (&self.jenkins, doors.jenkins) {
            self.tasks.spawn(Arc::clone(jenkins).serve(door));
        }
        // Not axum's graceful end: that waits for idle keep-alive connections.
        let result = tokio::select! {
            result = served => result,
            () = until => Ok(()),
        };
        self.finish().await;
        result
    }

    async fn finish(&self) {
        self.stop.cancel();
        let machines: Vec<Arc<Machine>> =
            self.cloud().servers.values().map(|server| Arc::clone(&server.machine)).collect();
        futures::future::join_all(machines.iter().map(|machine| async {
            machine.gone.cancel();
            machine.stop().await;
        }))
        .await;
        self.tasks.close();
        self.tasks.wait().await;
        if self.settings.keep {
            return;
        }
        let mut removed = self.place.remove_all();
        for file in [self.clouds_yaml(), self.settings.state_dir.join(LOCK)] {
            removed = removed.and(fs::remove_file(file));
        }
        // Only ours was removed: what else lies in that folder keeps it.
        let _ = fs::remove_dir(&self.settings.state_dir);
        if let Err(error) = removed {
            tracing::warn!(%error, "not everything could be removed");
        }
    }

    /// Where the API is reached.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The file that tells clients how to reach this cloud.
    pub fn clouds_yaml(&self) -> PathBuf {
        self.settings.clouds_yaml.clone().unwrap_or_else(|| self.settings.state_dir.join("clouds.yaml"))
    }

    /// What to tell about the Jenkins: lines with its addresses and how to log in. Empty when there is none.
    pub fn jenkins_told(&self) -> String {
        let Some(jenkins) = &self.jenkins else { return String::new() };
        let settings = jenkins.settings();
        let (url, user, token) = (jenkins.url(), &settings.user, settings.token.expose_secret());
        let mut told = format!("  Jenkins: {url}  user {user}  token {token}\n");
        for (what, address) in [("ZMQ events: tcp://", jenkins.zmq()), ("Gearman: ", jenkins.gearman())] {
            let line = address.map(|address| format!("  {what}{address}\n"));
            told.push_str(&line.unwrap_or_default());
        }
        told
    }

    fn write_clouds_yaml(&self) -> io::Result<()> {
        let fixtures = self.cloud().fixtures.clone();
        let auth_url = format!("{}/identity/v3", self.base_url());
        let text = format!(
            "# Written by nodepool-sandbox at each start.\n\
             clouds:\n  {NAME}:\n    auth:\n      auth_url: {auth_url}\n      username: {NAME}\n      \
             password: \"{}\"\n      project_name: {NAME}\n      user_domain_id: {domain}\n      \
             project_domain_id: {domain}\n    region_name: {REGION}\n    interface: public\n    \
             identity_api_version: 3\n  {NAME}-application-credential:\n    auth_type: v3applicationcredential\n    \
             auth:\n      auth_url: {auth_url}\n      application_credential_id: {}\n      \
             application_credential_secret: \"{}\"\n    region_name: {REGION}\n    interface: public\n    \
             identity_api_version: 3\n",
            self.settings.password.expose_secret(),
            fixtures.application_credential,
            self.settings.application_secret.expose_secret(),
            domain = fixtures.domain,
        );
        let path = self.clouds_yaml();
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        io::Write::write_all(&mut file, text.as_bytes())
    }

    fn dice(&self) -> MutexGuard<'_, Dice> {
        self.dice.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cloud(&self) -> MutexGuard<'_, Cloud> {
        self.cloud.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counts(&self) -> MutexGuard<'_, http::Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, operation: &'static str, status: u16) {
        let mut counts = self.counts();
        let count = counts.entry(operation).or_default().entry(status).or_insert(0);
        *count = count.saturating_add(1);
    }

    fn knows_token(&self, headers: &HeaderMap) -> bool {
        keystone::knows_token(self, headers)
    }

    fn machine(&self, id: &str) -> Option<Arc<Machine>> {
        self.cloud().server(id).map(|server| Arc::clone(&server.machine))
    }
}

/// Makes the state folder ours, or says who has it.
fn lock(settings: &Settings) -> io::Result<fs::File> {
    let folder = &settings.state_dir;
    let named = |error: &dyn std::fmt::Display| io::Error::other(format!("{}: {error}", folder.display()));
    let foreign = |entry: fs::DirEntry| {
        let name = entry.file_name();
        !["servers", "images", "commands", "clouds.yaml", LOCK].iter().any(|ours| name == *ours)
    };
    if folder.exists() {
        // The folder will be emptied: it must be one that a sandbox made.
        let mut entries = fs::read_dir(folder).map_err(|error| named(&error))?;
        if !folder.join(LOCK).exists() && entries.any(|entry| entry.is_ok_and(foreign)) {
            return Err(named(&"holds other files; name an empty folder or one that does not exist"));
        }
    }
    fs::create_dir_all(folder).map_err(|error| named(&error))?;
    let file = fs::File::create(folder.join(LOCK)).map_err(|error| named(&error))?;
    file.try_lock().map_err(|_| named(&"another sandbox is running in this folder"))?;
    Ok(file)
}

/// The private networks and the external one.
fn networks(private: &[String]) -> Vec<Network> {
    let network = |name: &str, external: bool, routed: bool| Network {
        id: random::uuid(),
        subnet: random::uuid(),
        name: name.into(),
        external,
        routed,
    };
    let private = private.iter().enumerate().map(|(place, name)| network(name, false, place == 0));
    private.chain([network(POOL, true, false)]).collect()
}

fn base_image(settings: &Settings, place: &Place) -> Image {
    let (id, now) = (random::uuid(), Utc::now());
    Image {
        folder: place.image_folder(&id),
        id,
        name: settings.base_image.clone(),
        status: ImageStatus::Active,
        visibility: "public".into(),
        protected: false,
        tags: Vec::new(),
        container_format: Some("bare".into()),
        disk_format: Some("qcow2".into()),
        min_disk_gb: 0,
        min_ram_mb: 0,
        size: Some(0),
        created: now,
        updated: now,
        properties: BTreeMap::from([
            ("os_distro".into(), "debian".into()),
            ("os_version".into(), "12".into()),
        ]),
        order: 0,
    }
}
