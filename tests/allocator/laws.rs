//! What holds whoever asks for what: never above the room, never more than was asked for, the same for the same question,
//! nothing left over that somebody could use, and nobody waits for ever.

use nodepool::plan::shares::{Free, Grant, Request, fill, missing, share, spread};

use super::table::{Derived, Round};
use super::{History, granted, request};

/// A sequence of numbers that looks like chance and is the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from(self.0 >> 33).expect("31 bits") % bound
    }
}

const PROVIDERS: [&str; 4] = ["p0", "p1", "p2", "p3"];

/// Up to 6 labels, each at one provider or more.
fn requests(dice: &mut Dice) -> Vec<Request> {
    let count = 1 + dice.below(6);
    let requests = (0..count).map(|at| {
        let mut providers: Vec<&str> = PROVIDERS.into_iter().filter(|_| dice.below(2) == 0).collect();
        if providers.is_empty() {
            providers.push(PROVIDERS[dice.below(4) as usize]);
        }
        let servers = if dice.below(3) == 0 { 1 + dice.below(4) } else { 1 };
        let waited = if dice.below(2) == 0 { 0 } else { u64::from(dice.below(5)) };
        Request { waited, ..request(&format!("l{at}"), dice.below(12), servers, &providers) }
    });
    requests.collect()
}

fn room(dice: &mut Dice) -> Vec<Free> {
    PROVIDERS.iter().map(|name| Free::new(name, dice.below(9))).collect()
}

fn taken(requests: &[Request], grants: &[Grant], provider: &str) -> u32 {
    let here = grants.iter().filter(|grant| grant.provider == provider);
    here.map(|grant| {
        let request = requests.iter().find(|request| request.label == grant.label).expect("it was asked for");
        assert!(request.providers.contains(&grant.provider), "{grant:?} was not asked of this provider");
        grant.amount * request.servers
    })
    .sum()
}

#[test]
fn room_and_requests_bound_what_is_granted() {
    let mut dice = Dice(1);
    for _ in 0..20_000 {
        let (requests, before) = (requests(&mut dice), room(&mut dice));
        let mut free = before.clone();
        let mut grants = share(&requests, &mut free);
        let mut again = before.clone();
        assert_eq!(grants, share(&requests, &mut again), "the same question had two answers");
        fill(&requests, &mut free, &mut grants);
        for (before, after) in before.iter().zip(&free) {
            let taken = taken(&requests, &grants, &before.provider);
            assert_eq!(before.servers, taken + after.servers, "{requests:?} {grants:?}");
        }
        for request in &requests {
            let granted = granted(&grants, &request.label);
            assert!(granted <= request.amount, "{request:?} got {granted}");
            // Demand is met when it can be: nobody lacks what a provider of its has room for.
            let usable = free.iter().any(|free| {
                free.kept_for.is_none()
                    && request.providers.contains(&free.provider)
                    && free.servers >= request.servers
            });
            assert!(missing(request, &grants) == 0 || !usable, "{request:?} could have more: {free:?}");
            assert!(grants.iter().all(|grant| grant.amount > 0), "{grants:?}");
        }
    }
}

#[test]
fn everybody_gets_everything_where_there_is_room_for_all() {
    let mut dice = Dice(2);
    for _ in 0..5_000 {
        let requests = requests(&mut dice);
        let all: u32 = requests.iter().map(|request| request.amount * request.servers).sum();
        let mut free: Vec<Free> = PROVIDERS.iter().map(|name| Free::new(name, all)).collect();
        let mut grants = share(&requests, &mut free);
        fill(&requests, &mut free, &mut grants);
        for request in &requests {
            assert_eq!(granted(&grants, &request.label), request.amount, "{request:?} {grants:?}");
        }
    }
}

/// Labels that are alike get alike, whatever room there is: two of them never differ by more nodes than there are providers,
/// since a share is rounded once at each.
#[test]
fn labels_that_are_alike_share_alike() {
    let mut dice = Dice(5);
    for _ in 0..5_000 {
        let (labels, amount, servers) = (2 + dice.below(5), 1 + dice.below(12), 1 + dice.below(3));
        let providers: Vec<&str> = PROVIDERS.into_iter().take(1 + dice.below(4) as usize).collect();
        let requests: Vec<Request> =
            (0..labels).map(|at| request(&format!("l{at}"), amount, servers, &providers)).collect();
        let before = room(&mut dice);
        let mut free = before.clone();
        let mut grants = share(&requests, &mut free);
        fill(&requests, &mut free, &mut grants);
        let got: Vec<u32> = requests.iter().map(|request| granted(&grants, &request.label)).collect();
        let (least, most) = (got.iter().min().expect("labels"), got.iter().max().expect("labels"));
        let bound = u32::try_from(providers.len()).expect("four at most");
        assert!(
            most - least <= bound,
            "{labels} labels that want {amount} of {servers} got {got:?} of {before:?}"
        );
    }
}

/// Places become free one by one, and everybody always asks for more than there is. Whoever asks gets something within
/// so many rounds as there are labels, times what a set needs to gather its places.
#[test]
fn nobody_waits_for_ever() {
    let mut dice = Dice(3);
    for _ in 0..200 {
        let requests: Vec<Request> = requests(&mut dice)
            .into_iter()
            .map(|request| Request { amount: request.amount + 1, ..request })
            .collect();
        let mut history = History::default();
        let mut free = [0_u32; 4];
        let mut last = vec![0; requests.len()];
        for round in 1..400 {
            // One place becomes free at each provider in its turn.
            free[round % 4] += 1;
            let room: Vec<(&str, u32)> = PROVIDERS.into_iter().zip(free).collect();
            let found = history.round(&requests, &room);
            for (at, request) in requests.iter().enumerate() {
                if found.grants.iter().any(|grant| grant.label == request.label) {
                    last[at] = round;
                }
                let most = 4 * 4 * (requests.len() + 1);
                assert!(round - last[at] <= most, "{request:?} waits for {} rounds", round - last[at]);
            }
            for (at, name) in PROVIDERS.iter().enumerate() {
                free[at] = u32::try_from(found.left_available[*name]).expect("never below nothing");
            }
        }
    }
}

#[test]
fn each_new_node_finds_a_target() {
    let mut dice = Dice(4);
    for _ in 0..5_000 {
        let count = 1 + dice.below(5);
        let before: Vec<u32> = (0..count).map(|_| dice.below(8)).collect();
        let (amount, mut after) = (dice.below(20), before.clone());
        let gets = spread(amount, &mut after);
        assert_eq!(gets.iter().sum::<u32>(), amount, "{before:?} {gets:?}");
        let added = before.iter().zip(&gets).map(|(before, gets)| before + gets);
        assert!(added.eq(after.iter().copied()), "{before:?} {gets:?} {after:?}");
    }
}

/// The laws for a scenario whose recorded results are known to be wrong.
pub fn check_rounds(scenario: &Derived, rounds: &[Round]) -> Result<(), String> {
    for (at, round) in rounds.iter().enumerate() {
        if let Some((provider, left)) = round.left_available.iter().find(|(_, left)| **left < 0) {
            return Err(format!("round {at} leaves {left} at {provider}"));
        }
        for request in scenario.requests(at) {
            let grants = round.grants.iter().filter(|grant| grant.label == request.label);
            let granted: u32 = grants.map(|grant| grant.amount).sum();
            if granted > request.amount {
                return Err(format!("round {at} gives {granted} to {}", request.label));
            }
        }
    }
    Ok(())
}
