//! Looks whether the labels fit the providers: that what they name is there, and that somebody can boot their nodes.

use std::collections::BTreeSet;

use super::check::dangling;
use super::diagnostic::Report;
use super::files::Files;
use super::keys::MIN_READY;
use super::raw::{RawLabel, RawProvider};
use super::source_text::Located;

/// Checks the labels, and takes from each the providers where its image cannot be built.
pub(super) fn check(
    labels: &mut [RawLabel],
    providers: &[RawProvider],
    files: &Files<'_>,
    report: &mut Report,
) {
    for label in labels.iter() {
        check_label(label, providers, files, report);
    }
    check_images_are_used(labels, providers, report);
    for label in labels {
        let image = label.image.as_ref().map(|image| image.value.clone());
        label.providers.retain(|reference| {
            let of_name = |provider: &&RawProvider| {
                provider.name.as_ref().is_some_and(|name| name.value == reference.value)
            };
            !providers.iter().find(of_name).is_some_and(|provider| has_diskimage(image.as_deref(), provider))
        });
    }
}

/// An image that no label boots is built for nothing.
fn check_images_are_used(labels: &[RawLabel], providers: &[RawProvider], report: &mut Report) {
    // Where a label is wrong, its image may be one that seems unused.
    if labels.is_empty() || report.has_errors() {
        return;
    }
    for (provider, name) in providers.iter().filter_map(|provider| Some((provider, provider.name.as_ref()?)))
    {
        for image in provider.images.iter().filter_map(|image| image.name.as_ref()) {
            let boots = |label: &RawLabel| {
                label.image.as_ref().is_some_and(|wanted| wanted.value == image.value)
                    && label.providers.iter().any(|reference| reference.value == name.value)
            };
            if !labels.iter().any(boots) {
                report
                    .warning(&image.at, format!("no label boots the image `{}` here", image.value))
                    .help("take it out, or add this provider to a label of that image");
            }
        }
    }
}

fn is_diskimage(label: &RawLabel, provider: &RawProvider) -> bool {
    has_diskimage(label.image.as_ref().map(|image| image.value.as_str()), provider)
}

/// Whether this image of a provider is one of diskimage-builder.
fn has_diskimage(image: Option<&str>, provider: &RawProvider) -> bool {
    provider.images.iter().any(|found| {
        found.diskimage.is_some() && found.name.as_ref().map(|name| name.value.as_str()) == image
    })
}

fn check_label(label: &RawLabel, providers: &[RawProvider], files: &Files<'_>, report: &mut Report) {
    if let Some(script) = &label.ready_script {
        files.script(script, "ready-script", report);
    }
    let mut seen = BTreeSet::new();
    let mut servers: i64 = 0;
    let mut servers_known = true;
    for reference in &label.providers {
        let name = &reference.value;
        if !seen.insert(name) {
            report.error(&reference.at, format!("the provider `{name}` is given twice"));
            continue;
        }
        let named =
            |provider: &&RawProvider| provider.name.as_ref().is_some_and(|found| found.value == *name);
        let Some(provider) = providers.iter().find(named) else {
            let known = providers.iter().filter_map(|provider| provider.name.as_ref());
            let message = format!("there is no provider `{name}`");
            dangling(
                &reference.at,
                message,
                name,
                "providers",
                known.map(|name| name.value.as_str()),
                report,
            );
            servers_known = false;
            continue;
        };
        match &provider.max_servers {
            Some(_) if is_diskimage(label, provider) => {}
            Some(most) => servers = servers.saturating_add(most.value.max(0)),
            None => servers_known = false,
        }
        check_label_image(label, reference, provider, report);
    }
    if servers_known && !label.providers.is_empty() {
        check_watermark(label, servers, report);
    }
}

/// The spare nodes of a label must have room at its providers. A label that is switched off needs none.
fn check_watermark(label: &RawLabel, servers: i64, report: &mut Report) {
    let min_ready = label.min_ready.as_ref().map_or(MIN_READY, |number| number.value);
    let of_each = label.subnodes.as_ref().map_or(0, |number| number.value).saturating_add(1);
    let Some(at) =
        label.min_ready.as_ref().map(|number| &number.at).or(label.name.as_ref().map(|name| &name.at))
    else {
        return;
    };
    if servers == 0 && min_ready >= 0 {
        report
            .warning(at, "none of the label's providers can boot a node of it")
            .help("raise `max-servers` of one of them, or switch the label off with `min-ready: -1`");
    }
    check_windows(label, (min_ready, of_each, servers), report);
    let needed = min_ready.saturating_mul(of_each);
    if servers > 0 && needed > servers {
        report
            .warning(
                at,
                format!(
                    "`min-ready` {min_ready} needs {needed} servers, but all providers of the label together have {servers}"
                ),
            )
            .help("lower `min-ready`, or raise `max-servers` of a provider");
    }
}

/// A window or a headroom that changes nothing, or cannot be had, is none that somebody meant.
fn check_windows(label: &RawLabel, (min_ready, of_each, servers): (i64, i64, i64), report: &mut Report) {
    if min_ready < 0 {
        let headroom = label.headroom.as_ref().map(|headroom| ("headroom", &headroom.at));
        let windows = label.schedule.iter().map(|window| ("schedule", &window.at));
        for (key, at) in headroom.into_iter().chain(windows.take(1)) {
            report
                .warning(at, format!("`{key}` has no effect: the label is switched off with `min-ready: -1`"))
                .help("raise `min-ready`; 0 keeps no spare nodes outside of the windows");
        }
        return;
    }
    for window in &label.schedule {
        let spares = i64::from(window.value.spares);
        if spares <= min_ready {
            report
                .warning(
                    &window.at,
                    format!("this window changes nothing: the largest number applies, and `min-ready` is {min_ready}"),
                )
                .help("lower `min-ready`, and give the other hours a window of their own");
        }
        let needed = spares.saturating_mul(of_each);
        if servers > 0 && needed > servers {
            report
                .warning(
                    &window.at,
                    format!(
                        "{spares} spare nodes need {needed} servers, but all providers of the label together have {servers}"
                    ),
                )
                .help("lower the number, or raise `max-servers` of a provider");
        }
    }
}

/// The label's image must be one of each of its providers, and one that can be built.
fn check_label_image(
    label: &RawLabel,
    reference: &Located<String>,
    provider: &RawProvider,
    report: &mut Report,
) {
    let Some(image) = &label.image else { return };
    let known = provider
        .images
        .iter()
        .filter_map(|image| image.name.as_ref().map(|name| (name.value.as_str(), image)));
    match known.clone().find(|(name, _)| *name == image.value) {
        None => {
            let message = format!("the provider `{}` has no image `{}`", reference.value, image.value);
            dangling(
                &image.at,
                message,
                &image.value,
                "images of this provider",
                known.map(|(name, _)| name),
                report,
            );
        }
        Some((name, found)) if found.diskimage.is_some() => {
            let provider = &reference.value;
            report
                .warning(
                    &image.at,
                    format!(
                        "the image `{name}` of provider `{provider}` is a diskimage, which this version cannot build"
                    ),
                )
                .help("the label gets no nodes from this provider; give the image a `base-image` and a `setup`");
        }
        Some(_) => {}
    }
}
