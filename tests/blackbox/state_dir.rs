//! A state directory that cannot be written to is said, and stops nobody from being held.

use std::path::{Path, PathBuf};

use rustix::process::Signal;
use tokio::process::Command;

use crate::daemon::{Daemon, presenced};
use crate::sandbox::Sandbox;
use crate::site::{SECRET, Site, available, user};

/// A file system in memory; unmounted when this is dropped.
pub struct SmallDisk {
    path: PathBuf,
    bytes: usize,
}

impl SmallDisk {
    /// Mounts one of this size, if this process may.
    pub async fn mount(path: &Path, bytes: usize) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        std::fs::create_dir_all(path).unwrap();
        let options = format!("size={bytes},mode=0700");
        let mounted = mount(&["-t", "tmpfs", "-o", &options, "tmpfs"], path).await;
        mounted.then(|| Self { path: path.to_owned(), bytes })
    }

    /// Fills it to the last block.
    pub fn fill(&self) {
        let full = std::fs::write(self.path.join("filling"), vec![1; self.bytes]).unwrap_err();
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

async fn mount(args: &[&str], path: &Path) -> bool {
    let mut command = Command::new("mount");
    command.args(args).arg(path).kill_on_drop(true);
    command.stderr(std::process::Stdio::null()).status().await.is_ok_and(|status| status.success())
}

#[tokio::test]
async fn a_full_disk_is_said_and_everyone_is_held_all_the_same() {
    let speed = ["--speed", "4"];
    let sandbox = Sandbox::start(&speed).await;
    let mut site = Site::new(&sandbox, (0..4).map(available));
    let Some(disk) = SmallDisk::mount(&site.state_dir(), 128 << 10).await else {
        println!("not tried: this process may not mount a file system");
        return;
    };
    let mut daemon = site.run_with(&speed);
    daemon.event("started").await;
    sandbox.until_sets(4).await;
    disk.fill();

    // More users than there is room for in the ledger's last block, and an app whose file has no room at all.
    let at = |app: &str, n| user(n, &format!("availability = \"Available\"\napp = \"{app}\""));
    site.config.apps.push("fabrikam");
    site.secret("fabrikam", SECRET);
    site.config.users =
        (0..204).map(|n| at("contoso", n)).chain((204..208).map(|n| at("fabrikam", n))).collect();
    site.write();
    daemon.signal(Signal::HUP);
    daemon.event("reloaded").await;
    sandbox.until_sets(208).await;
    let failed = daemon.event("ledger_failed").await;
    assert_eq!(failed["level"], "error");
    assert!(failed["path"].as_str().unwrap().contains("state"), "{failed}");
    let archive = daemon.event("archive_failed").await;
    assert!(archive["error"].as_str().unwrap().contains("last.json"), "{archive}");
    daemon.signal(Signal::USR1);
    // The last answers may have been under way.
    sandbox.until("renewals", |report| report["sets"].as_u64() >= Some(208 + 200)).await;
    let said = |daemon: &Daemon, event: &str| daemon.events(event).len();
    assert_eq!(
        (said(&daemon, "ledger_failed"), said(&daemon, "ledger_works_again")),
        (1, 0),
        "{}",
        daemon.log()
    );

    // With room again, it is said once that it works again, when nothing is missing any more.
    std::fs::remove_file(disk.path.join("filling")).unwrap();
    daemon.signal(Signal::USR1);
    daemon.event("ledger_works_again").await;
    assert_eq!(
        (said(&daemon, "ledger_failed"), said(&daemon, "ledger_works_again")),
        (1, 1),
        "{}",
        daemon.log()
    );
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.exit_code().await, Some(0));
    let mut again = site.run_with(&speed);
    assert_eq!(again.event("started").await["restored"], 208);
}

#[tokio::test]
async fn a_state_directory_that_cannot_be_had_is_named_and_ends_the_start() {
    let sandbox = Sandbox::start(&[]).await;
    let site = Site::new(&sandbox, [available(1)]);
    std::fs::write(site.state_dir(), "a file in its place").unwrap();
    let mut daemon = site.run();
    assert_eq!(daemon.exit_code().await, Some(1));
    let failed = daemon.event("start_failed").await;
    assert!(failed["error"].as_str().unwrap().contains("state_dir"), "{failed}");

    // Where it is not writable: as read-only as /proc is, for root as well.
    let mut command = presenced();
    command.args(["run", "--log-format", "json", "--state-dir", "/proc/presenced", "--config"]);
    command.arg(site.config_file());
    let mut daemon = Daemon::spawn(command);
    assert_eq!(daemon.exit_code().await, Some(1));
    let failed = daemon.event("start_failed").await;
    assert!(failed["error"].as_str().unwrap().contains("/proc/presenced"), "{failed}");
}
