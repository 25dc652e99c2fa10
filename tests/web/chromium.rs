//! A real browser, Debian's Chromium, spoken to over its DevTools protocol: JSON texts on a pipe, each ended by a NUL.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::DEADLINE;

/// The two ends of the pipe are 3 and 4 in Chromium: what the shell has as its input and output.
const START: &str = "exec chromium --headless --remote-debugging-pipe --no-sandbox --disable-gpu --disable-dev-shm-usage \
    --no-first-run --disable-background-networking --disable-component-update --disable-sync --no-proxy-server \
    --user-data-dir=\"$1\" about:blank 3<&0 4>&1 >/dev/null 2>\"$1/log\"";

/// A browser with one page.
pub struct Chromium {
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    last: u64,
    session: Option<String>,
    /// What the page complained about: exceptions, errors and warnings of the console, of the network, of the policy.
    pub complaints: Vec<String>,
    _child: Child,
    _folder: TempDir,
}

impl Chromium {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", START, "chromium"]).arg(folder.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut chromium = Self {
            input,
            output,
            last: 0,
            session: None,
            complaints: Vec::new(),
            _child: child,
            _folder: folder,
        };
        let target = chromium.call("Target.createTarget", json!({"url": "about:blank"})).await;
        let target = json!({"targetId": target["targetId"], "flatten": true});
        let attached = chromium.call("Target.attachToTarget", target).await;
        chromium.session = Some(attached["sessionId"].as_str().unwrap().to_owned());
        for domain in ["Page.enable", "Runtime.enable", "Log.enable", "Network.enable"] {
            chromium.call(domain, json!({})).await;
        }
        chromium
    }

    /// Asks for something and gives the answer.
    pub async fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.last += 1;
        let mut question = json!({"id": self.last, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            question["sessionId"] = json!(session);
        }
        let text = format!("{question}\0");
        self.input.write_all(text.as_bytes()).await.unwrap();
        loop {
            let mut message = Vec::new();
            // The first answer comes when the browser has been read from a disk that may be cold.
            let patience = if self.last == 1 { 3 * DEADLINE } else { 2 * DEADLINE };
            let read = tokio::time::timeout(patience, self.output.read_until(0, &mut message));
            let length = read.await.unwrap_or_else(|_| panic!("no answer to {question}")).unwrap();
            assert!(length > 0, "Chromium is gone, or was never there: apt-get install chromium");
            let message: Value = serde_json::from_slice(message.strip_suffix(&[0]).unwrap()).unwrap();
            if message["id"] == json!(self.last) {
                assert!(message.get("error").is_none(), "{question}: {message}");
                return message["result"].clone();
            }
            self.listen(&message);
        }
    }

    fn listen(&mut self, message: &Value) {
        let told = &message["params"];
        let bad = |level: &Value| ["error", "warning", "assert"].iter().any(|word| level == word);
        let complaint = match message["method"].as_str() {
            Some("Runtime.exceptionThrown") => &told["exceptionDetails"],
            Some("Runtime.consoleAPICalled") if bad(&told["type"]) => &told["args"],
            Some("Log.entryAdded") if bad(&told["entry"]["level"]) => &told["entry"],
            _ => return,
        };
        self.complaints.push(complaint.to_string());
    }

    /// Goes to an address and waits until the page is there.
    pub async fn open(&mut self, url: &str) {
        self.call("Page.navigate", json!({"url": url})).await;
        let there = format!("location.href === {} && document.readyState === 'complete'", json!(url));
        self.until(&there).await;
    }

    /// What an expression is in the page.
    pub async fn value(&mut self, expression: &str) -> Value {
        let question = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let answer = self.call("Runtime.evaluate", question).await;
        assert!(answer.get("exceptionDetails").is_none(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Waits until an expression is true in the page.
    pub async fn until(&mut self, condition: &str) {
        let seconds = DEADLINE.as_millis();
        let expression = format!(
            "new Promise((resolve) => {{
                const began = Date.now();
                const look = () => {{
                    if ({condition}) resolve(true);
                    else if (Date.now() - began > {seconds}) resolve(document.body.innerText.slice(0, 4000));
                    else setTimeout(look, 20);
                }};
                look();
            }})"
        );
        // A page that goes while it is asked takes the answer with it.
        for _ in 0..100 {
            let question = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
            let answer = self.call("Runtime.evaluate", question).await;
            if answer.get("exceptionDetails").is_none() {
                let value = &answer["result"]["value"];
                assert_eq!(value, &json!(true), "never so: {condition}\n{value}");
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        panic!("the page went again and again: {condition}");
    }

    /// Presses a key, and lets it go.
    pub async fn press(&mut self, key: &str, code: u32) {
        let mut event = json!({"type": "keyDown", "key": key, "windowsVirtualKeyCode": code});
        if key.chars().count() == 1 {
            event["text"] = json!(key);
        } else if key == "Enter" {
            event["text"] = json!("\r");
        }
        self.call("Input.dispatchKeyEvent", event.clone()).await;
        event["type"] = json!("keyUp");
        self.call("Input.dispatchKeyEvent", event).await;
    }

    pub async fn write(&mut self, text: &str) {
        for letter in text.chars() {
            self.press(&letter.to_string(), 0).await;
        }
    }
}
