//! Holds the documents to what is there: commands, configs, names and places that can go stale.
#![allow(clippy::unwrap_used, reason = "not shipped")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use presenced::cli::exit;
use presenced::config::{self, Look, Sources};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    let path = root().join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The fenced blocks in this language.
fn blocks<'t>(text: &'t str, language: &str) -> Vec<&'t str> {
    let opening = format!("```{language}\n");
    text.split(opening.as_str()).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

/// What stands between single backticks, outside of fenced blocks.
fn spans(text: &str) -> Vec<&str> {
    let outside = text.split("```").step_by(2);
    outside.flat_map(|prose| prose.split('`').skip(1).step_by(2)).collect()
}

/// The rows of the table whose header begins with this cell, as cells.
fn table<'t>(text: &'t str, first_header: &str) -> Vec<Vec<&'t str>> {
    let header = format!("| {first_header} |");
    let rows = text.lines().skip_while(|line| !line.starts_with(&header)).skip(2);
    let rows = rows.take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect()).collect()
}

fn unquoted(cell: &str) -> &str {
    cell.trim_matches('`')
}

/// What follows `presenced` on a command line, the options before it aside: `presenced --config x run`, and
/// `cargo run --release -- demo`.
fn subcommands(line: &str) -> Vec<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let starts = words.iter().enumerate().filter(|(at, word)| {
        **word == "presenced" || **word == "--" && words[..*at].starts_with(&["cargo", "run"])
    });
    let command = |at: usize| {
        let mut rest = words[at + 1..].iter();
        loop {
            match *rest.next()? {
                "--config" => drop(rest.next()?),
                word if word.chars().all(|c| c.is_ascii_lowercase() || c == '-')
                    && !word.starts_with('-') =>
                {
                    return Some(word.to_owned());
                }
                _ => return None,
            }
        }
    };
    starts.filter_map(|(at, _)| command(at)).collect()
}

/// Everything in a document that is typed into a shell: shell blocks, lines with a prompt, and spans in the prose that
/// begin with the program's name.
fn typed(text: &str) -> Vec<&str> {
    let prompts =
        blocks(text, "text").into_iter().flat_map(str::lines).filter_map(|line| line.strip_prefix("$ "));
    let shell = blocks(text, "sh").into_iter().flat_map(str::lines);
    let prose = spans(text)
        .into_iter()
        .filter(|span| span.starts_with("presenced ") || span.starts_with("cargo run"));
    let lines: Vec<&str> = prompts.chain(shell).chain(prose).collect();
    // `systemctl status presenced` names the unit; `install ... presenced` a file.
    lines.into_iter().filter(|line| !line.contains("systemctl") || line.contains("&&")).collect()
}

/// The subcommands in a `--help`.
fn offered(help: &str) -> BTreeSet<String> {
    let list =
        help.split("Commands:\n").nth(1).unwrap_or_default().lines().take_while(|line| !line.is_empty());
    let names = list.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

#[test]
fn every_command_in_the_readme_exists() {
    let help = Command::new(env!("CARGO_BIN_EXE_presenced")).arg("--help").output().unwrap();
    let offered = offered(&String::from_utf8(help.stdout).unwrap());
    assert!(offered.contains("run") && offered.contains("check"), "{offered:?}");
    let readme = read("README.md");
    let named: BTreeSet<String> = typed(&readme).into_iter().flat_map(subcommands).collect();
    for command in ["check", "demo", "run", "sandbox"] {
        assert!(named.contains(command), "the README tells nothing of {command}: {named:?}");
    }
    let missing: Vec<_> = named.difference(&offered).collect();
    assert!(missing.is_empty(), "the README names {missing:?}, presenced has {offered:?}");
}

#[test]
fn a_command_is_found_wherever_it_is_typed() {
    let text = "Do `presenced why 2001`.\n```sh\npresenced check && sudo systemctl reload presenced\n\
                cargo run --release -- demo --json\n```\n```text\n$ X=1 presenced --config a.toml run\nok\n```\n";
    let found: Vec<_> = typed(text).into_iter().flat_map(subcommands).collect();
    assert_eq!(found, ["run", "check", "demo", "why"]);
    let help = "Keeps\n\nCommands:\n  run    Run it,\n         in the foreground\n  check  Check\n\nOptions:\n  --x  y\n";
    assert_eq!(offered(help), ["run", "check"].map(str::to_owned).into());
}

/// What is wrong with a config from a document; one without an app is an addition to `base`.
fn wrong(block: &str, base: &str) -> Option<String> {
    let text = if block.contains("[[app]]") { block.to_owned() } else { format!("{base}\n{block}") };
    let (phones, list) = config::example::PHONES;
    let sources =
        Sources::new("/etc/presenced/config.toml", text).with(format!("/etc/presenced/{phones}"), list);
    match config::load_sources(sources, Look::TextsAlone) {
        Ok(loaded) if loaded.warnings.warnings() == 0 => None,
        Ok(loaded) => Some(loaded.warnings.render(false)),
        Err(problems) => Some(problems.render(false)),
    }
}

#[test]
fn every_config_in_the_documents_is_accepted_without_a_warning() {
    let readme = read("README.md");
    let mut configs = blocks(&readme, "toml");
    assert!(configs.len() >= 4, "{}", configs.len());
    let example = read("config.example.toml");
    configs.push(&example);
    for config in &configs {
        assert_eq!(wrong(config, configs[0]), None, "in:\n{config}");
    }
    let slip = configs[0].replacen("availability", "availabilty", 1);
    assert!(wrong(&slip, "").is_some_and(|why| why.contains("did you mean")), "a slip is noticed");
}

#[test]
fn the_app_of_the_readmes_trial_is_the_one_that_the_sandbox_prints() {
    let (readme, sandbox) = (read("README.md"), read("src/cli/sandbox.rs"));
    let printed = sandbox.split("name = \\\"").nth(1).and_then(|rest| rest.split("\\\"").next()).unwrap();
    let trial = readme.split("## Trying it out").nth(1).unwrap().split("\n## ").next().unwrap();
    let named = trial.split("token_granted app=").nth(1).and_then(|rest| rest.split_whitespace().next());
    assert_eq!(named, Some(printed));
}

/// The names in `line!(LEVEL, "name", ...)` and `line!(loud => LEVEL, "name", ...)`, with their level.
fn logged(source: &str) -> Vec<(String, String)> {
    let shipped = source.split("#[cfg(test)]").next().unwrap();
    let calls = shipped.split("line!(").skip(1).filter_map(|call| {
        let mut parts = call.splitn(3, '"');
        let (before, name) = (parts.next()?, parts.next()?);
        let level = before.trim_end_matches(|c: char| c.is_whitespace() || c == ',');
        let level = level.rsplit(|c: char| !c.is_ascii_uppercase()).next()?;
        let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        (is_name && !level.is_empty()).then(|| (name.to_owned(), level.to_ascii_lowercase()))
    });
    calls.collect()
}

#[test]
fn the_readme_names_every_log_event_with_its_level_and_no_other() {
    let mut said = BTreeSet::new();
    for entry in fs::read_dir(root().join("src/daemon/logging")).unwrap() {
        let path = entry.unwrap().path();
        // The macro's own documentation is no line, and tests log for themselves.
        if path.extension().is_some_and(|ext| ext == "rs")
            && !path.ends_with("line.rs")
            && !path.ends_with("tests.rs")
        {
            said.extend(logged(&fs::read_to_string(&path).unwrap()));
        }
    }
    assert!(said.len() > 25, "the test reads what it means to: {said:?}");
    // What libraries say is not said by `line!`.
    assert!(read("src/daemon/logging/format.rs").contains("\"library\""));
    said.insert(("library".to_owned(), "warn".to_owned()));
    // It stops with a warning when something is left over; the table says so in words.
    assert!(said.remove(&("stopped".to_owned(), "warn".to_owned())));

    let readme = read("README.md");
    let rows = table(&readme, "event");
    let told: BTreeSet<_> = rows.iter().map(|row| (unquoted(row[0]).to_owned(), row[1].to_owned())).collect();
    assert_eq!(told.len(), rows.len(), "each once");
    let stale: Vec<_> = told.difference(&said).collect();
    let untold: Vec<_> = said.difference(&told).collect();
    assert!(
        stale.is_empty() && untold.is_empty(),
        "only in the README: {stale:?}; only in the log: {untold:?}"
    );
    for (name, _) in logs_shown(&readme) {
        assert!(told.iter().any(|(told, _)| *told == name), "a log line shows {name}");
    }
}

/// Event names in the log lines that a document shows.
fn logs_shown(text: &str) -> Vec<(String, &str)> {
    let lines = blocks(text, "text").into_iter().flat_map(str::lines);
    let shown: Vec<_> = lines
        .filter_map(|line| {
            let (_, rest) = ["INFO ", "WARN ", "ERROR "].iter().find_map(|level| line.split_once(level))?;
            Some((rest.split(' ').next()?.to_owned(), line))
        })
        .collect();
    assert!(shown.len() > 5, "{shown:?}");
    shown
}

#[test]
fn the_names_of_log_events_are_read_from_the_sources() {
    let source = r#"line!(INFO, "plain", a = 1); line!(
            ERROR,
            "wrapped", x = 2); line!(joined.loud => WARN, "quiet", y = 3);
        #[cfg(test)] line!(INFO, "of_a_test");"#;
    let expected = [("plain", "info"), ("wrapped", "error"), ("quiet", "warn")];
    assert_eq!(logged(source), expected.map(|(name, level)| (name.to_owned(), level.to_owned())));
}

#[test]
fn the_readme_names_the_exit_codes_that_there_are() {
    let readme = read("README.md");
    let told: Vec<u8> = table(&readme, "exit code").iter().map(|row| row[0].parse().unwrap()).collect();
    let there_are =
        [0, exit::FAILURE, exit::USAGE, exit::NO, exit::UNREACHABLE, exit::BUG, exit::REFUSED, exit::CONFIG];
    assert_eq!(told, there_are);
}

#[test]
fn the_login_errors_in_the_readme_are_known_to_the_daemon() {
    let known = read("src/daemon/token/failure.rs").replace('_', "");
    let readme = read("README.md");
    let told: Vec<&str> = readme
        .split("aadsts=")
        .skip(1)
        .filter_map(|rest| {
            rest.split(|c: char| !c.is_ascii_digit()).next().filter(|number| !number.is_empty())
        })
        .collect();
    assert!(told.len() >= 5, "{told:?}");
    for number in told {
        let is_known = known.split(|c: char| !c.is_ascii_digit()).any(|other| other == number);
        assert!(is_known, "AADSTS{number}");
    }
}

/// Every place under `src`, `tests` and so on that a document names in backticks or in a shell block, and every link to a
/// file.
fn places(text: &str) -> BTreeSet<String> {
    const ROOTS: [&str; 12] = [
        "src/",
        "tests/",
        "benches/",
        "fuzz/",
        "systemd/",
        "packaging/",
        "container/",
        ".ci/",
        "config.example.toml",
        "phones.example.csv",
        "config.schema.json",
        "deny.toml",
    ];
    let named = spans(text).into_iter().filter(|span| ROOTS.iter().any(|root| span.starts_with(root)));
    let installed = blocks(text, "sh").into_iter().flat_map(str::split_whitespace);
    let installed = installed.filter(|word| ROOTS.iter().any(|root| word.starts_with(root)));
    let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let links = links.filter(|link| !link.contains("://") && !link.starts_with('#'));
    named.chain(installed).chain(links).map(|place| place.split('#').next().unwrap().to_owned()).collect()
}

/// The files of the code map: a line that ends in `/` names a folder, and the indented ones below it what is in it.
fn mapped(text: &str) -> BTreeSet<String> {
    let map = text.split("## Code map").nth(1).expect("there is a code map");
    let map = map.split("\n## ").next().unwrap();
    let mut found = BTreeSet::new();
    let mut folder = String::new();
    for line in map.split("```").skip(1).step_by(2).flat_map(str::lines) {
        let Some(name) = line.split_whitespace().next() else { continue };
        match (line.starts_with(' '), name.ends_with('/')) {
            (false, true) => {
                name.clone_into(&mut folder);
                found.insert(name.to_owned());
            }
            (false, false) if name.contains('.') => drop(found.insert(name.to_owned())),
            // A line that goes on from the one before stands further in.
            (true, _) if !line.starts_with("   ") => drop(found.insert(format!("{folder}{name}"))),
            _ => {}
        }
    }
    found
}

/// Every source under a folder, and every folder with its `/`, from the project's root.
fn sources(folder: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(root().join(folder)).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{folder}{}", path.file_name().unwrap().to_str().unwrap());
        if path.is_dir() {
            found.extend(sources(&format!("{name}/")));
            found.insert(format!("{name}/"));
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            found.insert(name);
        }
    }
    found
}

#[test]
fn every_place_that_a_document_names_is_there() {
    for document in ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"] {
        let text = read(document);
        let mut places = places(&text);
        if document == "ARCHITECTURE.md" {
            places.extend(mapped(&text));
            assert!(places.len() > 60, "the test reads what it means to: {places:?}");
        }
        let missing: Vec<_> = places.iter().filter(|place| !root().join(place).exists()).collect();
        assert!(missing.is_empty(), "{document} names {missing:?}");
    }
}

/// What a link to this heading says: `#when-the-file-is-broken`.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-'));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

#[test]
fn every_link_to_a_heading_leads_to_one() {
    let readme = read("README.md");
    let prose = readme.split("```").step_by(2).flat_map(str::lines);
    let headings: BTreeSet<String> = prose
        .filter_map(|line| Some(anchor(line.strip_prefix('#')?.trim_start_matches('#').trim())))
        .collect();
    let links = readme.split("](#").skip(1).filter_map(|rest| rest.split(')').next());
    let links: BTreeSet<String> = links.map(str::to_owned).collect();
    assert!(links.len() > 10, "{links:?}");
    let dead: Vec<_> = links.difference(&headings).collect();
    assert!(dead.is_empty(), "{dead:?} of {headings:?}");
}

#[test]
fn the_code_map_has_every_source_but_tests() {
    let mapped = mapped(&read("ARCHITECTURE.md"));
    let is_test = |place: &String| place.contains("/tests") || place.ends_with("/testing.rs");
    // A folder's files may be told with the folder: src/daemon/ledger/ is one concept.
    let told = |place: &String| {
        mapped.contains(place)
            || Path::new(place).ancestors().skip(1).any(|folder| told_whole(&mapped, folder))
    };
    let untold: Vec<_> =
        sources("src/").into_iter().filter(|place| !is_test(place) && !told(place)).collect();
    assert!(untold.is_empty(), "the code map lacks {untold:?}");
}

/// Whether the map names this folder in one line, as a part of its room.
fn told_whole(mapped: &BTreeSet<String>, folder: &Path) -> bool {
    folder.components().count() > 2 && mapped.contains(&format!("{}/", folder.display()))
}

#[test]
fn the_code_map_is_read_line_by_line() {
    let text = "## Code map\n\n```\nsrc/main.rs   parses\nsrc/keeper/   decides\n  time.rs     time,\n              \
                told\n  lane/       a lane\n```\n\n## Next\n\n```\nsrc/none.rs\n```\n";
    let expected = ["src/keeper/", "src/keeper/lane/", "src/keeper/time.rs", "src/main.rs"];
    assert_eq!(mapped(text), expected.map(str::to_owned).into());
    assert!(told_whole(&mapped(text), Path::new("src/keeper/lane")));
    assert!(!told_whole(&mapped(text), Path::new("src/keeper")), "a room is told file by file");
}
