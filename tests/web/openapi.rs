//! The document of the JSON API: it has each path, and a judge of somebody else finds that the paths do what it says.

use std::path::Path;
use std::process::Stdio;

use nodepool::model::NodeState;
use nodepool::plan::Plan;
use serde_json::Value;
use tokio::process::Command;

use super::api::{WRITE, steered};
use super::metrics::busy;
use super::{Served, now};

/// Which judge, and where it is. `tools/test` installs it.
const JUDGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/test-tools/schemathesis/bin/schemathesis");

async fn document(served: &Served) -> Value {
    let answer = served.get("/api/v1/openapi.json").await;
    assert_eq!((answer.status, &answer.headers["content-type"]), (200, &"application/json".parse().unwrap()));
    serde_json::from_str(&answer.text).unwrap()
}

#[tokio::test]
async fn the_document_has_each_path_and_each_field() {
    let served = Served::new().await;
    busy(&served).await;
    served.ticked(now(), Plan::default(), None);
    let document = document(&served).await;
    let paths = document["paths"].as_object().unwrap();
    let source = include_str!("../../src/web/api/mod.rs");
    let routes: Vec<&str> =
        source.split(".route(\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert!(routes.len() >= 10, "{routes:?}");
    for route in routes {
        assert!(route == "/openapi.json" || paths.contains_key(route), "{route} is not in the document");
    }
    for (path, schema) in [
        ("/plan", "Plan"),
        ("/nodes", "Node"),
        ("/images", "Image"),
        ("/providers", "Provider"),
        ("/nodes/1", "Node"),
        ("/nodes/1/history", "Line"),
    ] {
        let answer = served.get(&format!("/api/v1{path}")).await;
        let answer: Value = serde_json::from_str(&answer.text).unwrap();
        let row = answer.get(0).unwrap_or(&answer);
        let told: Vec<&String> = row.as_object().unwrap().keys().collect();
        let properties = document["components"]["schemas"][schema]["properties"].as_object().unwrap();
        assert_eq!(told, properties.keys().collect::<Vec<_>>(), "{path}");
    }
}

#[tokio::test]
async fn a_judge_finds_the_api_as_the_document_says() {
    assert!(Path::new(JUDGE).exists(), "{JUDGE} is missing: tools/test web installs it");
    let served = steered().await;
    busy(&served).await;
    for attempt in ["j1", "j2"] {
        served.node(attempt, NodeState::Ready, None).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut judge = Command::new(JUDGE);
    judge.args(["run", "--no-color", "--seed", "1", "--max-examples", "100"]);
    judge.args(["--generation-database", "none", "--request-timeout", "20", "--warnings", "off"]);
    // A deletion is a wish, which nobody grants here: the row stays.
    judge.args(["--exclude-checks", "use_after_free"]);
    judge.args(["--header", &format!("Authorization: Bearer {WRITE}")]);
    judge.arg(format!("{}/api/v1/openapi.json", served.url));
    judge.current_dir(folder.path()).env_remove("HTTP_PROXY").env_remove("http_proxy");
    judge.stdin(Stdio::null()).kill_on_drop(true);
    let judged = tokio::time::timeout(std::time::Duration::from_secs(180), judge.output()).await;
    let judged = judged.expect("the judge comes to an end").unwrap();
    let text = String::from_utf8_lossy(&judged.stdout);
    assert!(judged.status.success(), "{text}\n{}", String::from_utf8_lossy(&judged.stderr));
    assert!(text.contains("Tested:"), "{text}");
}
