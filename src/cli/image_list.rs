//! `nodepool image-list`: the snapshot images.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::list::Look;
use super::session::now;
use super::sort::{self, Key};
use super::view::ImageView;
use super::{Age, Failure, Session, Table, suggest};
use crate::config::Config;
use crate::model::{Image, ImageStep, Timestamp};

/// What to list, and in which order.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Arguments {
    /// Only images at these providers
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub provider: Vec<String>,
    /// Only these images
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub image: Vec<String>,
    /// Only images in these states
    #[arg(long, value_name = "STATE", value_delimiter = ',', value_parser = ["building", "ready", "delete"])]
    pub state: Vec<String>,
    /// Sort by these columns, the first one first; with a minus the other way round [default: provider,image]
    #[arg(long, value_name = "COLUMN[,-COLUMN]", value_delimiter = ',', allow_hyphen_values = true)]
    #[arg(value_parser = sort::key::<Column>)]
    pub sort: Vec<Key<Column>>,
    /// How the table looks.
    #[command(flatten)]
    pub look: Look,
}

/// A column to sort by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Column {
    /// The number.
    Id,
    /// The provider.
    Provider,
    /// The name in the configuration.
    Image,
    /// The name of the builder and the snapshot.
    Hostname,
    /// When the build was decided.
    Version,
    /// The cloud's id of the snapshot.
    ImageId,
    /// The cloud's id of the builder.
    ServerId,
    /// The state.
    State,
    /// The time in that state.
    Age,
}

/// Prints the images, ordered by provider and name unless it is said otherwise.
pub async fn run(session: &Session, config: &Config, arguments: &Arguments) -> Result<(), Failure> {
    let mut images = session.store.images().await?;
    arguments.check(config, &images)?;
    images.retain(|image| arguments.takes(image));
    usual_order(&mut images);
    sort::sort(&mut images, &arguments.sort, compare);
    print(session, &images, arguments.look)
}

/// Prints these images.
pub(super) fn show(session: &Session, mut images: Vec<Image>, look: Look) -> Result<(), Failure> {
    usual_order(&mut images);
    print(session, &images, look)
}

/// The text of the table, which the web page serves too.
pub fn text(mut images: Vec<Image>, now: Timestamp, look: Look) -> String {
    usual_order(&mut images);
    table(&images, look, now).render(false)
}

/// The text of the table of diskimages, of which there are none, for those who ask at nodepool v0's path.
pub fn no_diskimages() -> String {
    Table::new(["ID", "Image", "Filename", "Version", "State", Age::Hours.title()]).render(false)
}

impl Arguments {
    fn takes(&self, image: &Image) -> bool {
        let fits =
            |wanted: &[String], value: &str| wanted.is_empty() || wanted.iter().any(|one| one == value);
        fits(&self.provider, &image.provider)
            && fits(&self.image, &image.image)
            && fits(&self.state, image.state.word())
    }

    fn check(&self, config: &Config, images: &[Image]) -> Result<(), Failure> {
        let providers: BTreeSet<&str> = config
            .providers
            .iter()
            .map(|provider| provider.name.as_str())
            .chain(images.iter().map(|image| image.provider.as_str()))
            .collect();
        suggest::check("provider", &self.provider, &providers)?;
        let configured = config.providers.iter().flat_map(|provider| &provider.images);
        let known: BTreeSet<&str> = configured
            .map(|image| image.name.as_str())
            .chain(images.iter().map(|image| image.image.as_str()))
            .collect();
        suggest::check("image", &self.image, &known)
    }
}

fn print(session: &Session, images: &[Image], look: Look) -> Result<(), Failure> {
    let now = now();
    session
        .console
        .rows(|| table(images, look, now), || images.iter().map(|image| ImageView::new(image, now)).collect())
}

fn usual_order(images: &mut [Image]) {
    images.sort_by(|one, other| {
        (&one.provider, &one.image, one.id).cmp(&(&other.provider, &other.image, other.id))
    });
}

fn compare(column: Column, one: &Image, other: &Image) -> Ordering {
    match column {
        Column::Id => one.id.cmp(&other.id),
        Column::Provider => one.provider.cmp(&other.provider),
        Column::Image => one.image.cmp(&other.image),
        Column::Hostname => one.hostname.cmp(&other.hostname),
        Column::Version => one.version.cmp(&other.version),
        Column::ImageId => one.external_id.cmp(&other.external_id),
        Column::ServerId => one.server_id.cmp(&other.server_id),
        Column::State => one.state.cmp(&other.state),
        // The younger one entered its state later.
        Column::Age => other.state_time.cmp(&one.state_time),
    }
}

/// The columns of nodepool 0.1 to 0.3 in their places: scripts cut them out by their number.
fn table(images: &[Image], look: Look, now: Timestamp) -> Table {
    let mut columns = vec![
        "ID",
        "Provider",
        "Image",
        "Hostname",
        "Version",
        "Image ID",
        "Server ID",
        "State",
        look.age.title(),
    ];
    if look.detail {
        columns.extend(["Step", "Reason"]);
    }
    let mut table = Table::new(columns);
    for image in images {
        let mut cells = vec![
            Some(image.id.to_string()),
            Some(image.provider.clone()),
            Some(image.image.clone()),
            Some(image.hostname.clone()),
            Some(image.version.to_string()),
            image.external_id.clone(),
            image.server_id.clone(),
            Some(image.state.word().to_owned()),
            Some(look.age.text(now.since(image.state_time))),
        ];
        if look.detail {
            let step = image.state.step().map(|step| ImageStep::word(step).to_owned());
            cells.extend([step, Some(image.reason.clone())]);
        }
        table.row(cells);
    }
    table
}
