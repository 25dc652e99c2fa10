//! Other people's clients: python-jenkins, ZeroMQ's own library, the `gearman` command.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::driver::{Ci, PASSWORD, USER, wait_for};

#[tokio::test]
async fn python_jenkins_makes_shows_builds_and_deletes() {
    let ci = Ci::start(&[]).await;
    let machine = ci.machine("n1").await;
    let launcher = ci.launcher(&machine, "given", &machine.host_key);
    let port = launcher["port"].as_str().unwrap();
    let mut client = Ci::python("jenkins_client.py");
    client.args([&ci.jenkins, USER, PASSWORD, &machine.address, port, &machine.host_key]);
    let output = client.output().await.unwrap();
    let (said, complaint) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(said.trim(), "done", "{complaint}");
}

/// The job whose events show that a subscriber is heard.
const WARM_UP: &str = "warm-up";

/// Events as a subscriber sees them.
pub(crate) struct Events {
    lines: Lines<BufReader<ChildStdout>>,
    _child: Child,
}

impl Events {
    /// Subscribes, and waits until events arrive: what is published before is lost.
    pub(crate) async fn of(ci: &Ci) -> Events {
        let mut client = Ci::python("zmq_client.py");
        client.arg(ci.zmq.as_ref().unwrap()).stdout(Stdio::piped());
        let mut child = client.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut events = Events { lines, _child: child };
        ci.job(WARM_UP, "warm", "true").await;
        ci.agent("warmer", "warm").await;
        wait_for("events arrive", async || {
            ci.build(WARM_UP).await;
            events.within(Duration::from_millis(200)).await
        })
        .await;
        ci.post(&format!("job/{WARM_UP}/doDelete"), &[]).await;
        events
    }

    async fn within(&mut self, patience: Duration) -> Option<(String, Value)> {
        let line = tokio::time::timeout(patience, self.lines.next_line()).await.ok()?;
        let line = line.unwrap().expect("the subscriber runs");
        let (topic, document) = line.split_once(' ').expect("a topic and a document");
        Some((topic.to_owned(), serde_json::from_str(document).unwrap()))
    }

    /// The next event, but for those of the beginning that come late.
    pub(crate) async fn next(&mut self) -> (String, Value) {
        loop {
            let told = self.within(Duration::from_mins(1)).await.expect("an event within a minute");
            if told.1["name"] != WARM_UP {
                return told;
            }
        }
    }

    /// The topics and build numbers of the next events.
    pub(crate) async fn topics(&mut self, count: usize) -> Vec<String> {
        let mut topics = Vec::new();
        for _ in 0..count {
            let (topic, event) = self.next().await;
            topics.push(format!("{topic} {}", event["build"]["number"]));
        }
        topics
    }
}

#[tokio::test]
async fn a_build_is_told_in_three_events() {
    let ci = Ci::start(&["--zmq", "127.0.0.1:0"]).await;
    let mut events = Events::of(&ci).await;
    ci.agent("n1", "debian").await;
    let parameter = "<properties><x><parameterDefinitions><s><name>BRANCH</name><defaultValue>a=b</defaultValue></s>\
                     </parameterDefinitions></x></properties>";
    let text = format!(
        "<project>{parameter}<assignedNode>debian</assignedNode><builders><hudson.tasks.Shell><command>exit 3</command>\
         </hudson.tasks.Shell></builders></project>"
    );
    ci.post_xml("createItem?name=unit", &text).await;
    ci.build("unit").await;
    let (topic, started) = events.next().await;
    assert_eq!((topic.as_str(), &started["name"]), ("onStarted", &Value::from("unit")));
    assert_eq!(started["build"]["phase"], "STARTED");
    assert_eq!(started["build"].get("status"), None);
    let (topic, completed) = events.next().await;
    assert_eq!((topic.as_str(), completed["build"]["phase"].as_str()), ("onCompleted", Some("COMPLETED")));
    let (topic, finalized) = events.next().await;
    assert_eq!(topic, "onFinalized");
    let build = &finalized["build"];
    assert_eq!(build["status"], "FAILURE");
    assert_eq!((&build["phase"], &build["number"]), (&"FINISHED".into(), &1.into()));
    assert_eq!(build["parameters"]["BRANCH"], "a=b");
    assert_eq!((&build["node_name"], &build["node_description"]), (&"n1".into(), &"made by a test".into()));
    assert_eq!(build["full_url"], format!("{}job/unit/1/", ci.jenkins));
}

/// Runs Debian's `gearman` command, with this to read.
async fn gearman(ci: &Ci, arguments: &[&str], input: &str) -> (bool, String) {
    let (host, port) = ci.gearman.as_ref().unwrap().rsplit_once(':').unwrap();
    let mut client = Command::new("gearman")
        .args(["-h", host, "-p", port])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the gearman command is missing: apt-get install gearman-tools");
    client.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
    let output = client.wait_with_output().await.unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

/// What gearmand says of its functions: name to (jobs, workers).
pub(crate) async fn functions(ci: &Ci) -> std::collections::BTreeMap<String, (u64, u64)> {
    let address = ci.gearman.as_ref().unwrap();
    let mut server = gearman::admin::AdminClient::connect(address).await.unwrap();
    let lines = server.status().await.unwrap().into_iter();
    lines.map(|line| (line.function, (line.total, line.worker_count))).collect()
}

#[tokio::test]
async fn a_job_of_gearman_runs_on_the_node_and_uses_it_up() {
    let ci = Ci::start(&["--gearman", "127.0.0.1:0", "--start-gearmand"]).await;
    ci.job("unit", "debian || fedora", "echo $ZUUL_REF on $(hostname)").await;
    ci.job("other", "suse", "true").await;
    ci.agent("n1", "debian").await;
    wait_for("the node is registered", async || {
        (functions(&ci).await.get("build:unit:debian")?.1 == 1).then_some(())
    })
    .await;
    let registered = functions(&ci).await;
    assert_eq!(registered["build:unit"].1, 1);
    assert_eq!(registered.get("build:other"), None, "it would not run there");
    assert_eq!(registered.get("build:unit:fedora"), None, "the node has no such label");

    let data = r#"{"ZUUL_REF":"Z1","OFFLINE_NODE_WHEN_COMPLETE":"1"}"#;
    let (well, said) = gearman(&ci, &["-f", "build:unit:debian"], data).await;
    assert!(well);
    // One document at the start and one at the end; the command adds how far the job was.
    let said = said.replace("0% Complete\n", "");
    let documents: Vec<Value> =
        serde_json::Deserializer::from_str(&said).into_iter().collect::<Result<_, _>>().unwrap();
    let [begun, done] = documents.as_slice() else { panic!("two documents: {said}") };
    assert_eq!(begun.get("result"), None);
    assert_eq!((&done["result"], &done["worker"]), (&"SUCCESS".into(), &"n1_exec-0".into()));
    assert_eq!((&done["node_name"], &done["number"]), (&"n1".into(), &1.into()));
    assert_eq!(done["node_labels"], serde_json::json!(["debian", "n1"]));

    // The answer comes after the node was set offline, so this needs no patience.
    let shown = ci.get("computer/n1/api/json").await;
    assert_eq!(shown["temporarilyOffline"], true);
    assert_eq!(shown["offlineCauseReason"], "Offline due to Gearman request");
    assert_eq!(shown["offlineCause"]["_class"], "hudson.slaves.OfflineCause$ByCLI");
    assert!(ci.read("job/unit/1/consoleText").await.text.contains("Z1 on n1"));
    wait_for("the node is not registered", async || {
        functions(&ci).await.get("build:unit:debian").is_none_or(|line| line.1 == 0).then_some(())
    })
    .await;
    let (well, _) = gearman(&ci, &["-b", "-f", "build:unit:debian"], data).await;
    assert!(well);
    assert_eq!(functions(&ci).await["build:unit:debian"].0, 1, "it waits for another node");
    ci.agent("n2", "debian").await;
    let build = ci.wait_for_build("unit", 2, |build| build["result"] == "SUCCESS").await;
    assert_eq!(build["builtOn"], "n2");
}

#[tokio::test]
async fn a_build_is_stopped_over_gearman() {
    let ci = Ci::start(&["--gearman", "127.0.0.1:0", "--start-gearmand"]).await;
    ci.job("long", "debian", "sleep 1000").await;
    ci.agent("n1", "debian").await;
    let (queued, _) = gearman(&ci, &["-b", "-f", "build:long:debian"], "{}").await;
    assert!(queued);
    ci.wait_for_build("long", 1, |build| build["building"] == true).await;
    let told = r#"{"name":"long","number":"1"}"#;
    let (stopped, _) = gearman(&ci, &["-f", "stop:nodepool-sandbox"], told).await;
    assert!(stopped);
    ci.wait_for_build("long", 1, |build| build["result"] == "ABORTED").await;
    let (again, _) = gearman(&ci, &["-f", "stop:nodepool-sandbox"], told).await;
    assert!(!again, "it is over");
}
