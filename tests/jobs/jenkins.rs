//! The sandbox's Jenkins, as its administrator uses it.

use std::time::Duration;

use serde_json::Value;

pub(crate) const USER: &str = "admin";
pub(crate) const TOKEN: &str = "token-of-the-test";

/// A way to the Jenkins.
pub(crate) struct Jenkins {
    client: reqwest::Client,
    /// Where it answers, with a slash at the end.
    pub(crate) url: String,
}

impl Jenkins {
    pub(crate) fn new(url: String) -> Self {
        let builder = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        Self { client: builder.timeout(Duration::from_secs(30)).build().unwrap(), url }
    }

    fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let request = self.client.request(method.parse().unwrap(), format!("{}{path}", self.url));
        request.basic_auth(USER, Some(TOKEN))
    }

    /// A document, if it is there.
    pub(crate) async fn read(&self, path: &str) -> Option<Value> {
        let answer = self.request("GET", path).send().await.ok()?;
        if !answer.status().is_success() {
            return None;
        }
        answer.json().await.ok()
    }

    /// A text that is there.
    pub(crate) async fn text(&self, path: &str) -> String {
        let answer = self.request("GET", path).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.text().await.unwrap()
    }

    /// Has something done.
    pub(crate) async fn post(&self, path: &str, xml: Option<String>) {
        let request = self.request("POST", path);
        let request = match xml {
            Some(xml) => request.header("content-type", "application/xml").body(xml),
            None => request,
        };
        let answer = request.send().await.unwrap();
        let status = answer.status();
        assert!(status.is_success() || status.is_redirection(), "{path}: {status}");
    }
}
