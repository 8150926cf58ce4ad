//! `[[users_from]]`: users from CSV files, as spreadsheets and the Entra portal write them.

use super::environment::Site;
use super::*;
use crate::keeper::id::UserId;
use std::fmt::Write as _;
use std::fs;

fn id(n: u32) -> String {
    format!("0a5f6c1e-3b0d-4f57-9a6f-6f2e7c1d{n:04}")
}

fn from(keys: &str) -> String {
    format!("{APP}\n[[users_from]]\n{keys}\n")
}

/// Loads from texts in hand.
fn with_table(keys: &str, table: &str) -> Result<Loaded, Problems> {
    let text = from(&format!("file = \"users.csv\"\n{keys}"));
    load_sources(Sources::new("config.toml", text).with("users.csv", table), Look::TextsAlone)
}

fn name(loaded: &Loaded, n: u32) -> Option<&str> {
    let user: UserId = id(n).parse().unwrap();
    loaded.settings.people.get(&user)?.name.as_deref()
}

#[test]
fn the_export_of_the_entra_portal_is_read_as_it_comes() {
    let header = "userPrincipalName,displayName,surname,mail,givenName,id,userType,jobTitle,department,\
                  accountEnabled,usageLocation,streetAddress,state,country,officeLocation,city,postalCode,\
                  telephoneNumber,mobilePhone,alternateEmailAddress,ageGroup,consentProvidedForMinor,\
                  legalAgeGroupClassification,companyName,creationType,directorySynced,invitationState,\
                  identityIssuer,createdDateTime";
    let row = |n: u32, name: &str| {
        format!(
            "u{n}@contoso.com,{name},Doe,,Jane,{},Member,,,True,DE,\"Main St. 1, rear\",,,,,,+49 1,,,,,,,,,,contoso.com,2024-01-01T00:00:00Z\r\n",
            id(n)
        )
    };
    let table = format!("\u{feff}{header}\r\n{}{}", row(1, "\"Doe, Jane\""), row(2, "Müller"));
    let loaded = with_table("columns = { id = \"id\", name = \"displayName\" }", &table).unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    assert_eq!((name(&loaded, 1), name(&loaded, 2)), (Some("Doe, Jane"), Some("Müller")));
    assert_eq!(wishes(&loaded), [Some((PresenceState::Available, 60)); 2]);
    // Without `columns` the id alone is taken.
    let loaded = with_table("", &table).unwrap();
    assert_eq!((loaded.plan.len(), loaded.settings.people.len()), (2, 0));
}

#[test]
fn every_dialect_that_spreadsheets_write_means_the_same() {
    let plain = format!("id,displayName,x\n{},\"Desk \"\"A\"\", left\",\n{},Größe,1\n", id(1), id(2));
    let utf16 = |unit: fn(u16) -> [u8; 2]| -> Vec<u8> {
        let tabs =
            format!("\u{feff}id\tdisplayName\tx\r\n{}\t\"Desk \"\"A\"\", left\"\r\n{}\tGröße", id(1), id(2));
        tabs.encode_utf16().flat_map(unit).collect()
    };
    let semicolons =
        format!("id;displayName;x\r\n{};\"Desk \"\"A\"\", left\";\r\n{};Größe;1\r\n;;\r\n", id(1), id(2));
    let dialects: [(&str, Vec<u8>); 11] = [
        ("plain", plain.clone().into()),
        ("byte order mark", format!("\u{feff}{plain}").into()),
        ("CRLF", plain.replace('\n', "\r\n").into()),
        ("CR", plain.replace('\n', "\r").into()),
        ("semicolons", semicolons.clone().into()),
        ("sep line", format!("\u{feff}sep=;\r\n{semicolons}").into()),
        ("odd separator", format!("\"sep=|\"\r\n{}", semicolons.replace(';', "|")).into()),
        ("UTF-16 LE", utf16(u16::to_le_bytes)),
        ("UTF-16 BE", utf16(u16::to_be_bytes)),
        (
            "PowerShell",
            format!(
                "#TYPE System.Object\r\n{}",
                plain.replace("id,displayName,x", "\"Id\",\"DisplayName\",\"x\"")
            )
            .into(),
        ),
        ("blank lines", format!("\n,,\n{}\n\n", plain.replace('\n', "\n\n")).into()),
    ];
    let mut site = Site::new(&from("file = \"users.csv\"\ncolumns = { name = \"DISPLAYNAME\" }"));
    let mut hashes = Vec::new();
    for (dialect, bytes) in dialects {
        site = site.file("users.csv", bytes);
        let loaded = site.load(None).unwrap_or_else(|problems| panic!("{dialect}: {problems:?}"));
        assert_eq!(
            (name(&loaded, 1), name(&loaded, 2)),
            (Some("Desk \"A\", left"), Some("Größe")),
            "{dialect}"
        );
        hashes.push(loaded.settings.hash);
    }
    assert!(hashes.iter().all(|hash| *hash == hashes[0]));
}

#[test]
fn what_is_no_text_is_refused_with_what_to_do() {
    let mut site = Site::new(&from("file = \"users.csv\""));
    let latin = format!("id,name\n{},M\u{fc}ller\n", id(1)).chars().map(|c| c as u8).collect::<Vec<u8>>();
    let bare_utf16: Vec<u8> = "id,name\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let cases = [
        (latin, "it is not UTF-8 (line 2): save it as \"CSV UTF-8\""),
        (bare_utf16, "it is no text"),
        (b"PK\x03\x04\x14\0\x06\0".to_vec(), "it is no text: if this is a workbook"),
        (b"\xff\xfei\0d".to_vec(), "it begins as UTF-16 and does not go on so"),
        (b"\xff\xfe\0\xd8i\0".to_vec(), "it begins as UTF-16 and does not go on so"),
        (Vec::new(), "this file has no header"),
        (b"\n,,\n".to_vec(), "this file has no column `id`"),
    ];
    for (bytes, why) in cases {
        site = site.file("users.csv", bytes);
        let said = site.said(None);
        assert!(said.contains(why) && site.load(None).is_err(), "{said}");
    }
    let huge = fs::File::create(site.dir.path().join("users.csv")).unwrap();
    huge.set_len(crate::config::TABLE_BYTES_MAX + 1).unwrap();
    assert!(site.said(None).contains("it is larger than 512 MiB"));
}

#[test]
fn a_row_says_more_than_its_users_from_and_that_more_than_the_defaults() {
    use PresenceState::*;
    let table = format!(
        "who,what,how,for,rank\n{},,,,\n{},away,,15m,-7\n{},,InACall,,\n{},none,,,\n{},Busy,inAConferenceCall,PT2H,9\n",
        id(1),
        id(2),
        id(3),
        id(4),
        id(5)
    );
    let keys = "activity = \"Presenting\"\nexpiration = \"4h\"\npriority = 3\ncolumns = { id = \"who\", \
                availability = \"what\", activity = \"how\", expiration = \"for\", priority = \"rank\" }";
    let loaded = with_table(keys, &table).unwrap();
    let expected = [
        Some((Presenting, 240)),
        Some((Away, 15)),
        Some((InACall, 240)),
        None,
        Some((InAConferenceCall, 120)),
    ];
    assert_eq!(wishes(&loaded), expected);
    let priorities: Vec<i32> = loaded.plan.lanes()[0].sessions.iter().map(|s| s.priority).collect();
    assert_eq!(priorities, [3, -7, 3, 3, 9]);
}

#[test]
fn users_whom_nobody_gave_a_state_are_counted_in_one_warning() {
    let table = format!("id,what\n{},\n{},Away\n{},\n", id(1), id(2), id(3));
    let main = APP.replace("availability = \"Available\"", "");
    let tail = "[[users_from]]\nfile = \"u.csv\"\ncolumns = { availability = \"what\" }\n";
    let sources = Sources::new("c.toml", format!("{main}{tail}")).with("u.csv", table);
    let loaded = load_sources(sources, Look::TextsAlone).unwrap();
    assert_eq!(codes(&loaded.warnings), [("W006".to_owned(), 9)]);
    assert!(loaded.warnings.first_line().contains("2 users of these files have no availability"));
}

#[test]
fn aliases_are_parted_by_a_bar_and_names_made_one_line() {
    let table = format!("id,n,a\n{},\"Front\r\n desk\t1\",2001 | front | \n{},,\n", id(1), id(2));
    let loaded = with_table("columns = { name = \"n\", aliases = \"a\" }", &table).unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    assert_eq!(name(&loaded, 1), Some("Front desk 1"));
    let person = &loaded.settings.people[&id(1).parse::<UserId>().unwrap()];
    assert_eq!(person.aliases, ["2001".into(), "front".into()].into());
    assert_eq!(loaded.settings.people.len(), 1);
}

#[test]
fn a_file_means_the_same_as_users_in_toml_and_what_is_kept_as_what_was_read() {
    let toml = format!("{APP}[[user]]\nid = \"{}\"\nname = \"A\"\n[[user]]\nid = \"{}\"\n", id(1), id(2));
    let main = from("file = \"*.csv\"\ncolumns = { name = \"n\" }\n[[users_from]]\nfile = \"./sub//b.csv\"");
    let site = Site::new(&main)
        .file("a.csv", format!("id,n,private\n{},A,+49 1\n", id(1)))
        .file("sub/b.csv", format!("id\n{}\n", id(2)));
    let loaded = site.load(None).unwrap();
    assert_eq!(loaded.settings.hash, read(&toml).unwrap().settings.hash);
    let names: Vec<_> = loaded.sources.iter().map(|(path, _)| path.file_name().unwrap().to_owned()).collect();
    assert_eq!(names, ["config.toml", "a.csv", "b.csv"]);
    let kept = loaded.sources.iter().nth(1).unwrap().1;
    assert_eq!(kept, format!("sep=,\nid,n\n{},A\n", id(1)), "what was not asked for is not kept");

    // As the archive does it, when the files are gone.
    let (hash, plan) = (loaded.settings.hash, loaded.plan);
    let mut kept = loaded.sources.iter().map(|(path, text)| (path.to_owned(), text.to_owned()));
    let (path, text) = kept.next().unwrap();
    let kept = kept.fold(Sources::new(path, text), |all, (path, text)| all.with(path, text));
    let site = site.file("a.csv", format!("id,n\n{},B\n", id(1)));
    let again = load_sources(kept, Look::TextsAlone).unwrap();
    assert_eq!((again.settings.hash, again.plan), (hash, plan));
    assert_ne!(site.load(None).unwrap().settings.hash, hash, "a reload reads the file again");
    let alone = load_sources(Sources::new("config.toml", from("file = \"b.csv\"")), Look::TextsAlone);
    assert_eq!(codes(&alone.unwrap_err()), [("E006".to_owned(), 11)], "users are never lost without a word");
}

#[test]
fn files_are_found_from_the_file_that_names_them() {
    let site = Site::new(&format!("include = [\"conf.d/*.toml\"]\n{APP}"))
        .file(
            "conf.d/a.toml",
            "[defaults]\navailability = \"Away\"\n[[users_from]]\nfile = \"users/*.csv\"\n",
        )
        .file("conf.d/users/1.csv", format!("id\n{}\n", id(1)))
        .file("conf.d/users/2.CSV", format!("id\n{}\n", id(2)))
        .file("conf.d/users/.hidden.csv", format!("id\n{}\n", id(3)))
        .file("users/4.csv", format!("id\n{}\n", id(4)));
    let loaded = site.load(None).unwrap();
    // `*.csv` is told from `*.CSV`: patterns look at the case.
    assert_eq!(wishes(&loaded), [Some((PresenceState::Away, 60))]);
}

#[test]
fn what_cannot_be_found_or_read_is_said() {
    let main = from(
        "file = \"none.d/*.csv\"\n[[users_from]]\nfile = \"missing.csv\"\n[[users_from]]\nfile = \"x.secret\"\n\
         [[users_from]]\nfile = \"all/*\"\n[[users_from]]\nfile = \"a[\"\n[[users_from]]\nfile = \"dir.csv\"",
    );
    let site = Site::new(&main)
        .file("x.secret", "abc8Q~0123456789_0123456789.0123456789AB")
        .file("all/users.csv", format!("id\n{}\n", id(1)))
        .file("all/users.csv~", "nonsense")
        .file("all/sheet.xlsx", "PK")
        .file("dir.csv/x", "");
    insta::assert_snapshot!(site.said(None));
}

#[test]
fn one_file_may_serve_two_apps() {
    let second = APP.replace("[defaults]\navailability = \"Available\"\n", "");
    let second = second.replace("contoso", "fabrikam").replace("22553876", "33553876");
    let tail = "[[users_from]]\nfile = \"u.csv\"\n";
    let main =
        format!("{APP}{second}{tail}app = \"contoso\"\n{tail}app = \"fabrikam\"\navailability = \"Away\"\n");
    let sources = Sources::new("c.toml", main).with("u.csv", format!("id\n{}\n{}\n", id(1), id(2)));
    let loaded = load_sources(sources, Look::TextsAlone).unwrap();
    let lens: Vec<usize> = loaded.plan.lanes().iter().map(|lane| lane.sessions.len()).collect();
    assert_eq!(lens, [2, 2]);

    // Or its rows say so, each for itself.
    let main = format!("{APP}{second}{tail}columns = {{ app = \"tenant\" }}\n");
    let table = format!("id,tenant\n{},contoso\n{},fabrikam\n{},fabrikan\n{},\n", id(1), id(2), id(3), id(4));
    let sources = Sources::new("c.toml", main).with("u.csv", table);
    let found = load_sources(sources, Look::TextsAlone).unwrap_err();
    assert_eq!(codes(&found), [("E022".to_owned(), 4), ("E023".to_owned(), 5)]);
}

#[test]
fn a_file_may_be_each_apps_own() {
    let second = APP.replace("[defaults]\navailability = \"Available\"\n", "");
    let second = second.replace("contoso", "fabrikam").replace("22553876", "33553876");
    let main = |entry: &str| format!("include = [\"conf.d/*.toml\"]\n{APP}[[users_from]]\n{entry}\n");
    let site = Site::new(&main("file = \"users/{app}.csv\""))
        .file("conf.d/fabrikam.toml", &second)
        .file("users/contoso.csv", format!("id\n{}\n", id(1)))
        .file("users/fabrikam.csv", format!("id\n{}\n{}\n", id(1), id(2)))
        .file("users/tailspin.csv", format!("id\n{}\n", id(3)));
    let loaded = site.load(None).unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let users = |loaded: &Loaded| -> Vec<(String, usize)> {
        let lanes = loaded.plan.lanes().iter();
        lanes.map(|lane| (lane.head.name.to_string(), lane.sessions.len())).collect()
    };
    let expected = [("contoso".to_owned(), 1), ("fabrikam".to_owned(), 2)];
    assert_eq!(users(&loaded), expected);
    let again = load_sources(loaded.sources, Look::TextsAlone).unwrap();
    assert_eq!((again.settings.hash, users(&again)), (loaded.settings.hash, expected.clone().into()));

    // A pattern may find nothing for an app; a path may not.
    let patterns = site
        .file("config.toml", main("file = \"users/{app}*.csv\""))
        .file("conf.d/a.toml", second.replace("fabrikam", "adatum").replace("33553876", "44553876"));
    assert_eq!(users(&patterns.load(None).unwrap())[..2], expected);
    assert_eq!(codes(&patterns.load(None).unwrap().warnings), [("W001".to_owned(), 11)]);
    let paths = patterns.file("config.toml", main("file = \"users/{app}.csv\""));
    assert!(paths.said(None).contains("cannot read users/adatum.csv: there is no such file"));

    for twice in ["app = \"contoso\"", "columns = { app = \"tenant\" }"] {
        let said = read(&main(&format!("file = \"{{app}}.csv\"\n{twice}"))).unwrap_err();
        assert!(codes(&said).iter().any(|(code, line)| code == "E023" && *line == 12), "{said:?}");
    }
}

#[test]
fn a_problem_has_the_line_and_column_of_its_cell_also_in_json() {
    let table = format!("name,id\n\"two\nlines\",{}\nMüller,nonsense\n", id(1));
    let found = with_table("", &table).unwrap_err();
    let json = found.to_json();
    assert_eq!(json.as_array().unwrap().len(), 1);
    let one = &json[0];
    assert_eq!((&one["code"], &one["file"]), (&"E016".into(), &"users.csv".into()));
    assert_eq!((&one["line"], &one["column"]), (&4.into(), &8.into()));
    assert_eq!(found.first_line(), "users.csv:4:8 `nonsense` is no GUID");
}

#[test]
fn a_secret_in_a_row_is_covered() {
    let table = format!("id,name\nabc8Q~0123456789_0123456789.0123456789AB,x\n{}\n", id(1));
    let found = with_table("", &table).unwrap_err();
    let said = format!("{}{}{}", found.render(false), found.to_json(), found.first_line());
    assert!(said.contains("****") && !said.contains("abc8Q"), "{said}");
}

#[test]
fn a_file_cut_off_anywhere_is_refused_or_means_less() {
    let whole = format!("sep=;\r\nid;\"n \";a\r\n{};\"A \"\"B\"\"\";1|2\r\n{};Ü;\r\n", id(1), id(2));
    let mut admitted = 0;
    for cut in (0..=whole.len()).filter(|cut| whole.is_char_boundary(*cut)) {
        match with_table("columns = { name = \"n\", aliases = \"a\" }", &whole[..cut]) {
            Ok(loaded) => {
                admitted += 1;
                assert!(loaded.plan.len() <= 2);
            }
            Err(problems) => assert!(problems.render(true).contains("error"), "{cut}"),
        }
    }
    assert!(admitted > 10, "{admitted}");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the time is only printed")]
fn a_hundred_thousand_rows_are_admitted() {
    const ROWS: u32 = 100_000;
    let mut table = "userPrincipalName,displayName,id\r\n".to_owned();
    for n in 0..ROWS {
        // Neither in order nor far from it, as exports are.
        let id = u128::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835) ^ 0xfa8b;
        let id = UserId::from_u128(id);
        write!(table, "user{n}@contoso.com,\"Name, {n}\",{id}\r\n").unwrap();
    }
    let main = from(
        "file = \"users.csv\"\navailability = \"Busy\"\nactivity = \"InACall\"\ncolumns = { name = \"displayName\" }",
    );
    let site = Site::new(&main).file("users.csv", &table);
    let started = std::time::SystemTime::now();
    let loaded = site.load(None).unwrap();
    let took = started.elapsed().unwrap_or_default();
    println!("{ROWS} rows, {} KiB: {took:?}", table.len() >> 10);
    assert_eq!((loaded.plan.len(), loaded.settings.people.len()), (ROWS as usize, ROWS as usize));
}
