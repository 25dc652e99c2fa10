//! `kill -9`, two hundred times: the real daemon over real HTTP and ssh, with a cloud and a Jenkins that lose answers, while
//! images are built, nodes launched, jobs run and nodes deleted.
//!
//! Four pools live and die side by side, each on a cloud of its own. The moments come from a seed, which is printed;
//! `NODEPOOL_KILL_SEED` gives it again. What happens between them is the machine's business, so a run is not repeated to the
//! letter.
//!
//! Needs bubblewrap, openssh-client, gearman-job-server and gearman-tools, and says how to get what is missing.

#[expect(dead_code, reason = "this test uses a part of what clouds can do")]
#[path = "pool/cloud.rs"]
mod cloud;
#[expect(dead_code, reason = "this test uses a part of what the pools with jobs can do")]
#[path = "jobs/controller.rs"]
mod controller;
#[expect(dead_code, reason = "this test uses a part of what chance can do")]
#[path = "world/dice.rs"]
mod dice;
#[expect(dead_code, reason = "this test uses a part of what the Jenkins can do")]
#[path = "jobs/jenkins.rs"]
mod jenkins;
#[expect(dead_code, reason = "this test uses a part of what pools can do")]
#[path = "pool/setup.rs"]
mod setup;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use controller::{Ci, WATERMARK};
use dice::Dice;
use nodepool::model::{ImageState, NodeState};
use serde_json::{Value, json};
use setup::{Pool, Settings};

/// How many pools live side by side, and how often each of their daemons is killed.
const POOLS: u64 = 4;
const KILLS: usize = 50;

/// A job for each label comes with each of so many kills.
const JOB_EACH: usize = 5;

/// Longer than a pool takes on a busy machine to do what is left and to come to rest.
const PATIENCE: Duration = Duration::from_mins(4);

#[tokio::test]
async fn a_daemon_that_is_killed_two_hundred_times_loses_nothing_and_leaves_nothing() {
    let given = std::env::var("NODEPOOL_KILL_SEED").ok();
    let seed = given.map_or_else(
        || u64::from(SystemTime::UNIX_EPOCH.elapsed().unwrap().subsec_nanos()),
        |text| text.parse().expect("NODEPOOL_KILL_SEED is a number"),
    );
    eprintln!("the moments come from the seed {seed}: NODEPOOL_KILL_SEED={seed} gives them again");
    let pools = (0..POOLS).map(|number| one_pool(Dice::new(seed.wrapping_mul(POOLS).wrapping_add(number))));
    let mut met = BTreeMap::new();
    let mut answers = BTreeMap::new();
    for (of_pool, asked) in futures::future::join_all(pools).await {
        for (what, times) in of_pool {
            *met.entry(what).or_insert(0) += times;
        }
        for (what, times) in asked {
            *answers.entry(what).or_insert(0) += times;
        }
    }
    eprintln!("{} kills, of which so many met: {met:?}", POOLS * u64::try_from(KILLS).unwrap());
    eprintln!("requests at the clouds: {answers:?}");
    for what in ["image building", "node building", "node ready", "node used", "node delete"] {
        assert!(met.get(what).is_some_and(|times| *times > 0), "no kill met one that is {what}: {met:?}");
    }
}

/// Kills the daemon of one pool over and over, and looks at what is left of it. Gives what the kills met, and how the cloud's
/// answers ended.
async fn one_pool(mut dice: Dice) -> (BTreeMap<String, u64>, BTreeMap<String, u64>) {
    let settings = Settings {
        min_ready: WATERMARK,
        max_servers: 12,
        ready_script: Some("ready.sh"),
        pool: Some("public"),
        networks: &["private"],
        // What was not answered is settled after this and a minute.
        api_timeout: 3,
        ..Settings::default()
    };
    let mut ci = Ci::with(&settings).await;
    ci.pool.cloud.faults(&faults(1.0)).await;
    let (mut met, mut jobs) = (BTreeMap::new(), 0);
    for kill in 0..KILLS {
        let starts = starts(&ci.pool);
        ci.pool.start();
        let life = life(&mut dice);
        if life >= STEP {
            // A life of several steps begins when the daemon serves, or a slow machine would get nothing done.
            until_started(&ci.pool, starts).await;
        }
        if kill % JOB_EACH == 0 {
            ci.submit_more(jobs..jobs + 1).await;
            jobs += 1;
        }
        meddle(&ci.pool, kill).await;
        ci.pool.kill_after(life).await;
        note(&ci.pool, &mut met).await;
    }
    ci.pool.cloud.faults(&faults(0.0)).await;
    ci.pool.start();
    ci.until_done(2 * jobs, PATIENCE).await;
    ci.until_nothing_is_left(PATIENCE).await;
    check_floating_ips(&ci.pool).await;
    let nodes = ci.nodes_of_builds().await;
    let distinct: BTreeSet<_> = nodes.iter().collect();
    assert_eq!(nodes.len(), 2 * jobs, "each job runs once: {nodes:?}\n{}", ci.pool.log());
    assert_eq!(distinct.len(), nodes.len(), "no node is used twice: {nodes:?}\n{}", ci.pool.log());
    let asked = ci.pool.cloud.ask("GET", "/sandbox/requests", None).await;
    ci.pool.end().await;
    (met, by_answer(&asked["requests"]))
}

/// Longer than a step of a node's life takes.
const STEP: Duration = Duration::from_millis(900);

/// How long a daemon lives: mostly as long as one step takes, and now and then as long as several.
fn life(dice: &mut Dice) -> Duration {
    if dice.happens(65) { dice.millis(0, 899) } else { dice.millis(900, 4000) }
}

/// How often the pool's daemon has started.
fn starts(pool: &Pool) -> usize {
    pool.daemon_log().matches("has started").count()
}

async fn until_started(pool: &Pool, before: usize) {
    pool.until("the daemon serves", PATIENCE, async |pool| (starts(pool) > before).then_some(())).await;
}

/// What operators do meanwhile: they have the image built anew, and delete nodes.
async fn meddle(pool: &Pool, kill: usize) {
    if kill % 12 == 8 {
        pool.nodepool(&["image-update", "sandbox", "ci-debian"]).await;
    }
    if kill % 7 == 5
        && let Some(node) = pool.nodes_in("ready").await.first()
    {
        pool.nodepool(&["delete", &setup::id(node)]).await;
    }
}

/// Answers that are lost, late or wrong, servers that fail, events that nobody hears; or, at a share of 0, none of it.
fn faults(share: f64) -> Value {
    let at = |rate: f64| json!({"rate": rate * share});
    let wrong = |operation: &str, answer: Value, rate: f64| json!({"operation": operation, "answer": answer, "rate": rate * share});
    let mut answers: Vec<Value> = Vec::new();
    for operation in ["server-create", "floating-ip-create", "keypair-create", "server-snapshot"] {
        answers.push(wrong(operation, json!("lost"), 0.15));
    }
    for operation in ["server-delete", "floating-ip-delete", "keypair-delete", "image-delete"] {
        answers.push(wrong(operation, json!("lost"), 0.1));
        answers.push(wrong(operation, json!({"status": {"code": 503}}), 0.1));
    }
    answers.push(wrong("server-list", json!({"status": {"code": 500}}), 0.05));
    answers.push(wrong("server-create", json!({"late": {"milliseconds": 700}}), 0.2));
    json!({
        "answers": answers,
        "boot-error": at(0.03),
        "jenkins": {
            "answer-lost": at(0.03), "answer-error": at(0.03),
            "event-lost": at(0.2), "event-twice": at(0.1),
        },
    })
}

/// Notes what was under way when the daemon died.
async fn note(pool: &Pool, met: &mut BTreeMap<String, u64>) {
    let store = pool.store().await;
    let nodes = store.nodes().await.unwrap().into_iter().map(|node| match node.state {
        NodeState::Building(_) => "node building".to_owned(),
        state => format!("node {state}"),
    });
    let images = store.images().await.unwrap().into_iter().map(|image| match image.state {
        ImageState::Building(_) => "image building".to_owned(),
        state => format!("image {state}"),
    });
    for what in nodes.chain(images).collect::<BTreeSet<_>>() {
        *met.entry(what).or_insert(0) += 1;
    }
}

/// Each node that is left has a floating IP, and there are no others.
async fn check_floating_ips(pool: &Pool) {
    pool.until("the nodes that are left have floating IPs, and nobody else has", PATIENCE, async |pool| {
        let mut listed: Vec<String> = pool
            .cloud
            .floating_ips()
            .await
            .iter()
            .map(|one| cloud::text(one, "floating_ip_address"))
            .collect();
        let mut known: Vec<String> = pool.nodes().await.iter().map(|node| cloud::text(node, "ip")).collect();
        listed.sort_unstable();
        known.sort_unstable();
        (listed == known).then_some(())
    })
    .await;
}

/// How many requests had which answer.
fn by_answer(requests: &Value) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for counts in requests.as_object().into_iter().flatten().filter_map(|(_, counts)| counts.as_object()) {
        for (answer, count) in counts {
            *sums.entry(answer.clone()).or_insert(0) += count.as_u64().unwrap_or(0);
        }
    }
    sums
}
