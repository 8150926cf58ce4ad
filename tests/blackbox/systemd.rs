//! What systemd is told.

use rustix::process::Signal;
use rustix::time::{ClockId, clock_gettime};
use tokio::process::Command;

use crate::daemon::{BINARY, Daemon, presenced};
use crate::sandbox::Sandbox;
use crate::service_manager::ServiceManager;
use crate::site::{Site, available};

fn supervised(site: &Site, manager: &ServiceManager) -> Daemon {
    let mut command = presenced();
    command.args(["run", "--log-format", "json", "--config"]).arg(site.config_file());
    Daemon::spawn(with(command, manager))
}

fn with(mut command: Command, manager: &ServiceManager) -> Command {
    command.env("NOTIFY_SOCKET", manager.path());
    command
}

fn field<'a>(message: &'a str, key: &str) -> &'a str {
    message.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_else(|| panic!("{key} in {message:?}"))
}

fn monotonic_usec() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    u64::try_from(now.tv_sec * 1_000_000 + now.tv_nsec / 1_000).unwrap()
}

#[tokio::test]
async fn it_is_ready_reloads_and_stops_in_systemds_words() {
    let sandbox = Sandbox::start(&[]).await;
    let mut site = Site::new(&sandbox, (0..3).map(available));
    let mut manager = ServiceManager::new();
    let daemon = supervised(&site, &manager);
    manager.message_with("READY=1").await;
    sandbox.until_sets(3).await;
    loop {
        let status = manager.message_with("STATUS=").await;
        if field(&status, "STATUS=").starts_with("3 of 3 sessions held; config ") {
            break;
        }
    }

    site.config.users.push(available(3));
    site.write();
    let before = monotonic_usec();
    daemon.signal(Signal::HUP);
    let reloading = manager.message_with("RELOADING=1").await;
    // systemd waits for a time that is not before that of its signal.
    let told: u64 = field(&reloading, "MONOTONIC_USEC=").parse().unwrap();
    assert!((before..=monotonic_usec()).contains(&told), "{before} {reloading:?}");
    manager.message_with("READY=1").await;

    // A reload that is refused ends, too, and the status says that the file does not count.
    site.write_text("[daemon");
    daemon.signal(Signal::HUP);
    manager.message_with("RELOADING=1").await;
    manager.message_with("READY=1").await;
    let status = manager.message_with("STATUS=").await;
    assert!(status.contains("the file is refused"), "{status:?}");

    daemon.signal(Signal::TERM);
    manager.message_with("STOPPING=1").await;
}

#[tokio::test]
async fn it_is_ready_though_graph_is_down_and_says_so() {
    // A port where nobody listens any more.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let nobody = format!("http://127.0.0.1:{port}");
    let site = Site::at(&nobody, &nobody, (0..3).map(available));
    let mut manager = ServiceManager::new();
    let mut daemon = supervised(&site, &manager);

    manager.message_with("READY=1").await;
    assert_eq!(daemon.event("started").await["sessions"], 3);
    let failed = daemon.event("token_failed").await;
    assert!(failed["meaning"].as_str().unwrap().contains("refused the connection"), "{failed}");
    loop {
        let status = manager.message_with("STATUS=").await;
        if field(&status, "STATUS=").starts_with("0 of 3 sessions held")
            && status.contains("contoso: no token")
        {
            break;
        }
    }
}

#[tokio::test]
async fn it_is_never_ready_with_a_config_that_it_refuses() {
    let sandbox = Sandbox::start(&[]).await;
    let site = Site::new(&sandbox, [available(1)]);
    site.write_text("[daemon");
    let mut manager = ServiceManager::new();
    let mut daemon = supervised(&site, &manager);

    assert_eq!(daemon.exit_code().await, Some(78));
    assert_eq!(manager.heard(), Vec::<String>::new());
}

/// Starts it as systemd does: the watchdog is meant for that process alone.
fn watched(site: &Site, manager: &ServiceManager, pid: &str) -> Daemon {
    let mut command = Command::new("/bin/sh");
    command.env_clear().kill_on_drop(true).env("WATCHDOG_USEC", "300000");
    let script = format!("export WATCHDOG_PID={pid}; exec \"$0\" run --log-format json --config \"$1\"");
    command.args(["-c", &script, BINARY]).arg(site.config_file());
    Daemon::spawn(with(command, manager))
}

#[tokio::test]
async fn the_watchdog_hears_of_it_also_while_the_service_hangs() {
    let sandbox = Sandbox::start(&[]).await;
    sandbox.faults(serde_json::json!({"hang": true})).await;
    let site = Site::new(&sandbox, (0..3).map(available));
    let mut manager = ServiceManager::new();
    let _daemon = watched(&site, &manager, "$$");
    manager.message_with("READY=1").await;
    for _ in 0..5 {
        manager.message_with("WATCHDOG=1").await;
    }
}

#[tokio::test]
async fn anothers_watchdog_does_not_hear_of_it() {
    let sandbox = Sandbox::start(&[]).await;
    let site = Site::new(&sandbox, (0..3).map(available));
    let mut manager = ServiceManager::new();
    let mut daemon = watched(&site, &manager, "1");
    sandbox.until_sets(3).await;
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.exit_code().await, Some(0));
    let heard = manager.heard();
    assert!(heard.iter().any(|message| message.contains("READY=1")), "{heard:?}");
    assert!(!heard.iter().any(|message| message.contains("WATCHDOG=1")), "{heard:?}");
}
