//! A target whose calls are counted and timed, and a source of demand whose questions are.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;

use super::{
    Demand, DemandError, DemandSource, Enrolled, Enrollment, Inbound, Roster, Target, TargetError, Withdrawal,
};
use crate::model::AgentTag;

/// What is told of each call. Closures of this shape are meters.
pub trait Meter: Send + Sync {
    /// A call of `operation` ended after `took`; `outcome` is `ok` or the word of its error.
    fn record(&self, operation: &'static str, outcome: &'static str, took: Duration);
}

impl<F: Fn(&'static str, &'static str, Duration) + Send + Sync> Meter for F {
    fn record(&self, operation: &'static str, outcome: &'static str, took: Duration) {
        self(operation, outcome, took);
    }
}

/// A target, or a source of demand, that tells a meter of each call.
pub struct Metered<T: ?Sized, M> {
    inner: Arc<T>,
    meter: M,
}

impl<T: ?Sized, M: Meter> Metered<T, M> {
    /// Puts the meter before it.
    pub const fn new(inner: Arc<T>, meter: M) -> Self {
        Self { inner, meter }
    }

    async fn measure<V, E>(
        &self,
        operation: &'static str,
        word: fn(&E) -> &'static str,
        call: impl Future<Output = Result<V, E>> + Send,
    ) -> Result<V, E> {
        let start = Instant::now();
        let outcome = call.await;
        self.meter.record(operation, outcome.as_ref().map_or_else(word, |_| "ok"), start.elapsed());
        outcome
    }
}

#[async_trait]
impl<T: Target + ?Sized, M: Meter> Target for Metered<T, M> {
    async fn enroll(&self, enrollment: &Enrollment) -> Result<Enrolled, TargetError> {
        self.measure("enroll", TargetError::word, self.inner.enroll(enrollment)).await
    }

    async fn withdraw(&self, withdrawal: &Withdrawal) -> Result<(), TargetError> {
        self.measure("withdraw", TargetError::word, self.inner.withdraw(withdrawal)).await
    }

    async fn roster(&self) -> Result<Option<Roster>, TargetError> {
        self.measure("list_agents", TargetError::word, self.inner.roster()).await
    }

    async fn relabel(&self, name: &str, tag: &AgentTag, labels: &[String]) -> Result<(), TargetError> {
        self.measure("relabel", TargetError::word, self.inner.relabel(name, tag, labels)).await
    }

    async fn hold(
        &self,
        name: &str,
        tag: &AgentTag,
        description: &str,
        why: &str,
    ) -> Result<(), TargetError> {
        self.measure("hold", TargetError::word, self.inner.hold(name, tag, description, why)).await
    }

    async fn close(&self, name: &str, tag: &AgentTag, why: &str) -> Result<(), TargetError> {
        self.measure("close", TargetError::word, self.inner.close(name, tag, why)).await
    }

    async fn start_test(&self, job: &str, name: &str) -> Result<(), TargetError> {
        self.measure("start_test", TargetError::word, self.inner.start_test(job, name)).await
    }

    async fn launch_log(&self, name: &str) -> Result<String, TargetError> {
        self.measure("get_launch_log", TargetError::word, self.inner.launch_log(name)).await
    }

    async fn inbound(&self, name: &str) -> Result<Inbound, TargetError> {
        self.measure("get_inbound_secret", TargetError::word, self.inner.inbound(name)).await
    }
}

#[async_trait]
impl<T: DemandSource + ?Sized, M: Meter> DemandSource for Metered<T, M> {
    async fn ask(&self) -> Result<Demand, DemandError> {
        self.measure("list_queue", |_: &DemandError| "unavailable", self.inner.ask()).await
    }
}
