//! `presenced check`: says everything that is wrong with a config, without touching the network.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use jiff::Timestamp;
use serde_json::json;

use crate::config::{self, Loaded, Look, Problems};
use crate::daemon::clock::Clock;
use crate::keeper::LanePlan;

/// The exit code for a config that is not admitted.
const BAD_CONFIG: u8 = 78;

/// Checks the config and prints all problems, then a summary and the hash of the effective config.
#[derive(clap::Args, Clone, Debug)]
pub struct CheckArgs {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// Do not look at credentials, variables and the CA file, for machines that have none of them
    #[arg(long)]
    pub no_environment: bool,
    /// Fail on warnings, too
    #[arg(long)]
    pub deny_warnings: bool,
}

/// Checks the config at `config_path` and prints the result to standard output.
///
/// Returns exit code 0 for a good config, 78 for a bad one, and for warnings if they are denied.
///
/// # Errors
///
/// Standard output cannot be written to.
pub fn run(config_path: &Path, args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let verdict = Verdict::of(config_path, args);
    let mut out = std::io::stdout().lock();
    let color = out.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let text = if args.json { format!("{:#}\n", verdict.to_json()) } else { verdict.render(color) };
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // Whoever reads along has seen enough; the exit code still tells.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
        written => written?,
    }
    Ok(if verdict.ok { ExitCode::SUCCESS } else { BAD_CONFIG.into() })
}

/// What a check comes to.
struct Verdict {
    loaded: Result<Loaded, Problems>,
    ok: bool,
}

impl Verdict {
    fn of(path: &Path, args: &CheckArgs) -> Self {
        let look = if args.no_environment {
            Look::TextsAlone
        } else {
            Look::Everything { at: Timestamp::try_from(Clock::real().wall()).ok() }
        };
        let loaded = config::load(path, look);
        let ok = loaded.as_ref().is_ok_and(|loaded| !args.deny_warnings || loaded.warnings.warnings() == 0);
        Self { loaded, ok }
    }

    fn problems(&self) -> &Problems {
        match &self.loaded {
            Ok(loaded) => &loaded.warnings,
            Err(problems) => problems,
        }
    }

    fn render(&self, color: bool) -> String {
        let problems = self.problems();
        let mut out = problems.render(color);
        let files = count(problems.sources().count(), "file");
        let summary = match (&self.loaded, self.ok) {
            (Err(_), _) => format!("error: {} in {files}\n", problems.summary()),
            (Ok(_), false) => format!("error: {} in {files}, and warnings are denied\n", problems.summary()),
            (Ok(loaded), true) => {
                // Of a user set to `none` we hold no session.
                let wanted = loaded.plan.lanes().iter().map(wanted).sum();
                let sessions = count(wanted, "session");
                let apps = count(loaded.settings.apps.len(), "app");
                let also =
                    if problems.is_empty() { String::new() } else { format!("; {}", problems.summary()) };
                format!("ok: {sessions} in {apps} from {files}; config {}{also}\n", loaded.settings.hash)
            }
        };
        out.push_str(&summary);
        out
    }

    /// `ok`, `errors`, `warnings`, `notes`, `problems` and, for a config that is admitted, `config` with `hash`,
    /// `files`, and the sessions of each app.
    fn to_json(&self) -> serde_json::Value {
        let problems = self.problems();
        let mut out = json!({
            "ok": self.ok,
            "errors": problems.errors(),
            "warnings": problems.warnings(),
            "notes": problems.notes(),
            "problems": problems.to_json(),
        });
        if let Ok(loaded) = &self.loaded {
            let files = loaded.sources.iter().map(|(path, _)| path.display().to_string());
            let apps = loaded.plan.lanes().iter().map(|lane| {
                let funded = lane.sessions.iter().filter(|session| session.funded).count();
                json!({ "name": &*lane.head.name, "sessions": wanted(lane), "funded": funded })
            });
            out["config"] = json!({
                "hash": loaded.settings.hash.to_string(),
                "files": files.collect::<Vec<_>>(),
                "apps": apps.collect::<Vec<_>>(),
            });
        }
        out
    }
}

fn wanted(lane: &LanePlan) -> usize {
    lane.sessions.iter().filter(|session| session.wish.is_some()).count()
}

fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
[defaults]
availability = "Available"
[[app]]
name = "contoso"
tenant = "9c7f0000-5e1d-4b6a-8f3e-2d1c0b9a8877"
client_id = "22553876-f5ab-4529-bffb-cfe50aa89f87"
credential = { secret_file = "contoso.secret" }
[[user]]
id = "fa8bf3dc-eca7-46b7-bad1-db199b62afc3"
"#;

    fn check(text: &str, deny_warnings: bool) -> Verdict {
        let file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Verdict::of(file.path(), &CheckArgs { json: false, no_environment: true, deny_warnings })
    }

    fn last_line(verdict: &Verdict) -> String {
        verdict.render(false).lines().last().unwrap().to_owned()
    }

    #[test]
    fn a_good_config_is_summed_up_in_one_line() {
        let verdict = check(GOOD, true);
        assert!(verdict.ok);
        let hash = verdict.loaded.as_ref().unwrap().settings.hash;
        assert_eq!(verdict.render(false), format!("ok: 1 session in 1 app from 1 file; config {hash}\n"));
        let json = verdict.to_json();
        assert_eq!(json["config"]["hash"], hash.to_string());
        assert_eq!(json["config"]["apps"], json!([{ "name": "contoso", "sessions": 1, "funded": 1 }]));
        assert_eq!((&json["ok"], &json["problems"]), (&json!(true), &json!([])));
    }

    #[test]
    fn warnings_fail_where_they_are_denied() {
        let text = format!("include = [\"nothing.d/*.toml\"]\n{GOOD}");
        assert!(check(&text, false).ok);
        assert!(last_line(&check(&text, false)).ends_with("; 1 warning"));
        let denied = check(&text, true);
        assert!(!denied.ok);
        assert_eq!(last_line(&denied), "error: 1 warning in 1 file, and warnings are denied");
        assert_eq!(denied.to_json()["config"]["files"].as_array().map(Vec::len), Some(1));
    }

    #[test]
    fn a_bad_config_has_problems_and_no_hash() {
        let verdict = check(&GOOD.replace("Available", "Busy"), false);
        assert!(!verdict.ok);
        assert_eq!(last_line(&verdict), "error: 1 error in 1 file");
        let json = verdict.to_json();
        assert_eq!((&json["ok"], &json["config"], &json["errors"]), (&json!(false), &json!(null), &json!(1)));
        let problem = &json["problems"][0];
        assert_eq!(
            (&problem["code"], &problem["line"], &problem["column"]),
            (&json!("E011"), &json!(3), &json!(16))
        );
    }
}
