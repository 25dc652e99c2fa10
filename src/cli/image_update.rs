//! `nodepool image-update`: build new images now.

use std::collections::BTreeSet;

use super::list::Look;
use super::session::now;
use super::several::whole;
use super::wish::Answer;
use super::{Failure, Session, follow, image_list, suggest};
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
    /// Show what the builds print, with the time and the step, until they have ended; Ctrl-C leaves them going
    #[arg(short, long)]
    pub follow: bool,
    /// How the table looks.
    #[command(flatten)]
    pub look: Look,
}

/// Asks for the builds and prints the images that are being built, or what the builds print.
pub async fn run(session: &Session, config: &Config, arguments: &Arguments) -> Result<(), Failure> {
    let chosen = choose(config, &arguments.provider, &arguments.image)?;
    let wishes: Vec<WishKind> = chosen
        .iter()
        .map(|(provider, image)| WishKind::ImageUpdate { provider: provider.clone(), image: image.clone() })
        .collect();
    let asked = now();
    let answers = session.wishes(&wishes).await?;
    if arguments.follow {
        let mut builds = Vec::new();
        for ((provider, image), (wish, answer)) in chosen.iter().zip(answers) {
            builds.push(follow::begun(session, (provider, image), asked, answer, wish).await?);
        }
        return follow::follow(session, builds).await;
    }
    let mut problems = Vec::new();
    let mut open = BTreeSet::new();
    for ((provider, image), (_wish, answer)) in chosen.iter().zip(answers) {
        match answer {
            Answer::Granted(_) => {}
            Answer::Open(why) => {
                open.insert(why);
            }
            Answer::Refused(why) => problems.push(format!("image {image} of {provider}: {why}")),
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
    whole(&problems, "`nodepool config-validate` checks what nodepoold reads")
}

/// The provider images that are meant, in the order of the configuration.
fn choose(config: &Config, provider: &str, image: &str) -> Result<Vec<(String, String)>, Failure> {
    if provider != ALL && config.provider(provider).is_none() {
        let known = config.providers.iter().map(|known| known.name.as_str());
        return Err(suggest::unknown("provider", provider, known.chain([ALL])));
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
        return Err(none(config, provider, image));
    }
    Ok(chosen)
}

/// The failure that says why no image is meant.
fn none(config: &Config, provider: &str, image: &str) -> Failure {
    let what = match (provider, image) {
        (ALL, ALL) => "no label uses an image".to_owned(),
        (provider, ALL) => format!("no label uses an image of provider {provider}"),
        (provider, image) => {
            let meant = config.providers.iter().filter(|known| provider == ALL || known.name == provider);
            let known: BTreeSet<&str> =
                meant.flat_map(|known| &known.images).map(|known| known.name.as_str()).collect();
            let mut failure = suggest::unknown("image", image, known);
            let who = match provider {
                ALL => "no provider has an".to_owned(),
                provider => format!("provider {provider} has no"),
            };
            failure.what = failure.what.replacen("there is no", &who, 1);
            return failure;
        }
    };
    Failure::refused(what, "labels name their image with `image`, and `min-ready: -1` switches them off")
}
