//! Jobs and their builds.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use tokio::time::Instant;

use super::{Named, posted};
use crate::sandbox::http::Answer;
use crate::sandbox::jenkins::door::Asked;
use crate::sandbox::jenkins::job::{Config, Job};
use crate::sandbox::jenkins::node::unsafe_name;
use crate::sandbox::jenkins::{Jenkins, page, view};

/// The quiet period of a build that asks for none.
const QUIET_PERIOD: Duration = Duration::from_secs(5);
/// The most jobs, and the most that wait in the queue.
const MOST: usize = 5_000;
/// The longest quiet period, in seconds: a day.
const LONGEST_DELAY: u64 = 86_400;

/// Makes a job.
pub(super) fn create(jenkins: &Jenkins, asked: &Asked) -> Answer {
    let Some(name) = asked.parameter("name").map(str::trim).filter(|name| !name.is_empty()) else {
        return page::failure("Query parameter 'name' is required");
    };
    if let Some(reason) = unsafe_name(name) {
        return page::failure(&reason);
    }
    let Some(config) = Config::read(&asked.text()) else { return page::oops() };
    let made = jenkins.change(|controller| {
        let free = !controller.jobs.contains_key(name) && controller.jobs.len() < MOST;
        if free {
            controller.jobs.insert(name.to_owned(), Job::new(name, config));
        }
        free
    });
    if made { page::done() } else { page::failure(&format!("A job already exists with the name  {name} ")) }
}

/// Answers below `/job/NAME/`.
pub(super) fn answer(jenkins: &Arc<Jenkins>, asked: &Asked, name: &str, rest: &[&str]) -> Named {
    if !jenkins.controller().jobs.contains_key(name) {
        return ("jenkins-job-missing", page::not_found());
    }
    let here = || page::redirect(format!("{}job/{name}/", asked.root));
    match rest {
        [] => ("jenkins-page", page::page(name)),
        ["api", "json"] => ("jenkins-job-show", shown(jenkins, asked, name)),
        ["config.xml"] if asked.method == Method::POST => {
            ("jenkins-job-change", reconfigure(jenkins, asked, name))
        }
        ["config.xml"] => {
            let text = jenkins.controller().jobs.get(name).map(|job| job.config.xml.clone());
            ("jenkins-job-config", text.map_or_else(page::not_found, page::xml))
        }
        ["build" | "buildWithParameters"] => {
            ("jenkins-job-build", posted(asked, || enqueue(jenkins, asked, name)))
        }
        ["enable" | "disable"] => (
            "jenkins-job-change",
            posted(asked, || {
                let disabled = rest == ["disable"];
                jenkins.change(|controller| {
                    if let Some(job) = controller.jobs.get_mut(name) {
                        job.config.disabled = disabled;
                    }
                });
                here()
            }),
        ),
        ["doDelete"] => (
            "jenkins-job-delete",
            posted(asked, || {
                delete(jenkins, name);
                page::redirect(asked.root.clone())
            }),
        ),
        [number, rest @ ..] => build(jenkins, asked, name, number, rest),
    }
}

fn shown(jenkins: &Jenkins, asked: &Asked, name: &str) -> Answer {
    let controller = jenkins.controller();
    match controller.jobs.get(name) {
        Some(job) => asked.document(view::job(&controller, &asked.root, job), &[]),
        None => page::not_found(),
    }
}

fn reconfigure(jenkins: &Jenkins, asked: &Asked, name: &str) -> Answer {
    let Some(config) = Config::read(&asked.text()) else { return page::oops() };
    jenkins.change(|controller| {
        if let Some(job) = controller.jobs.get_mut(name) {
            job.config = config;
        }
    });
    page::done()
}

/// Deletes a job. Its builds are stopped.
fn delete(jenkins: &Jenkins, name: &str) {
    let job = jenkins.change(|controller| {
        controller.queue.retain(|_, item| item.job != name);
        controller.jobs.remove(name)
    });
    for build in job.iter().flat_map(|job| job.builds.values()) {
        build.stop.cancel();
    }
}

fn enqueue(jenkins: &Jenkins, asked: &Asked, name: &str) -> Answer {
    let delay = match asked.parameter("delay") {
        Some(text) => {
            let number = text.trim_end_matches("sec").trim();
            Duration::from_secs(number.parse().unwrap_or(0).min(LONGEST_DELAY))
        }
        None => QUIET_PERIOD,
    };
    let now = Instant::now();
    let ready_at = now.checked_add(delay).unwrap_or(now);
    let queued = jenkins.change(|controller| {
        let room = controller.queue.len() < MOST
            && controller.jobs.get(name).is_some_and(|job| !job.config.disabled);
        room.then(|| controller.enqueue(name, &asked.parameters, ready_at)).flatten()
    });
    match queued {
        Some(id) => {
            let location = format!("{}queue/item/{id}/", asked.root);
            Answer::empty(StatusCode::CREATED).with("location", location)
        }
        None => page::html(StatusCode::CONFLICT, "Error 409 This job cannot be built now"),
    }
}

fn build(jenkins: &Jenkins, asked: &Asked, name: &str, number: &str, rest: &[&str]) -> Named {
    let mut controller = jenkins.controller();
    let Some(job) = controller.jobs.get_mut(name) else { return ("jenkins-job-missing", page::not_found()) };
    let number = match number {
        "lastBuild" => job.builds.keys().next_back().copied(),
        number => number.parse().ok(),
    };
    let found = number.and_then(|number| Some((number, job.builds.get(&number)?)));
    let Some((number, build)) = found else { return ("jenkins-build-missing", page::not_found()) };
    match rest {
        [] => ("jenkins-page", page::page(name)),
        ["api", "json"] => {
            let whole = view::build(job, &asked.root, number, build);
            ("jenkins-build-show", asked.document(whole, &[]))
        }
        ["consoleText"] => ("jenkins-build-log", page::text(build.log.since(0).to_owned())),
        ["logText", "progressiveText"] => {
            let start = asked.parameter("start").and_then(|start| start.parse().ok()).unwrap_or(0);
            let answer = page::text(build.log.since(start).to_owned());
            let answer = answer.with("x-text-size", build.log.size().to_string());
            let more = build.ended.is_none();
            ("jenkins-build-log", if more { answer.with("x-more-data", "true") } else { answer })
        }
        ["stop"] => {
            let url = format!("{}job/{name}/{number}/", asked.root);
            let stop = build.stop.clone();
            let stopped = posted(asked, || {
                stop.cancel();
                page::redirect(url)
            });
            ("jenkins-build-stop", stopped)
        }
        _ => ("jenkins-unknown", page::not_found()),
    }
}
