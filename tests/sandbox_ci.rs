//! The Jenkins of nodepool-sandbox as others meet it: python-jenkins, Debian's `gearman` command with a real gearmand, a
//! subscriber of ZeroMQ's own library, and requests written by hand.
//!
//! Needs bubblewrap, openssh-client, gearman-job-server, gearman-tools, and python-jenkins with pyzmq:
//! `python3 -m venv target/test-tools/python-jenkins && target/test-tools/python-jenkins/bin/pip install python-jenkins pyzmq`.

#[path = "sandbox_ci/agents.rs"]
mod agents;
#[path = "sandbox_ci/clients.rs"]
mod clients;
#[path = "sandbox_ci/driver.rs"]
mod driver;
#[path = "sandbox_ci/faults.rs"]
mod faults;
#[path = "sandbox_ci/jobs.rs"]
mod jobs;
#[path = "sandbox_ci/requests.rs"]
mod requests;
#[path = "sandbox_ci/target.rs"]
mod target;
