//! Requests by hand: who may ask, and what Jenkins says to odd ones.

use serde_json::json;

use super::driver::{Ci, PASSWORD, USER};

#[tokio::test]
async fn a_password_needs_a_crumb_of_its_session_and_a_token_none() {
    let ci = Ci::start(&[]).await;
    let url = format!("{}quietDown", ci.jenkins);
    let post = || ci.client.post(&url);
    assert_eq!(ci.post("quietDown", &[]).await.status, 302);
    assert_eq!(ci.get("api/json?tree=quietingDown").await["quietingDown"], true);
    ci.post("cancelQuietDown", &[]).await;

    let by_password = post().basic_auth(USER, Some(PASSWORD)).send().await.unwrap();
    assert_eq!(by_password.status(), 403);
    assert!(by_password.text().await.unwrap().contains("No valid crumb was included in the request"));
    let address = format!("{}crumbIssuer/api/json", ci.jenkins);
    let issued = ci.client.get(address).basic_auth(USER, Some(PASSWORD)).send().await.unwrap();
    let cookie = issued.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    assert!(cookie.starts_with("JSESSIONID."));
    let document: serde_json::Value = issued.json().await.unwrap();
    assert_eq!(document["crumbRequestField"], "Jenkins-Crumb");
    let crumb = document["crumb"].as_str().unwrap();
    let with = |crumb: &str| post().basic_auth(USER, Some(PASSWORD)).header("Jenkins-Crumb", crumb);
    assert_eq!(with(crumb).send().await.unwrap().status(), 403, "a crumb is good in its session alone");
    assert_eq!(with("0").header("cookie", &cookie).send().await.unwrap().status(), 403);
    assert_eq!(with(crumb).header("cookie", &cookie).send().await.unwrap().status(), 302);
}

#[tokio::test]
async fn strangers_are_sent_away() {
    let ci = Ci::start(&[]).await;
    let url = format!("{}api/json", ci.jenkins);
    let wrong = ci.client.get(&url).basic_auth(USER, Some("wrong")).send().await.unwrap();
    assert_eq!(wrong.status(), 401);
    assert_eq!(wrong.headers()["www-authenticate"], "Basic realm=\"Jenkins\"");
    assert!(!wrong.headers().contains_key("x-jenkins"));
    assert_eq!(ci.client.get(&url).send().await.unwrap().status(), 403);
    let known = ci.read("api/json").await;
    assert_eq!((known.status, known.header("x-jenkins")), (200, "2.426.2"));
    assert_eq!(ci.read("computer/none/api/json").await.status, 404);
    assert_eq!(ci.read("quietDown").await.status, 405);
}

#[tokio::test]
async fn odd_nodes_are_answered_as_jenkins_does() {
    let ci = Ci::start(&[]).await;
    let kind = "hudson.slaves.DumbSlave";
    let inbound =
        json!({"launcher": {"$class": "hudson.slaves.JNLPLauncher", "webSocket": true}}).to_string();
    let made = ci.post("computer/doCreateItem", &[("name", "n1"), ("type", kind), ("json", &inbound)]).await;
    assert_eq!((made.status, made.header("location")), (302, format!("{}computer/", ci.jenkins).as_str()));
    for (form, status, reason) in [
        (vec![("name", "n1"), ("type", kind), ("json", "{}")], 400, "Agent called  n1  already exists"),
        (vec![("type", kind), ("json", "{}")], 400, "Query parameter 'name' is required"),
        (vec![("name", "a/b"), ("type", kind), ("json", "{}")], 400, "/  is an unsafe character"),
        (vec![("name", "n2"), ("type", kind)], 400, ""),
        (vec![("name", "n2"), ("json", "{}")], 500, ""),
        (vec![("name", "n2"), ("type", "no.Kind"), ("json", "{}")], 500, ""),
        (vec![("name", "n2"), ("type", kind), ("json", r#"{"mode":"exclusive"}"#)], 500, ""),
        (vec![("name", "n2"), ("type", kind), ("json", r#"{"launcher":{"$class":"no.Plugin"}}"#)], 500, ""),
        (vec![("name", "n3"), ("type", kind), ("json", r#"{"numExecutors":0}"#)], 302, ""),
    ] {
        let answer = ci.post("computer/doCreateItem", &form).await;
        assert_eq!((answer.status, answer.header("x-error")), (status, reason), "{form:?}");
    }
    let sent_as_json = ci.client.post(format!("{}computer/doCreateItem?name=n2&type={kind}", ci.jenkins));
    let answer =
        sent_as_json.basic_auth(USER, Some(super::driver::TOKEN)).json(&json!({})).send().await.unwrap();
    assert_eq!(answer.status(), 400);

    // A node without executors holds its name and has no computer.
    assert_eq!(ci.read("computer/n3/api/json").await.status, 404);
    assert_eq!(ci.post("computer/n3/doDelete", &[]).await.status, 404);
    let again = ci.post("computer/doCreateItem", &[("name", "n3"), ("type", kind), ("json", "{}")]).await;
    assert_eq!(again.header("x-error"), "Agent called  n3  already exists");
    assert_eq!(ci.post("computer/(built-in)/doDelete", &[]).await.status, 400);

    // An inbound agent is offline, and its secret follows from its name.
    let shown = ci.get("computer/n1/api/json").await;
    assert_eq!(
        (&shown["offline"], &shown["idle"], &shown["jnlpAgent"]),
        (&json!(true), &json!(true), &json!(true))
    );
    assert_eq!((&shown["offlineCause"], &shown["offlineCauseReason"]), (&json!(null), &json!("")));
    let jnlp = ci.read("computer/n1/jenkins-agent.jnlp").await.text;
    assert!(jnlp.contains("<argument>n1</argument><argument>-webSocket</argument>"), "{jnlp}");
    ci.post("computer/n1/doDelete", &[]).await;
    ci.post("computer/doCreateItem", &[("name", "n1"), ("type", kind), ("json", &inbound)]).await;
    assert_eq!(ci.read("computer/n1/jenkins-agent.jnlp").await.text, jnlp);
}

#[tokio::test]
async fn a_tree_chooses_what_is_sent() {
    let ci = Ci::start(&[]).await;
    ci.post("computer/doCreateItem", &[("name", "n1"), ("type", "hudson.slaves.DumbSlave"), ("json", "{}")])
        .await;
    let listed = ci.get("computer/api/json?tree=computer[displayName,idle,executors[idle]]").await;
    assert_eq!(
        listed["computer"][1],
        json!({"_class": "hudson.slaves.SlaveComputer", "displayName": "n1", "idle": true, "executors": [{"idle": true}]})
    );
    assert_eq!(ci.get("computer/api/json").await["computer"][1]["executors"], json!([{}]));
    assert_eq!(ci.read("computer/api/json?tree=computer[").await.status, 400);
    assert_eq!(ci.get("label/n1/api/json").await["nodes"][0]["nodeName"], "n1");
}

#[tokio::test]
async fn a_prefix_is_part_of_every_address() {
    let ci = Ci::start(&["--jenkins-prefix", "/ci/jenkins/"]).await;
    assert!(ci.jenkins.ends_with("/ci/jenkins/"), "{}", ci.jenkins);
    let made = ci
        .post("computer/doCreateItem", &[("name", "n1"), ("type", "hudson.slaves.DumbSlave"), ("json", "{}")])
        .await;
    assert_eq!(made.header("location"), format!("{}computer/", ci.jenkins));
    let outside = ci.jenkins.replace("/ci/jenkins/", "/api/json");
    let answer = ci.client.get(outside).basic_auth(USER, Some(super::driver::TOKEN)).send().await.unwrap();
    assert_eq!(answer.status(), 404);
}
