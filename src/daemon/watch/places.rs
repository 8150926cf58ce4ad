//! Where a change of a config's files shows: the directories on the way to each of them, symlinks and all.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

use crate::config::Footprint;

/// At most so many directories are listened at; what happens elsewhere is seen a minute later.
const DIRECTORIES_MAX: usize = 2_000;
/// As many symlinks on one way as Linux follows (path_resolution(7)).
const LINKS_MAX: usize = 40;

/// Directories, and what in each of them is worth a look.
pub(super) type Places = BTreeMap<PathBuf, Names>;

/// What in a directory is worth a look.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Names {
    all: bool,
    some: BTreeSet<OsString>,
}

impl Names {
    /// Whether a change of this name is worth a look.
    pub(super) fn have(&self, name: &OsStr) -> bool {
        self.all || self.some.contains(name)
    }
}

/// Where to listen for changes of what `footprint` was left by. It blocks.
pub(super) fn of(footprint: &Footprint) -> Places {
    let mut places = Places::new();
    for file in footprint.stamps().files() {
        if places.len() < DIRECTORIES_MAX {
            follow(file, &mut places);
        }
    }
    for pattern in footprint.patterns() {
        // The directories that a file could newly be in, whether or not one is.
        for above in Path::new(pattern).ancestors().skip(1) {
            let text = above.to_string_lossy();
            let is_pattern = text.contains(['*', '?', '[']);
            let found: Vec<PathBuf> = if is_pattern {
                glob::glob(&text).into_iter().flatten().flatten().filter(|path| path.is_dir()).collect()
            } else {
                vec![above.to_owned()]
            };
            for directory in found {
                if places.len() < DIRECTORIES_MAX {
                    let end = follow(&directory, &mut places);
                    places.entry(end).or_default().all = true;
                }
            }
            if !is_pattern {
                break;
            }
        }
    }
    places
}

/// Notes each name on the way to `path` in its directory, through symlinks, and returns where it ends.
fn follow(path: &Path, places: &mut Places) -> PathBuf {
    let mut at = PathBuf::from("/");
    let mut ahead: Vec<OsString> = steps(path);
    let mut links = 0;
    while let Some(step) = ahead.pop() {
        if step == ".." {
            at.pop();
            continue;
        }
        let next = at.join(&step);
        places.entry(at.clone()).or_default().some.insert(step);
        match next.read_link() {
            Ok(target) if links < LINKS_MAX => {
                links += 1;
                if target.is_absolute() {
                    at = PathBuf::from("/");
                }
                ahead.extend(steps(&target));
            }
            _ => at = next,
        }
    }
    at
}

/// The names in a path, the last one first.
fn steps(path: &Path) -> Vec<OsString> {
    let step = |component: Component<'_>| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().rev().filter_map(step).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn each_name_on_the_way_to_a_file_is_heeded_where_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        // As Kubernetes lays out a ConfigMap.
        std::fs::create_dir(root.join("..1")).unwrap();
        std::fs::write(root.join("..1/config.toml"), "").unwrap();
        symlink("..1", root.join("..data")).unwrap();
        symlink("..data/config.toml", root.join("config.toml")).unwrap();

        let mut places = Places::new();
        assert_eq!(follow(&root.join("config.toml"), &mut places), root.join("..1/config.toml"));
        let names =
            |path: &Path| places[path].some.iter().map(|name| name.to_str().unwrap()).collect::<Vec<_>>();
        assert_eq!(names(&root), ["..1", "..data", "config.toml"]);
        assert_eq!(names(&root.join("..1")), ["config.toml"]);
        assert!(
            places[root.parent().unwrap()].have(root.file_name().unwrap()),
            "it may be replaced as a whole"
        );
        assert!(places.values().all(|names| !names.all));
    }

    #[test]
    fn links_in_a_circle_end() {
        let dir = tempfile::tempdir().unwrap();
        symlink("b", dir.path().join("a")).unwrap();
        symlink("a", dir.path().join("b")).unwrap();
        follow(&dir.path().join("a/config.toml"), &mut Places::new());
    }
}
