//! Another configuration in the middle of a history: things come, go and change.

use nodepool::config::{Config, Target};

use super::dice::Dice;
use super::pool;

/// Changes one thing, and whatever else it takes to keep the configuration without errors. `first` is where removed
/// things come back from.
pub fn change(config: &mut Config, first: &Config, dice: &mut Dice) -> String {
    let what = match dice.between(0, 6) {
        0 => {
            let provider = pick(dice, &first.providers).clone();
            if config.provider(&provider.name).is_some() {
                config.providers.retain(|known| known.name != provider.name);
            } else {
                config.providers.push(provider.clone());
            }
            format!("provider {} comes or goes", provider.name)
        }
        1 => {
            let label = pick(dice, &first.labels).clone();
            if config.label(&label.name).is_some() {
                config.labels.retain(|known| known.name != label.name);
            } else {
                config.labels.push(label.clone());
            }
            format!("label {} comes or goes", label.name)
        }
        2 => {
            let other = Target { name: "other".to_owned(), ..first.targets[0].clone() };
            let target = if dice.happens(50) { other } else { first.targets[0].clone() };
            if config.target(&target.name).is_some() {
                config.targets.retain(|known| known.name != target.name);
            } else {
                config.targets.push(target.clone());
            }
            format!("target {} comes or goes", target.name)
        }
        3 => {
            let most = u32::try_from(dice.between(0, 6)).expect("small");
            let provider = pick(dice, &first.providers).name.clone();
            for known in config.providers.iter_mut().filter(|known| known.name == provider) {
                known.max_servers = Some(most);
            }
            format!("max-servers of {provider}: {most}")
        }
        4 => {
            let least = u32::try_from(dice.between(0, 2)).expect("small");
            for label in &mut config.labels {
                label.min_ready = Some(least);
            }
            format!("min-ready: {least}")
        }
        5 => {
            let (label, provider) = (pick(dice, &first.labels).name.clone(), pick(dice, &first.providers));
            for known in config.labels.iter_mut().filter(|known| known.name == label) {
                if known.providers.contains(&provider.name) {
                    known.providers.retain(|name| *name != provider.name);
                } else {
                    known.providers.push(provider.name.clone());
                }
            }
            format!("{} serves {label}, or not", provider.name)
        }
        _ => {
            let image = if dice.happens(50) { pool::IMAGE } else { pool::OTHER_IMAGE };
            for label in &mut config.labels {
                image.clone_into(&mut label.image);
            }
            format!("all labels boot {image}")
        }
    };
    mend(config, first);
    what
}

/// So much room that every watermark can be reached.
pub fn make_room(config: &mut Config) {
    for provider in &mut config.providers {
        provider.max_servers = Some(9);
    }
}

/// A label that nobody can serve, or labels without a target, would be refused when the files are read.
fn mend(config: &mut Config, first: &Config) {
    let names: Vec<String> = config.providers.iter().map(|provider| provider.name.clone()).collect();
    for label in &mut config.labels {
        label.providers.retain(|name| names.contains(name));
    }
    config.labels.retain(|label| !label.providers.is_empty());
    if config.targets.is_empty() {
        config.targets.clone_from(&first.targets);
    }
}

fn pick<'a, T>(dice: &mut Dice, of: &'a [T]) -> &'a T {
    dice.pick(of).expect("there are some")
}
