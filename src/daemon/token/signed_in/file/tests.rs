use super::*;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

fn sign_in(token: &str) -> SignIn {
    SignIn {
        id: Uuid::from_u128(7),
        tenant: "9c7f0000-0000-4000-8000-000000000001".parse().unwrap(),
        client: "22553876-f5ab-4529-bffb-cfe50aa89f87".parse().unwrap(),
        user: "fa8bf3dc-eca7-46b7-bad1-db199b62afc3".parse().unwrap(),
        refresh_token: token.into(),
    }
}

fn place(state: &tempfile::TempDir) -> PathBuf {
    state.path().join("login/contoso.json")
}

fn token(path: &Path) -> String {
    SignIn::read(path).unwrap().refresh_token.expose_secret().to_owned()
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_sign_in_is_kept_for_the_owner_of_the_state_directory_alone() {
    let state = tempfile::tempdir().unwrap();
    let path = place(&state);
    if geteuid().is_root() {
        std::os::unix::fs::chown(state.path(), Some(4_711), Some(4_712)).unwrap();
    }
    store(&path, &sign_in("r-canary")).unwrap();
    let read = SignIn::read(&path).unwrap();
    assert_eq!(read.user, sign_in("").user);
    assert!(!format!("{read:?}").contains("canary"));
    let owner = std::fs::metadata(state.path()).unwrap();
    for (path, mode) in [(parent(&path), 0o700), (&path, 0o600)] {
        let metadata = std::fs::metadata(path).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, mode, "{}", path.display());
        assert_eq!((metadata.uid(), metadata.gid()), (owner.uid(), owner.gid()), "{}", path.display());
    }
    store(&path, &sign_in("another")).unwrap();
    assert_eq!(token(&path), "another");
    assert_eq!(names(parent(&path)), ["contoso.json"]);
}

#[test]
fn a_token_that_somebody_replaced_meanwhile_is_left_alone() {
    let state = tempfile::tempdir().unwrap();
    let path = place(&state);
    store(&path, &sign_in("first")).unwrap();
    super::super::rotate(&path, "first", "second".into()).unwrap();
    assert_eq!(token(&path), "second");
    super::super::rotate(&path, "first", "late".into()).unwrap();
    assert_eq!(token(&path), "second");
    std::fs::remove_file(&path).unwrap();
    super::super::rotate(&path, "second", "third".into()).unwrap();
    assert!(!path.exists(), "who has been signed out stays so");
}

#[test]
fn what_a_killed_process_left_is_swept_away_and_no_half_file_is_read() {
    let state = tempfile::tempdir().unwrap();
    let path = place(&state);
    store(&path, &sign_in("first")).unwrap();
    let beside = parent(&path).join(".contoso.json");
    std::fs::write(&beside, "half of a canary").unwrap();
    super::super::rotate(&path, "first", "second".into()).unwrap();
    assert_eq!((token(&path).as_str(), beside.exists()), ("second", false));
    let whole = std::fs::read_to_string(&path).unwrap();
    for damaged in
        ["", "{}", "null", &whole[..whole.len() - 2], &whole.replace("\"format\":1", "\"format\":2")]
    {
        std::fs::write(&path, damaged).unwrap();
        let error = SignIn::read(&path).unwrap_err().to_string();
        assert_eq!(error, "it is damaged, or of another version", "{damaged}");
        assert!(super::super::rotate(&path, "second", "third".into()).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), damaged, "it is left as it is");
    }
}

#[test]
fn links_are_not_followed() {
    let (state, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = place(&state);
    std::os::unix::fs::symlink(elsewhere.path(), parent(&path)).unwrap();
    assert!(store(&path, &sign_in("x")).is_err());
    assert!(names(elsewhere.path()).is_empty());
    std::fs::remove_file(parent(&path)).unwrap();
    store(&path, &sign_in("x")).unwrap();
    let target = elsewhere.path().join("target");
    std::fs::rename(&path, &target).unwrap();
    std::os::unix::fs::symlink(&target, &path).unwrap();
    assert!(SignIn::read(&path).is_err());
    store(&path, &sign_in("y")).unwrap();
    assert_eq!((token(&path), token(&target)), ("y".to_owned(), "x".to_owned()));
}

#[test]
fn two_who_write_at_once_wait_for_each_other() {
    let state = tempfile::tempdir().unwrap();
    let path = place(&state);
    store(&path, &sign_in("t0")).unwrap();
    std::thread::scope(|scope| {
        for n in 0..8 {
            let path = &path;
            scope.spawn(move || {
                for round in 0..20 {
                    store(path, &sign_in(&format!("t{n}-{round}"))).unwrap();
                    assert!(token(path).starts_with('t'));
                }
            });
        }
    });
    assert_eq!(names(parent(&path)), ["contoso.json"]);
}

#[test]
fn without_a_state_directory_nothing_is_made() {
    let state = tempfile::tempdir().unwrap();
    let path = state.path().join("nowhere/login/contoso.json");
    assert_eq!(store(&path, &sign_in("x")).unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[test]
fn root_mends_a_directory_that_it_left_behind_as_its_own() {
    if !geteuid().is_root() {
        return;
    }
    let state = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(state.path(), Some(4_711), Some(4_712)).unwrap();
    let path = place(&state);
    // As one who was killed between the two does.
    std::fs::create_dir(parent(&path)).unwrap();
    let owner = |path: &Path| std::fs::metadata(path).map(|is| (is.uid(), is.gid())).unwrap();
    assert_eq!(owner(parent(&path)), (0, 0));
    store(&path, &sign_in("x")).unwrap();
    assert_eq!([owner(parent(&path)), owner(&path)], [(4_711, 4_712); 2]);
    let _lock = try_lock(&path).unwrap().unwrap();
    assert_eq!(owner(&parent(&path).join(".contoso.lock")), (4_711, 4_712));
}

#[test]
fn a_place_is_tried_without_touching_what_is_kept_there() {
    let state = tempfile::tempdir().unwrap();
    let path = place(&state);
    prepare_place(&path).unwrap();
    assert!(names(parent(&path)).is_empty(), "nothing is left");
    store(&path, &sign_in("first")).unwrap();
    prepare_place(&path).unwrap();
    assert_eq!((token(&path).as_str(), names(parent(&path))), ("first", vec!["contoso.json".to_owned()]));
    std::fs::create_dir(parent(&path).join(".contoso.json")).unwrap();
    assert!(prepare_place(&path).is_err(), "it cannot be written");
    let nowhere = state.path().join("nowhere/login/contoso.json");
    assert_eq!(prepare_place(&nowhere).unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[test]
fn a_refresh_token_is_for_one_at_a_time_and_each_app_has_its_own_lock() {
    let state = tempfile::tempdir().unwrap();
    let path = place(&state);
    assert!(try_lock(&path).is_err(), "there is no directory");
    store(&path, &sign_in("x")).unwrap();
    let first = try_lock(&path).unwrap().expect("it is free");
    assert!(try_lock(&path).unwrap().is_none());
    let other = path.with_file_name("fabrikam.json");
    assert!(try_lock(&other).unwrap().is_some());
    drop(first);
    assert!(try_lock(&path).unwrap().is_some());
}
