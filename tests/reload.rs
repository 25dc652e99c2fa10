//! Another configuration while the daemon runs.

#[path = "reload/files.rs"]
mod files;
