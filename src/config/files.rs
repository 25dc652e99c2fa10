//! Looks whether the scripts and keys that the configuration names are there, and can be used.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

use super::diagnostic::Report;
use super::source_text::{Located, Position};
use super::sources::Sources;

/// The permission bits that let anyone but the owner at a file.
const OTHERS: u32 = 0o077;
const EXECUTE: u32 = 0o111;

/// The files that the configuration names.
pub(super) struct Files<'a> {
    sources: &'a Sources,
    script_dir: ScriptDir,
    /// Keys that were looked at: many images share one.
    keys: BTreeSet<PathBuf>,
}

enum ScriptDir {
    /// None is configured.
    Absent,
    /// It cannot be used, which was reported.
    Broken,
    At(PathBuf),
}

impl<'a> Files<'a> {
    /// Looks at the script folder.
    pub(super) fn new(
        sources: &'a Sources,
        script_dir: Option<&Located<String>>,
        report: &mut Report,
    ) -> Self {
        let script_dir = match script_dir {
            None => ScriptDir::Absent,
            Some(text) => {
                let path = sources.path(&text.value);
                match fs::read_dir(&path) {
                    Ok(_) => ScriptDir::At(path),
                    Err(error) => {
                        report
                            .error(
                                &text.at,
                                format!(
                                    "the script folder {} cannot be read: {}",
                                    path.display(),
                                    reason(&error)
                                ),
                            )
                            .help("make the folder, or correct `script-dir`")
                            .about_machine();
                        ScriptDir::Broken
                    }
                }
            }
        };
        Self { sources, script_dir, keys: BTreeSet::new() }
    }

    /// A script must be a file in the script folder.
    pub(super) fn script(&self, script: &Located<String>, key: &str, report: &mut Report) {
        let name = Path::new(&script.value);
        if !name.components().all(|component| matches!(component, Component::Normal(_))) {
            report
                .error(&script.at, format!("`{key}` must be the name of a file in the script folder"))
                .help("put the script into the folder that `script-dir` names, and write its name alone");
            return;
        }
        let folder = match &self.script_dir {
            ScriptDir::At(folder) => folder,
            ScriptDir::Broken => return,
            ScriptDir::Absent => {
                report
                    .error(&script.at, format!("`{key}` names a script, but there is no `script-dir`"))
                    .help("name the folder with the scripts in `script-dir`");
                return;
            }
        };
        let path = folder.join(name);
        match fs::metadata(&path) {
            Ok(metadata) if !metadata.is_file() => {
                report.error(&script.at, format!("{} is not a file", path.display())).about_machine();
            }
            Ok(metadata) if metadata.permissions().mode() & EXECUTE == 0 => {
                report
                    .warning(&script.at, format!("the script {} is not executable", path.display()))
                    .help(format!("chmod +x {}", path.display()))
                    .about_machine();
            }
            Ok(_) => {}
            Err(error) => {
                report
                    .error(
                        &script.at,
                        format!("the script {} cannot be read: {}", path.display(), reason(&error)),
                    )
                    .help(format!("put it there, or correct `{key}`"))
                    .about_machine();
            }
        }
    }

    /// A file with certificates must be readable for us.
    pub(super) fn certificate(&self, text: &Located<String>, key: &str, report: &mut Report) -> PathBuf {
        let path = self.sources.path(&text.value);
        let readable = fs::metadata(&path).and_then(|metadata| {
            if metadata.is_file() { File::open(&path).map(|_| true) } else { Ok(false) }
        });
        let wrong = match readable {
            Ok(true) => return path,
            Ok(false) => "is not a file".to_owned(),
            Err(error) => format!("cannot be read: {}", reason(&error)),
        };
        report
            .error(&text.at, format!("the file {} {wrong}", path.display()))
            .help(format!("name a PEM file in `{key}`"))
            .about_machine();
        path
    }

    /// The private key of a TLS client must be readable for us, and should be for nobody else.
    pub(super) fn tls_key(&mut self, text: &Located<String>, key: &str, report: &mut Report) -> PathBuf {
        self.key(&text.value, &text.at, &format!("name the PEM file with our private key in `{key}`"), report)
    }

    /// The private key of nodes must be readable for us, and should be for nobody else.
    pub(super) fn private_key(&mut self, text: &str, at: &Position, report: &mut Report) -> PathBuf {
        self.key(text, at, "name the key that opens the nodes in `private-key`", report)
    }

    fn key(&mut self, text: &str, at: &Position, help: &str, report: &mut Report) -> PathBuf {
        let path = self.sources.path(text);
        if !self.keys.insert(path.clone()) {
            return path;
        }
        // What is not a file, such as a pipe, could block for ever when it is opened.
        let readable = fs::metadata(&path).and_then(|metadata| {
            if metadata.is_file() { File::open(&path).map(|_| metadata) } else { Ok(metadata) }
        });
        match readable {
            Ok(metadata) if !metadata.is_file() => {
                report.error(at, format!("the private key {} is not a file", path.display())).about_machine();
            }
            Ok(metadata) if metadata.permissions().mode() & OTHERS != 0 => {
                report
                    .warning(at, format!("the private key {} is open to other users", path.display()))
                    .help(format!("chmod 600 {}", path.display()))
                    .about_machine();
            }
            Ok(_) => {}
            Err(error) => {
                report
                    .error(
                        at,
                        format!("the private key {} cannot be read: {}", path.display(), reason(&error)),
                    )
                    .help(help)
                    .about_machine();
            }
        }
        path
    }
}

/// What went wrong, in the words of the standard library and without the system's number.
fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "it does not exist".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}
