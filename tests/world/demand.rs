//! Who tells how many jobs wait in this world.

use async_trait::async_trait;
use nodepool::target::{Demand, DemandError, DemandSource};

use super::World;
use super::fault::Fault;

/// Tells the demand of the world, when it feels like it.
pub struct SimulatedDemand {
    pub world: World,
}

#[async_trait]
impl DemandSource for SimulatedDemand {
    async fn ask(&self) -> Result<Demand, DemandError> {
        let (fate, delay) = {
            let mut state = self.world.lock();
            *state.calls.entry("demand").or_default() += 1;
            let (fate, slowest) = if state.faulty { (state.dice.between(1, 100), 2_000) } else { (100, 20) };
            (fate, state.dice.millis(1, slowest))
        };
        if fate <= 3 {
            self.world.lock().faults.count(Fault::GearmanHangs);
            self.world.never().await;
        }
        self.world.pass(delay).await;
        if fate <= 15 {
            self.world.lock().faults.count(Fault::GearmanFails);
            return Err(DemandError::Unknown("nobody answers".to_owned()));
        }
        Ok(Demand { jobs: self.world.lock().demand.clone(), ..Demand::default() })
    }
}

impl World {
    /// How often it was asked.
    pub fn demand_calls(&self) -> u64 {
        self.lock().calls.get("demand").copied().unwrap_or(0)
    }

    /// Other jobs come and go.
    pub fn change_demand(&self, label: &str, most: u64) {
        let mut state = self.lock();
        let jobs = u32::try_from(state.dice.between(0, most)).expect("small");
        state.demand.insert(label.to_owned(), jobs);
    }
}
