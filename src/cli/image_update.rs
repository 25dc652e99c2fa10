//! `nodepool image-update`: build new images now.

use std::collections::BTreeSet;

use super::list::Look;
use super::wish::Answer;
use super::{Failure, Session, image_list};
use crate::config::Config;
use crate::model::{ImageState, WishKind};

/// What stands for every provider, and for every image.
const ALL: &str = "all";

/// Which images to build.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// Name of the provider, or `all` for each that has the image
    #[arg(value_name = "PROVIDER")]
    pub provider: String,
    /// Name of the image in the provider's configuration, or `all` for each that a label uses
    #[arg(value_name = "IMAGE")]
    pub image: String,
    /// How the table looks.
    #[command(flatten)]
    pub look: Look,
}

/// Asks for the builds and prints the images that are being built.
pub async fn run(session: &Session, config: &Config, arguments: &Arguments) -> Result<(), Failure> {
    let chosen = choose(config, &arguments.provider, &arguments.image)?;
    let wishes: Vec<WishKind> = chosen
        .iter()
        .map(|(provider, image)| WishKind::ImageUpdate { provider: provider.clone(), image: image.clone() })
        .collect();
    let mut refused = None;
    let mut open = BTreeSet::new();
    for ((provider, image), answer) in chosen.iter().zip(session.wishes(&wishes).await?) {
        match answer {
            Answer::Granted(_) => {}
            Answer::Open(why) => {
                open.insert(why);
            }
            Answer::Refused(why) => {
                session.console.warn(&format!("image {image} of {provider}: {why}"));
                refused = Some(why);
            }
        }
    }
    for why in open {
        session.console.note(&why);
    }
    let mut images = session.store.images().await?;
    images.retain(|image| {
        matches!(image.state, ImageState::Building(_))
            && chosen.contains(&(image.provider.clone(), image.image.clone()))
    });
    image_list::show(session, images, arguments.look)?;
    match refused {
        None => Ok(()),
        Some(why) => Err(Failure::refused(why, "`nodepool config-validate` checks what nodepoold reads")),
    }
}

/// The provider images that are meant, in the order of the configuration.
fn choose(config: &Config, provider: &str, image: &str) -> Result<Vec<(String, String)>, Failure> {
    if provider != ALL && config.provider(provider).is_none() {
        return Err(unknown_provider(config, provider));
    }
    let used = |provider: &str, image: &str| {
        config.labels.iter().any(|label| {
            label.min_ready.is_some()
                && label.image == image
                && label.providers.iter().any(|known| known == provider)
        })
    };
    let mut chosen = Vec::new();
    for known in config.providers.iter().filter(|known| provider == ALL || known.name == provider) {
        for candidate in &known.images {
            let meant =
                if image == ALL { used(&known.name, &candidate.name) } else { candidate.name == image };
            if meant {
                chosen.push((known.name.clone(), candidate.name.clone()));
            }
        }
    }
    if chosen.is_empty() {
        let what = match (provider, image) {
            (ALL, ALL) => "no label uses an image".to_owned(),
            (ALL, image) => format!("no provider has an image {image}"),
            (provider, ALL) => format!("no label uses an image of provider {provider}"),
            (provider, image) => format!("provider {provider} has no image {image}"),
        };
        return Err(Failure::refused(what, "the images are below `providers` in nodepool.yaml"));
    }
    Ok(chosen)
}

/// The failure that says that there is no such provider.
pub(super) fn unknown_provider(config: &Config, name: &str) -> Failure {
    let known: Vec<&str> = config.providers.iter().map(|provider| provider.name.as_str()).collect();
    Failure::refused(
        format!("there is no provider {name} in the configuration"),
        format!("the providers are: {}", known.join(", ")),
    )
}
