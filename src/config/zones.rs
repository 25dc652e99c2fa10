//! Time zones by their IANA names.

use chrono_tz::{TZ_VARIANTS, Tz};

use super::spelling;

/// The time zone of this name.
///
/// # Errors
/// What is wrong, and what to write instead.
pub(super) fn read(name: &str) -> Result<Tz, (String, String)> {
    name.parse().map_err(|_| {
        let meant = spelling::nearest(name, TZ_VARIANTS.iter().map(|zone| zone.name()));
        let help = match meant {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => "write its IANA name, such as Europe/Paris or UTC".to_owned(),
        };
        (format!("there is no time zone `{}`", shown(name)), help)
    })
}

/// A name that may be anything, in a message.
fn shown(name: &str) -> String {
    name.chars().filter(|character| !character.is_control()).take(60).collect()
}
