//! Files with one mistake each, of the kind that people make, and what is said of them.
//!
//! The reports are read as an operator would read them: each says what was found, what is accepted, and what to do.

use super::*;

/// A configuration that is right, around a secure.conf that is not.
fn scene_for(path: &Path) -> Scene {
    let scene = Scene::new();
    let text = fs::read_to_string(path).unwrap();
    if path.extension().is_some_and(|extension| extension == "conf") {
        scene.yaml(&small(INLINE)).file("secure.conf", &text);
    } else {
        scene.yaml(&text);
    }
    scene
}

#[test]
fn each_mistake_is_told_so_that_a_person_can_act() {
    let mut files: Vec<PathBuf> =
        fs::read_dir(Path::new(DATA).join("broken")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension != "report"));
    files.sort();
    assert!(files.len() >= 40, "there are {} broken files", files.len());
    for path in files {
        let scene = scene_for(&path);
        let found = scene.errors();
        let errors: Vec<_> = found.iter().filter(|one| one.severity == Severity::Error).collect();
        assert!((1..=2).contains(&errors.len()), "{}: one mistake\n{}", path.display(), render(&found));
        for error in &errors {
            assert!(error.line.is_some() && !error.snippet.is_empty(), "{} has a place", path.display());
        }
        let name = path.file_stem().unwrap().to_str().unwrap();
        golden(&format!("broken/{name}.report"), &scene.report(&found));
    }
}
