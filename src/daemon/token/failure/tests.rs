use super::*;

const WAYS: [Way; 5] = [Way::Secret, Way::Certificate, Way::TokenFile, Way::Host, Way::User];

#[test]
fn every_number_has_its_class() {
    use Class::{Again, Fix, SignIn, Slowly};
    let (any, user) = (Way::Secret, Way::User);
    let cases = [
        (Again, any, &[90_033, 90_006, 90_012, 90_024, 90_090][..]),
        (Slowly, any, &[50_196, 90_055]),
        (Fix, any, &[7_000_215, 7_000_222, 7_000_218, 700_016, 700_011, 90_002, 500_011, 53_003, 70_011]),
        (Fix, any, &[70_001, 7_000_112, 65_001, 50_194, 9_001_023, 900_023, 90_038, 900_432, 900_382]),
        (Fix, Way::Certificate, &[700_027, 700_024, 500_133, 1_000_502, 7_000_222, 700_023, 7_000_218]),
        (Fix, Way::TokenFile, &[70_021, 700_213, 700_211, 700_212, 700_024, 500_133, 700_027]),
        (SignIn, user, &[700_082, 70_008, 70_043, 50_173, 70_000, 65_001, 50_076, 50_079]),
        (Fix, user, &[7_000_218, 53_003, 50_057, 700_016]),
        (Slowly, user, &[50_196]),
    ];
    let mut seen = 0;
    for (class, way, numbers) in cases {
        for &number in numbers {
            let reading = by_number(number, way, "").unwrap_or_else(|| panic!("{number} is not known"));
            assert_eq!(reading.class, class, "{number}, {way:?}");
            assert!(!reading.meaning.is_empty() && !reading.advice.is_empty(), "{number}");
            assert_eq!(reading.wait.is_some(), class == Slowly, "{number}");
            seen += 1;
        }
    }
    assert_eq!(seen, 5 + 2 + 18 + 7 + 7 + 8 + 4 + 1);
    assert_eq!(by_number(1, any, ""), None);
    assert_eq!(by_number(50_196, any, "").unwrap().wait, Some(Duration::from_secs(300)));
}

#[test]
fn nobody_is_told_of_a_secret_who_has_none() {
    let mut told = 0;
    for way in WAYS.into_iter().filter(|way| *way != Way::Secret) {
        let numbers =
            (0..100_000).chain(500_000..501_000).chain(700_000..901_000).chain(7_000_000..7_001_000);
        let known = numbers.filter_map(|number| by_number(number, way, ""));
        let named = ["invalid_client", "invalid_grant", "unauthorized_client", "odd"]
            .map(|name| by_name(name, 400, way));
        for reading in known.chain(named) {
            told += 1;
            let text = format!("{} {}", reading.meaning, reading.advice);
            let of_app = text.replace("Certificates & secrets", "").replace("without a secret", "");
            assert!(!of_app.contains("secret"), "{way:?}: {text}");
        }
    }
    assert!(told > 80, "{told}");
}

#[test]
fn what_passes_by_itself_is_told_from_what_someone_has_to_mend() {
    let cases = [
        ("temporarily_unavailable", 400, Class::Again),
        ("server_error", 400, Class::Again),
        ("invalid_client", 503, Class::Again),
        ("invalid_request", 429, Class::Again),
        ("invalid_client", 401, Class::Fix),
        ("unauthorized_client", 400, Class::Fix),
        ("invalid_grant", 400, Class::Fix),
        ("something_new", 400, Class::Fix),
    ];
    for (error, status, class) in cases {
        assert_eq!(by_name(error, status, Way::Secret).class, class, "{error}, {status}");
    }
    for error in ["invalid_grant", "interaction_required", "login_required", "consent_required"] {
        assert_eq!(by_name(error, 400, Way::User).class, Class::SignIn, "{error}");
        assert_eq!(by_name(error, 503, Way::User).class, Class::Again, "{error}");
    }
    assert_eq!(Class::SignIn.failure(), TokenFailure::Rejected);
    assert_eq!(Class::Slowly.failure(), TokenFailure::Unreachable);
}

#[test]
fn a_number_that_stands_for_several_faults_is_told_by_the_words_beside_it() {
    // As Entra has said them, with ids and thumbprints taken out.
    let unknown = "Client assertion contains an invalid signature. [Reason - The key was not found., Thumbprint of key \
                   used by client: 'A1', Please visit the Azure Portal to see configured keys]";
    let expired = "Client assertion contains an invalid signature. [Reason - The key used is expired., Thumbprint of key \
                   used by client: 'A1', Found key 'Start=01/28/2018 16:00:00, End=01/28/2019 16:00:00']";
    let clock = "Client assertion is not within its valid time range. Current time: 2026-11-25T09:00:00Z, assertion valid \
                 from 2026-11-25T09:20:00Z, expiry time of assertion 2026-11-25T09:30:00Z.";
    let cases = [
        (Way::Certificate, unknown, "does not know the certificate"),
        (Way::Certificate, "", "does not know the certificate"),
        (Way::Certificate, expired, "the certificate has expired"),
        (Way::Certificate, clock, "not of this time"),
        (Way::TokenFile, unknown, "not signed by the issuer"),
        (Way::TokenFile, expired, "the key that has signed the token"),
        (Way::TokenFile, clock, "past its end, or not yet good"),
    ];
    for (way, words, meaning) in cases {
        for number in [700_027, 50_012, 50_013] {
            let reading = by_number(number, way, words).unwrap();
            assert!(reading.meaning.contains(meaning), "{number}, {way:?}, {words}: {reading:?}");
            assert_eq!(reading.class, Class::Fix);
        }
    }
    // The other numbers say it themselves.
    let reading = by_number(700_024, Way::Certificate, expired).unwrap();
    assert_eq!((reading.advice, reading.meaning.contains("of this time")), (CLOCK, true));
}
