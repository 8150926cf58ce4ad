//! `reload = ["sighup", "watch"]`: however a file comes to be another one, that is taken once, and nobody is disturbed.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::time::Duration;

use rustix::process::Signal;

use crate::daemon::Daemon;
use crate::patience::until;
use crate::sandbox::Sandbox;
use crate::site::{Site, available, in_a_call};

/// Files are read when they have been quiet for half a second, twice.
const LONGER_THAN_QUIET: Duration = Duration::from_millis(2_500);

/// Three users, held, and files that are watched.
async fn watched(sandbox: &Sandbox, top: &str) -> (Site, Daemon) {
    let mut site = Site::new(sandbox, (0..3).map(available));
    site.config.top = top.to_owned();
    site.config.daemon = "reload = [\"sighup\", \"watch\"]".to_owned();
    site.write();
    let daemon = run(sandbox, &site, &[], 3).await;
    (site, daemon)
}

async fn run(sandbox: &Sandbox, site: &Site, args: &[&str], sets: usize) -> Daemon {
    let mut daemon = site.run_with(args);
    daemon.event("watching").await;
    daemon.all_said("set", sets).await;
    sandbox.until_sets(sets as u64).await;
    daemon
}

/// What the config says with one more user, who is in a call.
fn with_one_more(site: &mut Site, n: u32) -> String {
    site.config.users.push(in_a_call(n));
    text(site)
}

fn text(site: &Site) -> String {
    let before = fs::read(site.config_file()).unwrap();
    site.write();
    let text = fs::read_to_string(site.config_file()).unwrap();
    // In place, as it was; whether that is seen, too, makes no difference.
    fs::write(site.config_file(), before).unwrap();
    text
}

/// Returns when a reload took one more user, and sees to it that this was the only thing that happened.
async fn one_more(sandbox: &Sandbox, daemon: &mut Daemon, sets: u64) {
    let line = daemon.event("reloaded").await;
    assert_eq!((&line["added"], &line["changed"], &line["removed"]), (&1.into(), &0.into(), &0.into()));
    assert_eq!((&line["by"], line.get("by_pid")), (&"watch".into(), None));
    let report = sandbox.until_sets(sets).await;
    assert_eq!(report["requests"]["total"], sets, "nobody else was disturbed: {report:#}");
}

/// Sees to it that nothing more comes of what was done, and that another edit is taken after it.
async fn nothing_else(sandbox: &Sandbox, site: &mut Site, daemon: &mut Daemon, sets: u64) {
    tokio::time::sleep(LONGER_THAN_QUIET).await;
    let before = daemon.events("reloaded").len();
    assert_eq!(daemon.events("reload_unchanged").len(), 0, "{}", daemon.log());
    site.config.users.push(in_a_call(99));
    site.write();
    one_more(sandbox, daemon, sets + 1).await;
    assert_eq!(daemon.events("reloaded").len(), before + 1, "{}", daemon.log());
}

#[tokio::test]
async fn an_edit_in_place_is_taken_once() {
    let sandbox = Sandbox::start(&[]).await;
    let (mut site, mut daemon) = watched(&sandbox, "").await;
    let text = with_one_more(&mut site, 3);

    fs::write(site.config_file(), text).unwrap();

    one_more(&sandbox, &mut daemon, 4).await;
    nothing_else(&sandbox, &mut site, &mut daemon, 4).await;
    let history = site.json(&["history"]).await;
    assert!(history.to_string().contains("\"watch\""), "{history:#}");
}

#[tokio::test]
async fn an_editor_that_renames_is_followed_again_and_again() {
    let sandbox = Sandbox::start(&[]).await;
    let (mut site, mut daemon) = watched(&sandbox, "").await;
    for n in 0..3 {
        let text = with_one_more(&mut site, 3 + n);
        // vim: the old file aside, a new one in its place, the old one away. sed -i and most others: renamed over.
        let (file, other) = (site.config_file(), site.path("config.toml~"));
        if n == 1 {
            fs::rename(&file, &other).unwrap();
            fs::write(&file, text).unwrap();
            fs::remove_file(&other).unwrap();
        } else {
            fs::write(&other, text).unwrap();
            fs::rename(&other, &file).unwrap();
        }
        one_more(&sandbox, &mut daemon, 4 + u64::from(n)).await;
    }
    nothing_else(&sandbox, &mut site, &mut daemon, 6).await;
}

#[tokio::test]
async fn a_file_that_is_written_slowly_is_taken_when_it_is_written() {
    let sandbox = Sandbox::start(&[]).await;
    let (mut site, mut daemon) = watched(&sandbox, "").await;
    let text = with_one_more(&mut site, 3);
    // The first half is a good config of its own, with fewer users.
    let half = text.rfind("[[user]]").unwrap();
    let mut file = fs::File::create(site.config_file()).unwrap();
    file.write_all(&text.as_bytes()[..half]).unwrap();
    tokio::time::sleep(LONGER_THAN_QUIET).await;
    assert!(
        daemon.events("reload_refused").is_empty() && daemon.events("reloaded").is_empty(),
        "{}",
        daemon.log()
    );
    file.write_all(&text.as_bytes()[half..]).unwrap();
    drop(file);

    one_more(&sandbox, &mut daemon, 4).await;
    nothing_else(&sandbox, &mut site, &mut daemon, 4).await;
}

#[tokio::test]
async fn a_file_that_is_deleted_and_made_again_is_missed_once_at_the_most() {
    let sandbox = Sandbox::start(&[]).await;
    let (mut site, mut daemon) = watched(&sandbox, "").await;
    let text = with_one_more(&mut site, 3);

    fs::remove_file(site.config_file()).unwrap();
    let refused = daemon.event("reload_refused").await;
    assert!(refused["first"].as_str().unwrap().contains("there is no such file"), "{refused}");
    assert_eq!(refused["by"], "watch");
    fs::write(site.config_file(), &text).unwrap();
    one_more(&sandbox, &mut daemon, 4).await;

    // At once, it is not missed at all.
    fs::remove_file(site.config_file()).unwrap();
    fs::write(site.config_file(), text).unwrap();
    nothing_else(&sandbox, &mut site, &mut daemon, 4).await;
    assert_eq!(daemon.events("reload_refused").len(), 1);
}

#[tokio::test]
async fn a_config_map_that_is_swapped_is_taken_once() {
    let sandbox = Sandbox::start(&[]).await;
    let mut site = Site::new(&sandbox, (0..3).map(available));
    site.config.daemon = "reload = [\"sighup\", \"watch\"]".to_owned();
    // What is in the volume is named by its whole path, as the volume is no place for sockets and state.
    let (state, socket, secret) =
        (site.path("state"), site.path("control.sock"), site.path("contoso.secret"));
    let volume = site.path("volume");
    let place = |text: &str| {
        text.replace("\"state\"", &format!("{state:?}"))
            .replace("\"control.sock\"", &format!("{socket:?}"))
            .replace("\"contoso.secret\"", &format!("{secret:?}"))
    };
    let swap = |version: &str, text: &str| {
        fs::create_dir(volume.join(version)).unwrap();
        fs::write(volume.join(version).join("config.toml"), place(text)).unwrap();
        let next = volume.join("..data_tmp");
        symlink(version, &next).unwrap();
        let before = fs::read_link(volume.join("..data"));
        fs::rename(next, volume.join("..data")).unwrap();
        if let Ok(before) = before {
            fs::remove_dir_all(volume.join(before)).unwrap();
        }
    };
    fs::create_dir(&volume).unwrap();
    swap("..2026_11_25_22_00", &text(&site));
    symlink("..data/config.toml", volume.join("config.toml")).unwrap();
    let mut daemon = Daemon::start(&volume.join("config.toml"), &[]);
    daemon.event("watching").await;
    sandbox.until_sets(3).await;

    for n in 0..3 {
        let text = with_one_more(&mut site, 3 + n);
        swap(&format!("..2026_11_25_22_0{}", n + 1), &text);
        one_more(&sandbox, &mut daemon, 4 + u64::from(n)).await;
    }
    // The same again in another version changes nothing.
    swap("..2026_11_25_23_00", &text(&site));
    tokio::time::sleep(LONGER_THAN_QUIET).await;
    assert_eq!(daemon.events("reloaded").len(), 3);
    assert_eq!((daemon.events("reload_unchanged").len(), daemon.events("reload_refused").len()), (0, 0));
}

#[tokio::test]
async fn included_files_and_tables_that_come_change_and_go_are_taken() {
    let sandbox = Sandbox::start(&[]).await;
    let mut site = Site::new(&sandbox, (0..3).map(available));
    site.config.top = "include = [\"conf.d/*.toml\"]".to_owned();
    site.config.daemon = "reload = [\"sighup\", \"watch\"]".to_owned();
    site.write();
    let mut daemon = run(&sandbox, &site, &[], 3).await;
    let user = |n: u32| format!("[[user]]\nid = \"{}\"\navailability = \"Away\"\n", crate::site::id(n));

    // The directory is not even there yet.
    fs::create_dir(site.path("conf.d")).unwrap();
    fs::write(site.path("conf.d/10-more.toml"), user(10)).unwrap();
    one_more(&sandbox, &mut daemon, 4).await;
    // Tables, which nothing but the included file names.
    let from = "[[users_from]]\nfile = \"../users/*/*.csv\"\navailability = \"Away\"\n";
    fs::write(site.path("conf.d/20-tables.toml"), from).unwrap();
    daemon.event("reload_unchanged").await; // There are none yet.
    fs::create_dir_all(site.path("users/berlin")).unwrap();
    fs::write(site.path("users/berlin/a.csv"), format!("id\n{}\n", crate::site::id(11))).unwrap();
    one_more(&sandbox, &mut daemon, 5).await;
    let both = format!("id\n{}\n{}\n", crate::site::id(11), crate::site::id(12));
    fs::write(site.path("users/berlin/a.csv"), both).unwrap();
    one_more(&sandbox, &mut daemon, 6).await;
    // What the patterns do not match is nobody's business.
    fs::write(site.path("conf.d/notes.txt"), "x").unwrap();
    fs::remove_file(site.path("conf.d/10-more.toml")).unwrap();
    let line = daemon.event("reloaded").await;
    assert_eq!((&line["added"], &line["removed"]), (&0.into(), &1.into()));
    let report = sandbox.until("a clear", |report| report["clears"] == 1).await;
    assert_eq!((&report["sets"], daemon.events("reload_unchanged").len()), (&6.into(), 1), "{report:#}");
}

#[tokio::test]
async fn a_file_that_is_touched_or_means_the_same_disturbs_nobody() {
    let sandbox = Sandbox::start(&[]).await;
    let (mut site, mut daemon) = watched(&sandbox, "").await;
    for _ in 0..3 {
        let file = fs::File::options().append(true).open(site.config_file()).unwrap();
        file.set_modified(std::time::SystemTime::now()).unwrap();
        site.write();
        fs::write(site.path("unrelated.toml"), "x").unwrap();
    }
    nothing_else(&sandbox, &mut site, &mut daemon, 3).await;

    let commented = fs::read_to_string(site.config_file()).unwrap() + "# another comment\n";
    fs::write(site.config_file(), commented).unwrap();
    assert_eq!(daemon.event("reload_unchanged").await["by"], "watch");
    assert_eq!(sandbox.report().await["requests"]["total"], 4);
}

#[tokio::test]
async fn a_broken_file_is_told_once_and_the_mended_one_is_taken() {
    let sandbox = Sandbox::start(&[]).await;
    let (mut site, mut daemon) = watched(&sandbox, "").await;
    let good = with_one_more(&mut site, 3);

    fs::write(site.config_file(), good.replace("\"Available\"", "\"Availabel\"")).unwrap();
    let refused = daemon.event("reload_refused").await;
    assert!(refused["first"].as_str().unwrap().contains("Availabel"), "{refused}");
    // Neither a touch nor the minutes that go by bring it back.
    fs::File::options()
        .append(true)
        .open(site.config_file())
        .unwrap()
        .set_modified(std::time::UNIX_EPOCH)
        .unwrap();
    tokio::time::sleep(LONGER_THAN_QUIET).await;
    assert_eq!(daemon.events("reload_refused").len(), 1, "{}", daemon.log());
    assert_eq!(sandbox.report().await["requests"]["total"], 3);

    fs::write(site.config_file(), good).unwrap();
    one_more(&sandbox, &mut daemon, 4).await;
}

#[tokio::test]
async fn a_directory_that_is_replaced_is_followed() {
    let sandbox = Sandbox::start(&[]).await;
    let mut site = Site::new(&sandbox, (0..3).map(available));
    site.config.top = "include = [\"current/conf.d/*.toml\"]".to_owned();
    site.config.daemon = "reload = [\"sighup\", \"watch\"]".to_owned();
    site.write();
    let release = |name: &str, users: std::ops::Range<u32>| {
        fs::create_dir_all(site.path(name).join("conf.d")).unwrap();
        let user = |n| format!("[[user]]\nid = \"{}\"\navailability = \"Away\"\n", crate::site::id(n));
        let text: String = users.map(user).collect();
        fs::write(site.path(name).join("conf.d/users.toml"), text).unwrap();
    };
    release("release-1", 10..11);
    symlink("release-1", site.path("current")).unwrap();
    let mut daemon = run(&sandbox, &site, &[], 4).await;

    // A symlink to a directory that becomes another one.
    release("release-2", 10..12);
    symlink("release-2", site.path("next")).unwrap();
    fs::rename(site.path("next"), site.path("current")).unwrap();
    one_more(&sandbox, &mut daemon, 5).await;
    // The directory itself.
    release("release-3", 10..13);
    fs::rename(site.path("release-2/conf.d"), site.path("release-2/old")).unwrap();
    fs::rename(site.path("release-3/conf.d"), site.path("release-2/conf.d")).unwrap();
    one_more(&sandbox, &mut daemon, 6).await;
    // And what is then changed in the new one.
    release("release-2", 10..14);
    one_more(&sandbox, &mut daemon, 7).await;
}

#[tokio::test]
async fn a_burst_of_changes_is_one_reload() {
    let sandbox = Sandbox::start(&[]).await;
    let (mut site, mut daemon) = watched(&sandbox, "").await;
    for n in 0..300 {
        site.config.users = (0..3).map(available).chain([in_a_call(100 + n)]).collect();
        site.write();
    }
    one_more(&sandbox, &mut daemon, 4).await;
    assert_eq!(sandbox.calls(399).await, ["set_presence"]);
    nothing_else(&sandbox, &mut site, &mut daemon, 4).await;
}

#[tokio::test]
async fn a_change_that_the_kernel_does_not_tell_of_is_found_by_looking() {
    let sandbox = Sandbox::start(&["--speed", "60"]).await;
    let mut site = Site::new(&sandbox, (0..3).map(|n| crate::site::user(n, "availability = \"Away\"")));
    site.config.daemon = "reload = [\"sighup\", \"watch\"]".to_owned();
    site.write();
    let mut daemon = site.run_with(&["--speed", "60"]);
    daemon.event("watching").await;
    daemon.all_said("set", 3).await;
    let text = with_one_more(&mut site, 3);
    site.config.users.pop();
    // Written by another name, in a directory that nobody watches: inotify(7) tells of it there only.
    let elsewhere = tempfile::tempdir_in(site.path("state")).unwrap();
    let link = elsewhere.path().join("link");
    fs::hard_link(site.config_file(), &link).unwrap();
    tokio::time::sleep(LONGER_THAN_QUIET).await;
    assert!(daemon.events("reloaded").is_empty() && daemon.events("reload_unchanged").is_empty());
    fs::write(&link, text).unwrap();

    assert_eq!(daemon.event("reloaded").await["added"], 1);
}

#[tokio::test]
async fn a_signal_beside_it_is_one_reload() {
    let sandbox = Sandbox::start(&[]).await;
    let (mut site, mut daemon) = watched(&sandbox, "").await;
    site.config.users.push(in_a_call(3));
    site.write();
    daemon.signal(Signal::HUP);
    assert_eq!(daemon.event("reloaded").await["by_pid"], std::process::id());
    nothing_else(&sandbox, &mut site, &mut daemon, 4).await;
    assert_eq!(daemon.events("reloaded").len(), 2);
}

#[tokio::test]
async fn watching_is_switched_on_and_off_by_a_reload() {
    let sandbox = Sandbox::start(&[]).await;
    let mut site = Site::new(&sandbox, (0..3).map(available));
    let mut daemon = site.run();
    daemon.all_said("set", 3).await;
    site.config.daemon = "reload = [\"sighup\", \"watch\"]".to_owned();
    site.write();
    daemon.signal(Signal::HUP);
    daemon.event("reloaded").await;
    daemon.event("watching").await;

    site.config.users.push(in_a_call(3));
    site.write();
    one_more(&sandbox, &mut daemon, 4).await;

    site.config.daemon = "reload = [\"sighup\"]".to_owned();
    site.write();
    assert_eq!(daemon.event("reloaded").await["by"], "watch", "the last one");
    site.config.users.push(in_a_call(4));
    site.write();
    tokio::time::sleep(LONGER_THAN_QUIET).await;
    assert_eq!(daemon.events("reloaded").len(), 3, "{}", daemon.log());
    daemon.signal(Signal::HUP);
    assert_eq!(daemon.event("reloaded").await["added"], 1);
}

#[tokio::test]
async fn a_start_on_the_last_good_config_ends_when_the_file_is_mended() {
    let sandbox = Sandbox::start(&[]).await;
    let (site, mut daemon) = watched(&sandbox, "").await;
    let good = fs::read_to_string(site.config_file()).unwrap();
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.exit_code().await, Some(0));
    fs::write(site.config_file(), good.replace("\"Available\"", "\"Availabel\"")).unwrap();
    let mut daemon = site.run();
    daemon.event("running_on_last_good").await;
    daemon.event("watching").await;

    fs::write(site.config_file(), good).unwrap();
    daemon.event("reload_unchanged").await;
    let status = async || {
        let status = site.json(&["status"]).await;
        (!status.to_string().contains("LAST GOOD")).then_some(())
    };
    until("the note is gone", status).await;
    assert_eq!(sandbox.report().await["sets"], 3);
}
