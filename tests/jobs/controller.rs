//! A pool whose nodes are agents of the sandbox's Jenkins, and jobs in a real gearmand.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

use super::jenkins::{Jenkins, TOKEN};
use super::setup::{Pool, Settings};

const LABELS: [&str; 2] = ["debian", "fedora"];

/// The spare nodes of each label.
pub(crate) const WATERMARK: u32 = 2;

/// A job runs this on its node.
const JOB: &str = "<project><assignedNode>debian || fedora</assignedNode><canRoam>false</canRoam><builders>\
                   <hudson.tasks.Shell><command>test -s /etc/nodepool/uuid; sleep 0.1</command></hudson.tasks.Shell>\
                   </builders></project>";

/// The pool, and what runs jobs on its nodes.
pub(crate) struct Ci {
    pub(crate) pool: Pool,
    jenkins: Jenkins,
    gearman: (String, String),
}

impl Ci {
    /// Everything but the daemon.
    pub(crate) async fn start() -> Self {
        Self::with(&Settings { min_ready: WATERMARK, max_servers: 24, ..Settings::default() }).await
    }

    /// The same with other settings of the pool, whose watermark is that of the second label.
    pub(crate) async fn with(settings: &Settings) -> Self {
        let flags = ["--jenkins", "127.0.0.1:0", "--jenkins-token", TOKEN, "--zmq", "127.0.0.1:0"];
        let gearman = ["--gearman", "127.0.0.1:0", "--start-gearmand"];
        let prompt = ["--fault", "jenkins.launch-seconds=0", "--fault", "jenkins.finish-seconds=0"];
        let patient = ["--fault", "jenkins.relaunch-seconds=3", "--fault", "jenkins.restart-seconds=3"];
        let flags = [&flags[..], &gearman, &prompt, &patient].concat();
        let pool = Pool::new(settings, &flags).await;
        let told = pool.cloud.ask("GET", "/sandbox", None).await;
        let text = |key: &str| {
            let text = told["jenkins"][key].as_str();
            text.unwrap_or_else(|| panic!("{told} (apt-get install gearman-job-server)")).to_owned()
        };
        let (host, port) =
            text("gearman").rsplit_once(':').map(|(h, p)| (h.to_owned(), p.to_owned())).unwrap();
        let ci = Self { pool, jenkins: Jenkins::new(text("url")), gearman: (host, port) };
        ci.configure(&text("zmq"));
        ci.jenkins.post("createItem?name=unit", Some(JOB.to_owned())).await;
        ci
    }

    /// Adds another label, the target and the doors to Gearman and ZeroMQ to the configuration of the pool.
    fn configure(&self, zmq: &str) {
        let path = self.pool.folder.path().join("nodepool.yaml");
        let yaml = std::fs::read_to_string(&path).unwrap();
        let second = format!(
            "labels:\n  - name: fedora\n    image: ci-debian\n    min-ready: {WATERMARK}\n    providers: [{{name: sandbox}}]\n"
        );
        let yaml = yaml.replacen("labels:\n", &second, 1);
        let (host, port) = &self.gearman;
        let zmq = if zmq.starts_with("tcp://") { zmq.to_owned() } else { format!("tcp://{zmq}") };
        let rest = format!(
            "    jenkins:\n      url: {}\n      user: admin\n      apikey: {TOKEN}\n\
             gearman-servers:\n  - {{host: {host}, port: {port}}}\nzmq-publishers: ['{zmq}']\n",
            self.jenkins.url
        );
        std::fs::write(path, yaml + &rest).unwrap();
    }

    /// Submits so many jobs for each label.
    pub(crate) async fn submit(&self, jobs: usize) {
        self.submit_more(0..jobs).await;
    }

    /// Submits a job for each label and each of these numbers, which no job has had before.
    pub(crate) async fn submit_more(&self, numbers: std::ops::Range<usize>) {
        let (host, port) = &self.gearman;
        for number in numbers {
            for label in LABELS {
                let data = format!(r#"{{"ZUUL_UUID":"{label}-{number}","OFFLINE_NODE_WHEN_COMPLETE":"1"}}"#);
                let submitted = Command::new("gearman")
                    .args(["-h", host, "-p", port, "-b", "-u", &format!("{label}-{number}")])
                    .args(["-f", &format!("build:unit:{label}"), &data])
                    .stdin(Stdio::null())
                    .status()
                    .await;
                assert!(submitted.expect("gearman is missing: apt-get install gearman-tools").success());
            }
        }
    }

    /// All builds of the job that there were.
    async fn builds(&self) -> Vec<Value> {
        let mut builds = Vec::new();
        let last = self.jenkins.read("job/unit/api/json?tree=nextBuildNumber").await;
        let next = last.and_then(|job| job["nextBuildNumber"].as_u64()).unwrap_or(1);
        for number in 1..next {
            builds.extend(self.jenkins.read(&format!("job/unit/{number}/api/json")).await);
        }
        builds
    }

    /// Waits until so many builds have succeeded.
    pub(crate) async fn until_done(&self, wanted: usize, deadline: Duration) {
        let mut seen = 0;
        let mut done = std::collections::BTreeSet::new();
        self.pool
            .until(&format!("{wanted} jobs are done"), deadline, async |_| {
                let next =
                    self.jenkins.read("job/unit/api/json?tree=nextBuildNumber").await?["nextBuildNumber"]
                        .as_u64()?;
                for number in (1..next).filter(|number| !done.contains(number)).collect::<Vec<_>>() {
                    let build = self.jenkins.read(&format!("job/unit/{number}/api/json")).await?;
                    if build["building"] == false {
                        done.insert(number);
                        seen += usize::from(build["result"] == "SUCCESS");
                    }
                }
                (seen >= wanted).then_some(())
            })
            .await;
    }

    /// The node of each build that came to its end. One that a restart of the Jenkins cut off did not: if it had begun so
    /// shortly before that the agent was not closed yet, the Jenkins gives that agent the next build by itself.
    pub(crate) async fn nodes_of_successes(&self) -> Vec<String> {
        let mut builds = self.builds().await;
        builds.retain(|build| build["result"] == "SUCCESS");
        builds.iter().map(|build| build["builtOn"].as_str().unwrap().to_owned()).collect()
    }

    /// The node of each build.
    pub(crate) async fn nodes_of_builds(&self) -> Vec<String> {
        self.builds().await.iter().map(|build| build["builtOn"].as_str().unwrap().to_owned()).collect()
    }

    /// Cuts all connections of the Jenkins, and has it come back.
    pub(crate) async fn restart_jenkins(&self) {
        self.pool.cloud.ask("POST", "/sandbox/jenkins/restart", None).await;
    }

    /// Waits until each label has its watermark of ready nodes and nothing else is there: no server, no agent. A node more
    /// may be ready that was made for a job which another one took.
    pub(crate) async fn until_nothing_is_left(&self, deadline: Duration) {
        let full = async |pool: &Pool| {
            let nodes = pool.nodes().await;
            let of = |label: &str| nodes.iter().filter(|node| node["label"] == label).count();
            let ready = nodes.iter().all(|node| node["state"] == "ready");
            let full = ready
                && LABELS.iter().all(|label| of(label) >= WATERMARK as usize)
                && pool.holds_only(&nodes).await;
            full.then_some(nodes)
        };
        self.pool.until("the pool is full and nothing else is there", deadline, full).await;
        self.pool
            .until("Jenkins has the agents of the ready nodes and no others", deadline, async |pool| {
                // A node whose events were lost may be found out, and replaced, only now.
                let nodes = full(pool).await?;
                let mut expected: Vec<&str> =
                    nodes.iter().filter_map(|node| node["nodename"].as_str()).collect();
                expected.sort_unstable();
                let computers =
                    self.jenkins.read("computer/api/json?tree=computer[displayName,offline]").await?;
                let agents = computers["computer"].as_array()?.iter().skip(1);
                let mut agents: Vec<&str> =
                    agents.filter_map(|agent| agent["displayName"].as_str()).collect();
                agents.sort_unstable();
                (agents == expected).then_some(())
            })
            .await;
    }
}
