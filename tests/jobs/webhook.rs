//! A pool whose only news of jobs comes over HTTP: each job of the sandbox's Jenkins tells `nodepoold` as the Notification
//! plugin does. There is no Gearman and no ZeroMQ.

use serde_json::Value;

use super::cloud::text;
use super::jenkins::{Jenkins, TOKEN, USER};
use super::setup::{DEADLINE, Pool, Settings};

const EVENT_TOKEN: &str = "the-token-of-who-tells-of-jobs";

/// The pool, its Jenkins, and where that tells of jobs.
pub(crate) struct Told {
    pub(crate) pool: Pool,
    pub(crate) jenkins: Jenkins,
    /// The port of the status page.
    port: String,
}

impl Told {
    /// Everything with the daemon, which does not fill the pool before `prepare` is done with the Jenkins. `labels` are
    /// put before the one that is there, `offer` is added to the target's `jenkins`.
    pub(crate) async fn start(settings: &Settings, labels: &str, offer: &str) -> Self {
        let flags = ["--jenkins", "127.0.0.1:0", "--jenkins-token", TOKEN];
        let prompt = ["--fault", "jenkins.launch-seconds=0", "--fault", "jenkins.finish-seconds=0"];
        let mut pool = Pool::new(settings, &[&flags[..], &prompt].concat()).await;
        let told = pool.cloud.ask("GET", "/sandbox", None).await;
        let jenkins = Jenkins::new(text(&told["jenkins"], "url"));
        let path = pool.folder.path().join("nodepool.yaml");
        let yaml = std::fs::read_to_string(&path).unwrap();
        let yaml = yaml.replacen("labels:\n", &format!("labels:\n{labels}"), 1);
        std::fs::write(&path, format!("{yaml}    jenkins:\n      url: {}\n{offer}", jenkins.url)).unwrap();
        // How to log in stands in the other file, and is merged.
        let secure = format!(
            "[events]\ntoken = {EVENT_TOKEN}\n[jenkins \"local\"]\nuser = {USER}\napikey = {TOKEN}\n"
        );
        let path = pool.folder.path().join("secure.conf");
        std::fs::write(&path, secure).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        pool.start();
        let port = pool
            .until("the status page serves", DEADLINE, async |pool| {
                let log = pool.daemon_log();
                let (_, rest) = log.split_once("status page at http://127.0.0.1:")?;
                Some(rest.split('/').next()?.to_owned())
            })
            .await;
        Self { pool, jenkins, port }
    }

    /// The configuration of a job that tells us of its builds.
    fn config(&self, label: &str, parameters: &str, script: &str) -> String {
        let url = format!(
            "http://nodepool:{EVENT_TOKEN}@127.0.0.1:{}/api/events/jenkins?node=${{NODE_NAME}}",
            self.port
        );
        format!(
            "<project><properties>{parameters}<com.tikal.hudson.plugins.notification.HudsonNotificationProperty>\
             <endpoints><com.tikal.hudson.plugins.notification.Endpoint><protocol>HTTP</protocol><format>JSON</format>\
             <urlInfo><urlOrId>{url}</urlOrId><urlType>PUBLIC</urlType></urlInfo><event>all</event>\
             <timeout>10000</timeout></com.tikal.hudson.plugins.notification.Endpoint></endpoints>\
             </com.tikal.hudson.plugins.notification.HudsonNotificationProperty></properties>\
             <assignedNode>{label}</assignedNode><canRoam>false</canRoam><builders><hudson.tasks.Shell>\
             <command>{script}</command></hudson.tasks.Shell></builders></project>"
        )
    }

    /// Makes a job that runs on a label.
    pub(crate) async fn job(&self, name: &str, label: &str, script: &str) {
        let config = self.config(label, "", script);
        self.jenkins.post(&format!("createItem?name={name}"), Some(config)).await;
    }

    /// Makes the job, or changes it, that tries out the node whose name it is given.
    pub(crate) async fn test_job(&self, path: &str, script: &str) {
        let parameters = "<hudson.model.ParametersDefinitionProperty><parameterDefinitions>\
            <org.jvnet.jenkins.plugins.nodelabelparameter.NodeParameterDefinition><name>NODE</name>\
            </org.jvnet.jenkins.plugins.nodelabelparameter.NodeParameterDefinition></parameterDefinitions>\
            </hudson.model.ParametersDefinitionProperty>";
        self.jenkins.post(path, Some(self.config("", parameters, script))).await;
    }

    /// Starts a build and gives the node that it runs on.
    pub(crate) async fn build(&self, job: &str, number: u64) -> String {
        self.jenkins.post(&format!("job/{job}/build?delay=0sec"), None).await;
        let path = format!("job/{job}/{number}/api/json");
        let begun = async |_: &Pool| {
            let build = self.jenkins.read(&path).await?;
            build["builtOn"].as_str().filter(|node| !node.is_empty()).map(str::to_owned)
        };
        self.pool.until(&format!("build {number} of {job} runs"), DEADLINE, begun).await
    }

    /// Waits until a build is over, and gives its result.
    pub(crate) async fn result(&self, job: &str, number: u64) -> String {
        let path = format!("job/{job}/{number}/api/json");
        let over = async |_: &Pool| {
            let build = self.jenkins.read(&path).await?;
            build["result"].as_str().map(str::to_owned)
        };
        self.pool.until(&format!("build {number} of {job} is over"), DEADLINE, over).await
    }

    /// What Jenkins shows of an agent, if it has it.
    pub(crate) async fn agent(&self, name: &str) -> Option<Value> {
        self.jenkins.read(&format!("computer/{name}/api/json?depth=1")).await
    }

    /// The row of the node of this name.
    pub(crate) async fn node(&self, name: &str) -> Option<Value> {
        self.pool.nodes().await.into_iter().find(|node| node["nodename"] == name)
    }

    /// Waits until the row of the node of this name is as wanted, and gives it.
    pub(crate) async fn until_node(&self, name: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let look = async |_: &Pool| self.node(name).await.filter(|node| wanted(node));
        self.pool.until(&format!("node {name} {what}"), DEADLINE, look).await
    }

    /// The status page.
    pub(crate) async fn page(&self) -> String {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = client.get(format!("http://127.0.0.1:{}/", self.port)).send().await.unwrap();
        answer.text().await.unwrap()
    }

    /// Waits until the node of this name is gone, with its agent.
    pub(crate) async fn until_gone(&self, name: &str) {
        let gone = async |_: &Pool| {
            (self.node(name).await.is_none() && self.agent(name).await.is_none()).then_some(())
        };
        self.pool.until(&format!("node {name} and its agent are gone"), DEADLINE, gone).await;
    }

    /// The history of a node in one text.
    pub(crate) async fn history(&self, row: &Value) -> String {
        let lines = self.pool.rows(&["history", &super::setup::id(row)]).await;
        lines.iter().map(|line| text(line, "reason")).collect::<Vec<_>>().join("\n")
    }
}
