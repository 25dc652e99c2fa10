//! What the fuzz targets share.

use std::sync::OnceLock;

use tempfile::TempDir;

/// The folder of this process, in memory where there is such a place.
///
/// # Panics
/// When it cannot be made.
pub fn scratch() -> &'static TempDir {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    FOLDER.get_or_init(|| {
        tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder can be made")
    })
}
