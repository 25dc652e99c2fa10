//! What the doctor looks at: the doors to clouds, Jenkins, Gearman servers and publishers.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt as _;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{cloud, gearman_servers, jenkins_target};
use crate::cloud::openstack::OpenStack;
use crate::cloud::{CloudError, NetworkChoice};
use crate::config::{Config, Offer};
use crate::doctor::{CloudDoor, End, Legs, Question};
use crate::model::counted;
use crate::remote::SshRemote;
use crate::target::gearman::{Address, GearmanDemand, Limits};
use crate::target::zmq::{self, Publisher, Report};
use crate::target::{DemandSource as _, jenkins::JenkinsTarget};

/// How long a Gearman server may take: nobody else waits for it here.
const GEARMAN_PATIENCE: Duration = Duration::from_secs(10);

/// The doors of a configuration. Nothing is called yet.
pub async fn legs(config: &Config) -> Legs {
    let mut clouds = Vec::new();
    for provider in &config.providers {
        let made = cloud(provider).await.map(|cloud| Arc::new(cloud) as Arc<dyn CloudDoor>);
        clouds.push((provider.name.clone(), made.map_err(|error| error.to_string())));
    }
    let mut jenkins = Vec::new();
    for target in &config.targets {
        let Offer::Jenkins(settings) = &target.offer else { continue };
        let test_job = settings.test_job.clone();
        let made = jenkins_target(settings).await;
        let made =
            made.map(|made: JenkinsTarget| async move { made.probe(test_job.as_deref()).await }.boxed());
        jenkins.push((target.name.clone(), made.map_err(|error| error.to_string())));
    }
    let mut questions: Vec<Question> = gearman_servers(config).into_iter().map(gearman).collect();
    questions.extend(config.zmq_publishers.iter().map(|endpoint| publisher(endpoint)));
    Legs { clouds, jenkins, questions, remote: Arc::new(SshRemote::new()) }
}

fn gearman(address: Address) -> Question {
    let leg = format!("gearman {}:{}", address.host, address.port);
    let answer = async move {
        let limits = Limits { patience: GEARMAN_PATIENCE, deadline: GEARMAN_PATIENCE, ..Limits::default() };
        let demand = GearmanDemand::new([address], limits, |_: &str, _: &'static str| {});
        let demand = demand.ask().await.map_err(|error| blamed(error.to_string()))?;
        let jobs = demand.jobs.values().fold(0_u32, |sum, jobs| sum.saturating_add(*jobs));
        Ok(format!("it answers; {} queued or running", counted(jobs, "job is", "jobs are")))
    };
    let next = "see whether gearmand or geard runs there, `gearman-servers` names its port, and TLS is on at both ends or neither";
    Question { leg, check: "status", next: next.to_owned(), answer: answer.boxed() }
}

/// At which end it is, by the words of our clients: whoever was connected to is there, and does not do as it should.
fn blamed(why: String) -> (End, String) {
    let nobody =
        ["no connection", "no complete answer", "did not greet"].iter().any(|words| why.contains(words));
    (if nobody { End::Between } else { End::There }, why)
}

fn publisher(endpoint: &str) -> Question {
    let leg = format!("publisher {endpoint}");
    let known = Publisher::at(endpoint);
    let answer = async move {
        let publisher = known.ok_or_else(|| (End::Here, "it is no endpoint".to_owned()))?;
        let (reports, mut told) = mpsc::channel(1);
        let stop = CancellationToken::new();
        let _guard = stop.clone().drop_guard();
        tokio::spawn(zmq::listen(publisher, zmq::Limits::default(), reports, stop));
        match told.recv().await {
            Some(Report::Lost(why)) => Err(blamed(why)),
            Some(_) => Ok("it greets as a ZeroMQ publisher; events are heard".to_owned()),
            None => Err((End::Here, "nobody listened".to_owned())),
        }
    };
    let next = "see whether the plugin zmq-event-publisher is on in Jenkins and its port, usually 8888, is reached from here";
    Question { leg, check: "greeting", next: next.to_owned(), answer: answer.boxed() }
}

#[async_trait]
impl CloudDoor for OpenStack {
    async fn find_image(&self, name_or_id: &str) -> Result<(), CloudError> {
        self.look_for_image(name_or_id).await
    }

    async fn find_network(&self, network: &NetworkChoice) -> Result<(), CloudError> {
        self.look_for_network(network).await
    }

    async fn find_pool(&self, pool: &str) -> Result<(), CloudError> {
        self.look_for_pool(pool).await
    }
}
