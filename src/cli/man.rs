//! `presenced man`: manual pages, made of what the command line says of itself.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::{Cli, DEFAULT_CONFIG, NAME, exit, print};

/// Prints presenced(1), or writes it and a page for each command.
#[derive(clap::Args, Clone, Debug)]
pub struct ManArgs {
    /// Write presenced.1, presenced-run.1 and so on into this directory, which is made if need be
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// Prints the page, or writes all of them.
///
/// # Errors
/// Standard output or the directory cannot be written to.
pub fn run(args: &ManArgs) -> anyhow::Result<ExitCode> {
    match &args.dir {
        Some(dir) => write_all(dir)?,
        None => print(&whole(&built())?)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn write_all(dir: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let cli = built();
    let mut pages = vec![(NAME.to_owned(), whole(&cli)?)];
    for command in commands(&cli) {
        let mut page = Vec::new();
        manual(command.clone()).render(&mut page)?;
        pages.push((format!("{NAME}-{}", command.get_name()), page));
    }
    for (name, page) in pages {
        let path = dir.join(format!("{name}.1"));
        std::fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// The command line, with what its commands inherit.
fn built() -> Command {
    let mut cli = Cli::command().disable_help_subcommand(true).subcommand_value_name("COMMAND");
    cli.build();
    cli
}

fn commands(cli: &Command) -> impl Iterator<Item = &Command> {
    cli.get_subcommands().filter(|command| !command.is_hide_set())
}

fn manual(command: Command) -> Man {
    // An empty date would be left out, and what follows it taken for it.
    Man::new(command).date(" ").source(format!("{NAME} {}", env!("CARGO_PKG_VERSION"))).manual(NAME)
}

/// presenced(1).
fn whole(cli: &Command) -> std::io::Result<Vec<u8>> {
    let mut page = Vec::new();
    let man = manual(cli.clone());
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    Roff::new().control("SH", ["DESCRIPTION"]).text([roman(DESCRIPTION)]).to_writer(&mut page)?;
    man.render_options_section(&mut page)?;
    Roff::new().control("SH", ["COMMANDS"]).to_writer(&mut page)?;
    for command in commands(cli) {
        section(command, &mut page)?;
    }
    listed("EXIT STATUS", &EXITS.map(|(code, what)| (code.to_string(), what))).to_writer(&mut page)?;
    listed("SIGNALS", &SIGNALS.map(owned)).to_writer(&mut page)?;
    listed("ENVIRONMENT", &ENVIRONMENT.map(owned)).to_writer(&mut page)?;
    listed("FILES", &FILES.map(owned)).to_writer(&mut page)?;
    Ok(page)
}

/// One command in presenced(1).
fn section(command: &Command, page: &mut Vec<u8>) -> std::io::Result<()> {
    // What all commands have is told above them.
    let command = command.clone().mut_args(|arg| {
        let common = ["config", "help"].contains(&arg.get_id().as_str());
        if common { arg.hide(true) } else { arg }
    });
    Roff::new().control("SS", [format!("{NAME} {}", command.get_name()).as_str()]).to_writer(page)?;
    let has_options = command.get_arguments().any(|arg| !arg.is_hide_set());
    let man = manual(command);
    page.extend(without_heading(|part| man.render_synopsis_section(part))?.into_bytes());
    Roff::new().control("PP", []).to_writer(page)?;
    page.extend(without_heading(|part| man.render_description_section(part))?.into_bytes());
    if has_options {
        page.extend(without_heading(|part| man.render_options_section(part))?.into_bytes());
    }
    Ok(())
}

/// A section of the library's without what stands before and in its heading.
fn without_heading(render: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) -> std::io::Result<String> {
    let mut part = Vec::new();
    render(&mut part)?;
    let part = String::from_utf8_lossy(&part);
    let heading = part.find("\n.SH ").map_or(0, |at| at + 1);
    Ok(part[heading..].split_once('\n').map_or_else(String::new, |(_, rest)| rest.to_owned()))
}

fn listed(heading: &str, entries: &[(String, &str)]) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", [heading]);
    for (term, what) in entries {
        roff.control("TP", []).text([bold(term.as_str())]).text([roman(*what)]);
    }
    roff
}

fn owned((term, what): (&str, &'static str)) -> (String, &'static str) {
    (term.to_owned(), what)
}

const DESCRIPTION: &str = "presenced keeps people shown in Microsoft Teams as its config says. It sets presence \
    sessions by Microsoft Graph, renews each of them before it fades or expires, and takes edits of the config when it \
    is told to.";

const EXITS: [(u8, &str); 8] = [
    (0, "All is well."),
    (exit::FAILURE, "A failure at run time, for instance a second daemon on the same state directory."),
    (exit::USAGE, "Wrong usage."),
    (
        exit::NO,
        "The answer is no: a session lapsed (demo), some are left out (plan), something has failed (doctor).",
    ),
    (exit::UNREACHABLE, "A service cannot be reached."),
    (exit::BUG, "A bug: please report it."),
    (exit::REFUSED, "A credential or a sign-in is refused."),
    (exit::CONFIG, "The config is not admitted."),
];

const SIGNALS: [(&str, &str); 3] = [
    ("SIGHUP", "Reads the config again. What is wrong with it is logged, and everything goes on as before."),
    ("SIGUSR1", "Renews every session, from the quota that is left."),
    ("SIGTERM, SIGINT", "Stops in good order, within [daemon] stop_timeout; a second one stops at once."),
];

const ENVIRONMENT: [(&str, &str); 4] = [
    (
        "CREDENTIALS_DIRECTORY",
        "Where bare names of secrets are looked for first; systemd sets it for LoadCredential=.",
    ),
    (
        "AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_FEDERATED_TOKEN_FILE",
        "Fill in what the config leaves out, where there is one app only.",
    ),
    ("HTTPS_PROXY, NO_PROXY", "Count where the config says proxy = \"env\", and else do not."),
    ("NO_COLOR", "No colours, if it is set."),
];

const FILES: [(&str, &str); 4] = [
    (DEFAULT_CONFIG, "The config; config.example.toml explains every key."),
    (
        "/etc/presenced/credentials",
        "Secrets and certificates, for root alone; the unit hands them to the service.",
    ),
    (
        "/var/lib/presenced",
        "What is remembered: leases, the last accepted configs, sign-ins. [daemon] state_dir is another place.",
    ),
    (
        "config.schema.json",
        "The JSON Schema by which editors complete the config, as presenced schema prints it.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_every_command_with_its_options_and_nothing_hidden() {
        let page = String::from_utf8(whole(&built()).unwrap()).unwrap();
        for command in commands(&built()) {
            let heading = format!(".SS \"{NAME} {}\"", command.get_name());
            assert_eq!(page.matches(&heading).count(), 1, "{heading} in {page}");
        }
        assert!(page.contains(r"\-\-deny\-warnings") && page.contains("PRESENCED_LOG"), "{page}");
        assert!(!page.contains(r"\-\-epoch"), "hidden options stay hidden");
        assert_eq!(page.matches(r"\fB\-\-config\fR \fI").count(), 1, "what all have is told once");
    }
}
