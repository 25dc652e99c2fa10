//! Job traffic: what is submitted, and where it runs.

use serde_json::Value;

use super::clients::functions;
use super::driver::{Ci, wait_for};

fn list(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

#[tokio::test]
async fn a_list_of_jobs_asks_for_nodes_and_runs_on_one_each() {
    let file = list("# two labels\n0 unit debian 0.1\n0 unit fedora 0.1\n0 unit debian 0.1\n");
    let jobs = file.path().to_str().unwrap();
    let ci = Ci::start(&["--gearman", "127.0.0.1:0", "--start-gearmand", "--jobs", jobs]).await;
    wait_for("the jobs wait", async || {
        let functions = functions(&ci).await;
        let waiting = |name: &str| functions.get(name).map_or(0, |line| line.0);
        (waiting("build:unit:debian") == 2 && waiting("build:unit:fedora") == 1).then_some(())
    })
    .await;
    ci.agent("d1", "debian").await;
    ci.agent("d2", "debian").await;
    ci.agent("f1", "fedora").await;
    let mut nodes = Vec::new();
    for number in 1..=3 {
        let build = ci.wait_for_build("unit", number, |build| build["result"] == "SUCCESS").await;
        nodes.push(build["builtOn"].as_str().unwrap().to_owned());
    }
    nodes.sort();
    assert_eq!(nodes, ["d1", "d2", "f1"], "each node runs one job");
    for name in ["d1", "d2", "f1"] {
        let used_up = |computer: &Value| computer["temporarilyOffline"] == true;
        ci.wait_for_computer(name, "is used up", used_up).await;
    }
}

#[tokio::test]
async fn without_gearman_jobs_wait_in_the_queue() {
    let file = list("0 unit debian 0.1\n0 unit debian 0.1\n");
    let ci = Ci::start(&["--jobs", file.path().to_str().unwrap()]).await;
    let items = wait_for("the jobs wait", async || {
        let items = ci.get("queue/api/json").await["items"].as_array().unwrap().clone();
        (items.len() == 2).then_some(items)
    })
    .await;
    assert_eq!(items[0]["why"], "There are no nodes with the label ‘debian’");
    assert_eq!(items[0]["_class"], "hudson.model.Queue$BuildableItem");
    ci.agent("d1", "debian").await;
    ci.wait_for_build("unit", 1, |build| build["result"] == "SUCCESS").await;
    ci.agent("d2", "debian").await;
    let second = ci.wait_for_build("unit", 2, |build| build["result"] == "SUCCESS").await;
    assert_eq!(second["builtOn"], "d2", "a node is used once");
}

#[tokio::test]
async fn steady_traffic_follows_the_labels_that_there_are() {
    let ci = Ci::start(&["--gearman", "127.0.0.1:0", "--start-gearmand", "--jobs", "steady"]).await;
    ci.agent("d1", "debian").await;
    ci.wait_for_build("test-debian", 1, |build| build["builtOn"] == "d1").await;
}
