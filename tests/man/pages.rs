//! Manual pages in docs/man, made of the words of `--help`.

use std::collections::BTreeMap;
use std::path::Path;

use clap::Command;
use clap_mangen::Man;

/// Compares the pages of a program with those in docs/man; `UPDATE_GOLDEN=1` rewrites them.
pub(crate) fn check(command: Command, section: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/man");
    let program = command.get_name().to_owned();
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let mut pages = BTreeMap::new();
    render(&command, section, &mut pages);

    std::fs::create_dir_all(&folder).unwrap();
    let of_program = |name: &str| {
        name.strip_prefix(&program)
            .is_some_and(|rest| rest.starts_with(['-', '.']) && rest.ends_with(section))
    };
    let there =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let there: Vec<String> = there.filter(|name| of_program(name)).collect();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        for stale in there.iter().filter(|name| !pages.contains_key(*name)) {
            std::fs::remove_file(folder.join(stale)).unwrap();
        }
        for (name, page) in &pages {
            std::fs::write(folder.join(name), page).unwrap();
        }
        return;
    }
    for name in there.iter().chain(pages.keys()) {
        let found = std::fs::read_to_string(folder.join(name)).ok();
        assert!(
            found.as_ref() == pages.get(name),
            "docs/man/{name} is not current; UPDATE_GOLDEN=1 rewrites it"
        );
    }
}

/// The page of a command, and those of the commands below it.
fn render(command: &Command, section: &str, pages: &mut BTreeMap<String, String>) {
    let mut page = Vec::new();
    let man = Man::new(command.clone()).section(section);
    man.render(&mut page).unwrap();
    pages.insert(man.get_filename(), String::from_utf8(page).unwrap());
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        render(below, section, pages);
    }
}
