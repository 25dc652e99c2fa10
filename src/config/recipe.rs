//! What a snapshot is built from: the settings of an image that are in the snapshot when it is built, and only then.

use super::types::{ImageSource, ProviderImage};

/// Between the name of a setting and its value.
const IS: &str = ": ";

impl ProviderImage {
    /// The settings that a snapshot has in it, one a line, in a fixed order; it is stored with what is built from it.
    pub fn recipe(&self) -> String {
        let ImageSource::Snapshot { base_image, setup, .. } = &self.source;
        let meta: Vec<String> = self.meta.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let settings = [
            ("base-image", base_image.clone()),
            ("setup", setup.clone()),
            ("username", self.username.clone()),
            ("private-key", self.private_key.display().to_string()),
            ("meta", meta.join(", ")),
        ];
        let line = |(key, value): (&str, String)| {
            let value: String = value.chars().map(|one| if one.is_control() { ' ' } else { one }).collect();
            format!("{key}{IS}{value}")
        };
        settings.map(line).join("\n")
    }

    /// What the configuration says otherwise than when something was built by this recipe; empty for an empty recipe, which
    /// is that of snapshots older than recipes.
    pub fn changed_since(&self, recipe: &str) -> Vec<String> {
        let now = self.recipe();
        if now == recipe {
            return Vec::new();
        }
        let now: Vec<(&str, &str)> = now.lines().filter_map(|line| line.split_once(IS)).collect();
        let built = recipe.lines().filter_map(|line| line.split_once(IS));
        let changed = built.filter_map(|(key, old)| {
            let (_, new) = now.iter().find(|(known, new)| *known == key && *new != old)?;
            Some(format!("{key} was {old:?} and is {new:?}"))
        });
        changed.collect()
    }
}
