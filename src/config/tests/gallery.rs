//! Bad configs, one a kind of problem, and what is said about them: `tests/config/bad`.

use super::*;
use crate::config::example;
use crate::config::problem::Code;
use crate::config::read::{Reader, Schema};
use crate::config::source::FileIx;
use std::collections::BTreeSet;
use toml::de::DeTable;

/// Codes that need files around a config, or a directory; [`super::environment`], [`super::credentials`] and
/// [`super::directory`] have them.
const ELSEWHERE: [&str; 15] = [
    "E005", "E006", "E007", "E042", "E043", "W001", "W002", "W003", "W010", "W011", "W012", "W013", "W019",
    "N001", "N002",
];

#[test]
fn each_bad_config_is_shown_with_its_line_and_what_would_be_right() {
    let mut seen = BTreeSet::new();
    let mut count = 0;
    for entry in std::fs::read_dir(repository().join("tests/config/bad")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let mut sources = Sources::new(format!("{name}.toml"), text);
        if let Ok(table) = std::fs::read_to_string(path.with_extension("csv")) {
            sources = sources.with(format!("{name}.csv"), table);
        }
        if let Ok(calendar) = std::fs::read_to_string(path.with_extension("ics")) {
            sources = sources.with(format!("{name}.ics"), calendar);
        }
        let found = problems(load_sources(sources, Look::TextsAlone));
        assert!(!found.is_empty(), "{name} is fine");
        seen.extend(codes(&found).into_iter().map(|(code, _)| code));
        let settings = || {
            let mut settings = insta::Settings::clone_current();
            settings.set_snapshot_path(repository().join("tests/config/bad"));
            settings.set_prepend_module_to_snapshot(false);
            settings.set_omit_expression(true);
            settings
        };
        settings().bind(|| insta::assert_snapshot!(name, format!("{found:?}{}", found.summary())));
        count += 1;
    }
    assert_eq!(count, 58, "every file was looked at");
    let known: BTreeSet<String> = Code::ALL.iter().map(|code| code.text().to_owned()).collect();
    let elsewhere: BTreeSet<String> = ELSEWHERE.map(str::to_owned).into();
    assert!(seen.is_disjoint(&elsewhere));
    assert_eq!(&seen | &elsewhere, known, "a kind of problem without an example");
}

#[test]
fn a_key_that_waits_for_its_work_is_no_unknown_one() {
    // None of the tables has such a key at the moment.
    const TABLE: Schema = Schema { what: "a table", keys: &["now"], later: &["soon"], special: &[] };
    let mut found = Vec::new();
    let table = DeTable::parse("now = 1\nsoon = 2\n").unwrap();
    Reader::new(FileIx::MAIN, &mut found).check_keys(table.get_ref(), &TABLE);
    assert_eq!(found.iter().map(|problem| problem.code).collect::<Vec<_>>(), [Code::NotBuiltYet]);
}

#[test]
fn one_run_finds_every_problem_of_a_file() {
    let path = repository().join("tests/config/many.toml");
    let text = std::fs::read_to_string(path).unwrap();
    // Each line with problems says so itself: `#! E010 E014`.
    let mut expected = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        let marks = text.split_once("#! ").map_or("", |(_, marks)| marks);
        expected.extend(marks.split_whitespace().map(|code| (code.to_owned(), line)));
    }
    let mut found = codes(&read(&text).unwrap_err());
    found.sort_by_key(|(code, line)| (*line, code.clone()));
    assert_eq!(found, expected);
    assert_eq!(found.len(), 40);
}

#[test]
fn one_mistake_is_one_problem() {
    const APP: &str = "[[app]]\nname = \"contoso\"\ntenant = \"9c7f0000-5e1d-4b6a-8f3e-2d1c0b9a8877\"\n\
                       client_id = \"22553876-f5ab-4529-bffb-cfe50aa89f87\"\n\
                       credential = { secret_file = \"contoso.secret\" }\n";
    const USER: &str = "[[user]]\nid = \"fa8bf3dc-eca7-46b7-bad1-db199b62afc3\"\navailability = \"Away\"\n";
    let both = format!("{APP}{USER}");
    let cases = [
        // A key that is misspelt is not missing, too.
        ("tenant =", "tenent =", "E002"),
        ("client_id =", "clientid =", "E002"),
        ("name =", "nmae =", "E002"),
        ("id = \"fa", "ID = \"fa", "E002"),
        ("availability =", "availabilty =", "E002"),
        ("secret_file =", "secretfile =", "E002"),
        ("credential = {", "credentials = {", "E002"),
        ("credential = { secret_file = \"contoso.secret\" }", "client_secret = \"x\"", "E040"),
        ("[[app]]", "[[apps]]", "E002"),
        ("[[app]]", "[app]", "E003"),
        ("[[app]]", "[defaults]\navailabilty = \"Away\"\n[[app]]", "E002"),
        // What is missing may be in what could not be read.
        ("tenant =", "tenant:", "E001"),
        ("id = \"fa", "id \"fa", "E001"),
        ("availability =", "availability:", "E001"),
        ("credential = {", "credential = {{", "E001"),
        ("[[user]]", "[[user]", "E001"),
        ("[[app]]", "[defaults]\navailability: \"Away\"\n[[app]]", "E001"),
        // One cloud, and one table.
        (
            "[[user]]",
            "cloud = { graph = \"https://graph.chinacloudapi.cn./\", login = \"https://login.chinacloudapi.cn\" }\n[[user]]",
            "E032",
        ),
        ("[[user]]", "cloud = {}\n[[user]]", "E004"),
        ("[[user]]", "quota = { request = 1, per = \"1s\" }\n[[user]]", "E002"),
    ];
    for (right, wrong, code) in cases {
        assert!(both.contains(right), "{right}");
        let text = both.replacen(right, wrong, 1);
        // A default that is wrong is one that a user would have had.
        let text = if wrong.contains("[defaults]") { text.replace("availability = ", "# ") } else { text };
        let found = problems(read(&text));
        let found: Vec<String> = codes(&found).into_iter().map(|(code, _)| code).collect();
        assert_eq!(found, [code], "{text}");
    }
    assert_eq!(cases.len(), 20);
}

#[test]
fn what_is_wrong_with_a_line_too_long_to_show_is_said_all_the_same() {
    let name = "x".repeat(20_000);
    let text = format!("{APP}[[user]]\nid = \"fa8bf3dc-eca7-46b7-bad1-db199b62afc3\"\nname = \"{name}\"\n");
    let shown = read(&text).unwrap_err().render(false);
    assert!(shown.contains("config.toml:11:8") && shown.contains("1 to 256 characters"), "{shown}");
    assert!(shown.len() < 500);
}

#[test]
fn a_key_of_the_top_that_stands_below_a_table_is_told_where_it_belongs() {
    let found = read(&format!("{APP}daemon.on_stop = \"clear\"\n")).unwrap_err();
    assert_eq!(codes(&found)[0], ("E002".to_owned(), 9));
    assert!(found.render(false).contains("above the first [table]"), "{found:?}");
}

#[test]
fn a_word_is_repeated_as_it_was_written() {
    let found = read(&format!("{APP}cloud = \"Globus\"\n")).unwrap_err();
    assert_eq!(found.first_line(), "config.toml:9:9 unknown cloud `Globus`");
}

#[test]
fn the_first_error_fits_in_a_line_of_the_log() {
    let text =
        format!("{APP}\n[[user]]\nid = \"fa8bf3dc-eca7-46b7-bad1-db199b62afc3\"\nexpiration = \"5h\"\n");
    assert_eq!(read(&text).unwrap_err().first_line(), "config.toml:12:14 expiration is out of range");
    assert_eq!(problems(read(APP)).first_line(), "config.toml there is no user: nothing is shown");
    assert_eq!(
        problems(read("")).first_line(),
        "config.toml there is no app: nothing can be set without one"
    );
}

#[test]
fn the_example_is_admitted_and_shows_every_state() {
    let path = repository().join("config.example.toml");
    let loaded = load_sources(example::sources("config.example.toml"), Look::TextsAlone).unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    assert_eq!(loaded.plan.len(), 15);
    let mut states: Vec<_> = wishes(&loaded).iter().map(|wish| wish.map(|(state, _)| state)).collect();
    states.extend(loaded.rotas.rotas().iter().map(|rota| rota.base.map(|wish| wish.state)));
    for state in PresenceState::ALL {
        assert!(states.contains(&Some(state)), "{state}");
    }
    assert!(states.contains(&None));
    // A newcomer, who has no secret yet, is told so and no more.
    let newcomer = super::super::load_in(&path, Some(&nowhere()), &Default::default()).unwrap();
    assert_eq!(codes(&newcomer.warnings).iter().map(|(code, _)| code.as_str()).collect::<Vec<_>>(), ["N001"]);
    assert_eq!(newcomer.settings.hash, loaded.settings.hash, "wherever it lies");
}
