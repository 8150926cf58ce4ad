//! What must not get out, and what must not get in.

use super::*;
use proptest::prelude::*;
use url::Url;

const CANARY: &str = "canary-Zk9Q-8sTr";

#[test]
fn a_secret_that_was_written_into_the_config_is_in_no_output() {
    let network = format!("{APP}[network]\nproxy = \"ftp://user:{CANARY}@proxy.example.org\"\n");
    let cloud = format!(
        "cloud = {{ graph = \"https://{CANARY}@graph.example.org\", login = \"https://a.example\" }}\n"
    );
    let credential = |value: &str| APP.replace("{ secret_file = \"contoso.secret\" }", value);
    let texts = [
        credential(&format!("{{ secret = \"{CANARY}\" }}")),
        credential(&format!("\"{CANARY}\"")),
        credential(&format!("[\"{CANARY}\"]")),
        credential(&format!("{{ secret_env = \"{CANARY}\" }}")),
        credential(&format!("{{ secret_file = \"x\", password = \"{CANARY}\" }}")),
        credential(&format!("{{ secrets = {{ a = [\"{CANARY}\"] }} }}")),
        credential(&format!("{{ secret = \"{CANARY} }}")),
        credential(&format!("{{ secret = {CANARY} }}")),
        credential(&format!("{{ secret = '''\n{CANARY}\n")),
        format!("{APP}client_secret = \"{CANARY}\"\n"),
        format!("client_secret = \"{CANARY}\"\n{APP}client_secret = \"{CANARY}\""),
        format!("{APP}[app.credentials]\nx = \"{CANARY}\"\n"),
        network,
        format!("{APP}{cloud}"),
        format!("{APP}clientSecret = \"{CANARY}\"\n"),
        format!("{APP}client_secret: {CANARY}\n"),
        format!("{APP}client_secret {CANARY}\n"),
        format!("{{\"app\": [{{\"name\": \"contoso\", \"client_secret\": \"{CANARY}\"}}]}}\n"),
        CANARY.to_owned(),
        format!("{CANARY}\n"),
    ];
    let mut shown = 0;
    for text in &texts {
        let found = read(text).expect_err("a secret in the config is an error");
        for output in
            [found.render(false), found.render(true), found.to_json().to_string(), found.first_line()]
        {
            assert!(!output.contains(CANARY), "{text}\n{output}");
            assert!(!output.is_empty());
            shown += 1;
        }
    }
    assert_eq!(shown, 80);
}

#[test]
fn a_secret_is_told_from_a_slip_of_the_pen_in_whatever_case_its_key_is_written() {
    for key in ["clientSecret", "ClientSecret", "CLIENT-SECRET", "Password", "apiKey"] {
        let found = read(&format!("{APP}{key} = \"{CANARY}\"\n")).unwrap_err();
        assert_eq!(codes(&found)[0].0, "E040", "{key}: {found:?}");
    }
}

#[test]
fn a_secret_in_the_place_of_a_path_is_covered_in_messages() {
    const ENTRA: &str = "abc8Q~0123456789_0123456789.0123456789AB";
    for path in [format!("{ENTRA}.csv"), format!("{ENTRA}/users.csv"), ENTRA.to_owned()] {
        let found = read(&format!("{APP}[[users_from]]\nfile = \"{path}\"\n")).unwrap_err();
        for output in [found.render(false), found.to_json().to_string(), found.first_line()] {
            assert!(output.contains("cannot read *") && !output.contains("0123"), "{output}");
        }
    }
}

#[test]
fn settings_print_no_password_of_a_proxy() {
    let text = format!("{APP}[network]\nproxy = \"http://user:{CANARY}@proxy.example.org:3128\"\n");
    let loaded = read(&text).unwrap();
    let printed = format!("{:?}", loaded.settings);
    assert!(printed.contains("http://proxy.example.org:3128") && !printed.contains(CANARY), "{printed}");
}

/// Strings that try to be more than a host.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("https://"),
        Just("http://"),
        Just("graph.microsoft.com"),
        Just("127.0.0.1"),
        Just("localhost"),
        Just("[::1]"),
        Just("evil.example"),
        Just("@"),
        Just("/"),
        Just("\\"),
        Just(":"),
        Just("?"),
        Just("#"),
        Just("%2f"),
        Just(".."),
        Just("\t"),
        Just("9c7f0000-5e1d-4b6a-8f3e-2d1c0b9a8877"),
        Just(":8443"),
        Just("ü"),
    ];
    prop_oneof![
        proptest::collection::vec(piece, 1..6).prop_map(|pieces| pieces.concat()),
        "https://[a-z]{1,5}(\\.[a-z]{2,3}){0,2}(:[0-9]{1,5})?/?",
        "\\PC{0,20}",
    ]
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn no_string_of_the_config_changes_the_host_or_the_depth_of_a_url(
        graph in hostile(), login in hostile(), tenant in hostile(), sure in any::<bool>(),
    ) {
        let tenant = if sure { "9c7f0000-5e1d-4b6a-8f3e-2d1c0b9a8877" } else { &tenant };
        let (graph_text, login_text, tenant_text) = (quoted(&graph), quoted(&login), quoted(tenant));
        let text = format!(
            "[[app]]\nname = \"x\"\ntenant = {tenant_text}\nclient_id = \"22553876-f5ab-4529-bffb-cfe50aa89f87\"\n\
             credential = {{ secret_env = \"X\" }}\ncloud = {{ graph = {graph_text}, login = {login_text} }}\n"
        );
        if let Ok(loaded) = read(&text) {
            let app = &loaded.settings.apps[0];
            let token = Url::parse(&app.token_endpoint()).unwrap();
            prop_assert_eq!(token.host_str(), app.cloud.login.host_str());
            let tenant = app.tenant.to_string();
            prop_assert_eq!(token.path_segments().unwrap().collect::<Vec<_>>(), [&tenant, "oauth2", "v2.0", "token"]);
            let lane = app.lane().graph;
            let presence = Url::parse(&format!("{lane}/v1.0/users/x/presence/setPresence")).unwrap();
            prop_assert_eq!(presence.path_segments().unwrap().count(), 5);
            for (url, written) in [(&token, &login), (&presence, &graph)] {
                prop_assert!(url.username().is_empty() && url.password().is_none());
                prop_assert!(url.query().is_none() && url.fragment().is_none());
                let host = url.host_str().unwrap();
                // A host is written as it is meant, up to its case and to the short forms of an IPv4 address.
                let plain = written.to_lowercase().contains(host) || url.host().is_some_and(|h| matches!(h, url::Host::Ipv4(_)));
                prop_assert!(plain, "{written} became {host}");
                prop_assert!(url.scheme() == "https" || ["127.", "[::1]", "localhost"].iter().any(|l| host.starts_with(l)));
            }
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,200}", cut in 0_usize..2_000) {
        let _ = problems(read(&text)).render(true);
        let many = include_str!("../../../tests/config/many.toml");
        let cut = (0..=cut.min(many.len())).rev().find(|at| many.is_char_boundary(*at)).unwrap_or(0);
        let broken = format!("{}{text}{}", &many[..cut], &many[cut..]);
        let found = problems(read(&broken));
        prop_assert!(!found.render(false).is_empty());
        let _ = found.to_json();
    }
}
