//! `nodepool doctor`: looks at each leg that the pool stands on by itself, and says at which end of it something is wrong and
//! what to do.
//!
//! It knows clouds, targets and machines by traits, and whatever else can be asked as a question that somebody else wired
//! up. All legs are looked at together; each has a deadline, so that one that hangs hides no other.

mod boot;
mod clouds;
mod jenkins;
mod local;
mod nodes;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt as _;
use futures::future::{BoxFuture, join_all};

use crate::cloud::{Cloud, CloudError, NetworkChoice};
use crate::config::{Config, Offer};
use crate::model::{Image, Node};
use crate::remote::Remote;
use crate::target::TargetError;
use crate::target::jenkins::Told;

/// The longest that a leg may take; booting a server has the deadlines of its provider.
const DEADLINE: Duration = Duration::from_secs(60);

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It works.
    Good,
    /// It works, and deserves a look; or it could not be looked at.
    Doubtful,
    /// It does not work.
    Wrong,
}

impl Verdict {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Doubtful => "doubtful",
            Self::Wrong => "wrong",
        }
    }
}

/// The end of a leg at which something is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Here: this machine, the configuration, the credentials in it.
    Here,
    /// On the way: names, routes, firewalls, certificates, or nobody answers.
    Between,
    /// There: the other side answered, and does not do what is needed.
    There,
}

impl End {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Here => "here",
            Self::Between => "between",
            Self::There => "there",
        }
    }
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The leg, such as `cloud alpha`.
    pub leg: String,
    /// What of it was looked at.
    pub check: String,
    /// How it is.
    pub verdict: Verdict,
    /// In words.
    pub text: String,
    /// At which end something is wrong, if something is.
    pub end: Option<End>,
    /// What to do about it.
    pub next: Option<String>,
}

impl Finding {
    fn good(leg: &str, check: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            leg: leg.to_owned(),
            check: check.into(),
            verdict: Verdict::Good,
            text: text.into(),
            end: None,
            next: None,
        }
    }

    fn wrong(
        leg: &str,
        check: impl Into<String>,
        text: impl Into<String>,
        end: End,
        next: impl Into<String>,
    ) -> Self {
        let verdict = Verdict::Wrong;
        Self { verdict, end: Some(end), next: Some(next.into()), ..Self::good(leg, check, text) }
    }

    fn doubtful(
        leg: &str,
        check: impl Into<String>,
        text: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self { verdict: Verdict::Doubtful, next: Some(next.into()), ..Self::good(leg, check, text) }
    }

    /// Says where it was looked for, if nobody answered there.
    fn at(self, url: &str) -> Self {
        if self.end != Some(End::Between) {
            return self;
        }
        Self { text: format!("{}; it was looked for at {url}", self.text), ..self }
    }
}

/// A cloud, and what can be looked up there besides.
#[async_trait]
pub trait CloudDoor: Cloud {
    /// Whether there is an active image of this name or id.
    async fn find_image(&self, name_or_id: &str) -> Result<(), CloudError>;

    /// Whether there is this network.
    async fn find_network(&self, network: &NetworkChoice) -> Result<(), CloudError>;

    /// Whether there is an external network of this name or id.
    async fn find_pool(&self, pool: &str) -> Result<(), CloudError>;
}

/// What was found at a Jenkins: what was looked at, and how it is.
pub type JenkinsAnswer = (&'static str, Result<Told, TargetError>);

/// A door, or why it cannot be used.
pub type Usable<T> = Result<T, String>;

/// Something that is asked one question: whether it answers, and what, or why not.
pub struct Question {
    /// The leg.
    pub leg: String,
    /// What is asked.
    pub check: &'static str,
    /// What to do when it does not answer.
    pub next: String,
    /// The answer, or at which end something is wrong, and what.
    pub answer: BoxFuture<'static, Result<String, (End, String)>>,
}

/// The doors to everything that is looked at.
pub struct Legs {
    /// The cloud of each provider by name, or why it cannot be used.
    pub clouds: Vec<(String, Usable<Arc<dyn CloudDoor>>)>,
    /// Each Jenkins by the name of its target, or why it cannot be used.
    pub jenkins: Vec<(String, Usable<BoxFuture<'static, Vec<JenkinsAnswer>>>)>,
    /// Gearman servers and publishers.
    pub questions: Vec<Question>,
    /// How machines are reached.
    pub remote: Arc<dyn Remote>,
}

/// What is known from the store.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The rows of the nodes.
    pub nodes: Vec<Node>,
    /// The rows of the images.
    pub images: Vec<Image>,
    /// The id of the installation, which a server that is booted as a check is marked with.
    pub installation: String,
}

/// Looks at everything, and gives what was found in the order of the configuration. `known` is empty where the store does
/// not answer. With `boot` a server is made at each provider, reached and deleted.
pub async fn examine(config: &Config, legs: Legs, known: &Known, boot: bool) -> Vec<Finding> {
    let Legs { clouds, jenkins, questions, remote } = legs;
    let mut looks: Vec<BoxFuture<'_, Vec<Finding>>> = vec![local::files(config, &remote).boxed()];
    for (name, door) in clouds {
        let Some(provider) = config.provider(&name) else { continue };
        let leg = format!("cloud {name}");
        match door {
            Err(why) => {
                let next = "correct the provider in nodepool.yaml or clouds.yaml";
                looks.push(told(Finding::wrong(&leg, "settings", why, End::Here, next)));
            }
            Ok(door) => {
                let other = Arc::clone(&door);
                let look = async move { clouds::look(provider, other.as_ref()).await };
                looks.push(within(leg.clone(), look));
                looks.push(nodes::look(provider, &known.nodes, &remote).boxed());
                if boot {
                    let remote = Arc::clone(&remote);
                    looks
                        .push(boot::look(provider, door, remote, &known.installation, &known.images).boxed());
                }
            }
        }
    }
    for (name, door) in jenkins {
        let leg = format!("jenkins {name}");
        let offer = config.target(&name).map(|target| &target.offer);
        let url = match offer {
            Some(Offer::Jenkins(settings)) => settings.url.clone(),
            Some(Offer::Gearman | Offer::Nowhere) | None => String::new(),
        };
        looks.push(match door {
            Err(why) => {
                let next = "correct the target in nodepool.yaml or its section in secure.conf";
                told(Finding::wrong(&leg, "settings", why, End::Here, next))
            }
            Ok(answers) => within(leg.clone(), async move { jenkins::findings(&leg, &url, answers.await) }),
        });
    }
    looks.extend(questions.into_iter().map(|question| within(question.leg.clone(), ask(question))));
    join_all(looks).await.into_iter().flatten().collect()
}

fn told(finding: Finding) -> BoxFuture<'static, Vec<Finding>> {
    async { vec![finding] }.boxed()
}

async fn ask(question: Question) -> Vec<Finding> {
    let Question { leg, check, next, answer } = question;
    vec![match answer.await {
        Ok(text) => Finding::good(&leg, check, text),
        Err((end, why)) => Finding::wrong(&leg, check, why, end, next),
    }]
}

/// A look with a deadline on all of it.
fn within<'l>(
    leg: String,
    look: impl Future<Output = Vec<Finding>> + Send + 'l,
) -> BoxFuture<'l, Vec<Finding>> {
    async move {
        tokio::time::timeout(DEADLINE, look).await.unwrap_or_else(|_| {
            let text = format!("it did not answer everything within {} s", DEADLINE.as_secs());
            let next = "see whether it answers from this machine at all: with curl, ping, or in a browser";
            vec![Finding::wrong(&leg, "answers", text, End::Between, next)]
        })
    }
    .boxed()
}
