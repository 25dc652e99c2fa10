//! Telling of builds over HTTP, as the plugin Notification does: each job names in its configuration whom to tell, and what
//! it sends is JSON without the node, which only the variables in the URL can bring along.

use std::time::Duration;

use roxmltree::Node;
use serde_json::json;

use super::Jenkins;
use super::build::Begun;
use super::events::{Delivery, delivery};
use super::xml;

/// The plugin's own patience where the configuration says nothing.
const USUAL_TIMEOUT: Duration = Duration::from_secs(30);
/// The most endpoints of a job.
const MOST: usize = 20;

/// Whom a job tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// Where, with variables of the build such as `${NODE_NAME}`.
    url: String,
    /// The phase that is told in small letters, or `all`.
    event: String,
    timeout: Duration,
}

/// What a build has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Queued,
    Started,
    Completed,
    Finalized,
}

impl Phase {
    const fn word(self) -> &'static str {
        match self {
            Phase::Queued => "QUEUED",
            Phase::Started => "STARTED",
            Phase::Completed => "COMPLETED",
            Phase::Finalized => "FINALIZED",
        }
    }
}

/// The endpoints in a job's `config.xml`.
pub(super) fn endpoints(project: Node<'_, '_>) -> Vec<Endpoint> {
    let each = project
        .descendants()
        .filter(|node| node.has_tag_name("com.tikal.hudson.plugins.notification.Endpoint"));
    each.filter_map(|node| {
        let url = xml::element(node, "urlInfo").and_then(|info| xml::child(info, "urlOrId"));
        let timeout = xml::child(node, "timeout").and_then(|text| text.parse().ok());
        Some(Endpoint {
            url: url.or_else(|| xml::child(node, "url"))?,
            event: xml::child(node, "event").unwrap_or_else(|| "all".to_owned()),
            timeout: timeout.map_or(USUAL_TIMEOUT, Duration::from_millis),
        })
    })
    .take(MOST)
    .collect()
}

/// Tells everybody whom the job names, one after the other, as far as the faults let it. The build waits meanwhile, as it
/// does in Jenkins.
pub(super) async fn tell(jenkins: &Jenkins, phase: Phase, begun: &Begun) {
    let Some((endpoints, text)) = told(jenkins, phase, begun) else { return };
    for endpoint in endpoints {
        let url = expanded(jenkins, &endpoint.url, begun);
        let (times, late) = match delivery(jenkins) {
            Delivery::Never => (0, false),
            Delivery::Once => (1, false),
            Delivery::Twice => (2, false),
            Delivery::Late => (1, true),
        };
        for _ in 0..times {
            let post = jenkins
                .http
                .post(&url)
                .timeout(endpoint.timeout)
                .header("content-type", "application/json; charset=UTF-8")
                .body(text.clone());
            if late {
                let pause = jenkins.duration(|faults| faults.event_late_seconds);
                jenkins.stage().tasks.spawn(async move {
                    tokio::time::sleep(pause).await;
                    send(post).await;
                });
            } else {
                send(post).await;
            }
        }
    }
}

async fn send(post: reqwest::RequestBuilder) {
    match post.send().await {
        Ok(answer) if answer.status().is_success() => {}
        Ok(answer) => tracing::warn!(status = answer.status().as_u16(), "a notification was refused"),
        // The URL holds a password.
        Err(error) => tracing::warn!(error = %error.without_url(), "a notification was not delivered"),
    }
}

/// Whom the job tells of this phase, and what.
fn told(jenkins: &Jenkins, phase: Phase, begun: &Begun) -> Option<(Vec<Endpoint>, String)> {
    let mut controller = jenkins.controller();
    let job = controller.jobs.get(&begun.job)?;
    let mut endpoints = job.config.endpoints.clone();
    endpoints.retain(|endpoint| endpoint.event == "all" || endpoint.event == phase.word().to_lowercase());
    if endpoints.is_empty() {
        return None;
    }
    let url = format!("job/{}/", begun.job);
    let build_url = format!("{url}{}/", begun.number);
    let build = controller.build(&begun.job, begun.number)?;
    let parameters: serde_json::Map<_, _> =
        build.parameters.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    let mut told = json!({
        "full_url": format!("{}{build_url}", jenkins.url()),
        "number": begun.number,
        "queue_id": build.item,
        "timestamp": build.started.timestamp_millis(),
        "duration": build.duration(),
        "phase": phase.word(),
        "url": build_url,
        "scm": {"changes": [], "culprits": []},
        "log": "",
        "notes": "",
        "artifacts": {},
    });
    if let Some(told) = told.as_object_mut() {
        if !parameters.is_empty() {
            told.insert("parameters".to_owned(), parameters.into());
        }
        // Before it is known, Jenkins says that all is well.
        if phase != Phase::Queued && phase != Phase::Started {
            told.insert("status".to_owned(), build.result.into());
        }
    }
    let whole = json!({"name": begun.job, "display_name": begun.job, "url": url, "build": told});
    Some((endpoints, whole.to_string()))
}

/// A URL with the values of its variables.
fn expanded(jenkins: &Jenkins, url: &str, begun: &Begun) -> String {
    let mut controller = jenkins.controller();
    let parameters = controller.build(&begun.job, begun.number).map(|build| build.parameters.clone());
    let own = [
        ("NODE_NAME".to_owned(), begun.node.clone()),
        ("JOB_NAME".to_owned(), begun.job.clone()),
        ("BUILD_NUMBER".to_owned(), begun.number.to_string()),
    ];
    let all = parameters.into_iter().flatten().chain(own);
    all.fold(url.to_owned(), |url, (name, value)| url.replace(&format!("${{{name}}}"), &value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_read_from_the_configuration_of_a_job() {
        let text = "<project><properties><com.tikal.hudson.plugins.notification.HudsonNotificationProperty><endpoints>\
            <com.tikal.hudson.plugins.notification.Endpoint><protocol>HTTP</protocol><format>JSON</format>\
            <urlInfo><urlOrId>http://a/?node=${NODE_NAME}</urlOrId><urlType>PUBLIC</urlType></urlInfo>\
            <event>all</event><timeout>2000</timeout></com.tikal.hudson.plugins.notification.Endpoint>\
            <com.tikal.hudson.plugins.notification.Endpoint><event>started</event>\
            </com.tikal.hudson.plugins.notification.Endpoint>\
            </endpoints></com.tikal.hudson.plugins.notification.HudsonNotificationProperty></properties></project>";
        let found = xml::read(text, endpoints).unwrap();
        let url = "http://a/?node=${NODE_NAME}".to_owned();
        assert_eq!(
            found,
            [Endpoint { url, event: "all".to_owned(), timeout: Duration::from_secs(2) }],
            "one without a URL is none"
        );
    }
}
