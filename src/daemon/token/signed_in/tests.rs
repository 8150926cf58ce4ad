use super::*;
use crate::config::settings::Credential;
use crate::daemon::network::testing;

#[test]
fn only_what_another_sign_in_mends_is_answered_with_sign_in_again() {
    let path = Path::new("/var/lib/presenced/login/contoso.json");
    let app = testing::app("https://login.example", Credential::SignedIn(path.to_owned()));
    let os = |error: Errno| io::Error::from_raw_os_error(error.raw_os_error());
    let cases = [
        (os(Errno::NOENT), Class::SignIn, "nobody has signed in", "`presenced login contoso`"),
        (os(Errno::ACCESS), Class::Fix, "/login/contoso.json may not be read", "daemon's user"),
        (os(Errno::PERM), Class::Fix, "/login/contoso.json may not be read", "daemon's user"),
        (os(Errno::IO), Class::Again, "could not be read", "disk"),
        (os(Errno::MFILE), Class::Again, "could not be read", "this machine"),
        (os(Errno::LOOP), Class::SignIn, "cannot be used", "`presenced login contoso`"),
        (io::Error::other("it is damaged"), Class::SignIn, "it is damaged", "sign in again"),
    ];
    for (error, class, meaning, advice) in cases {
        let none = unreadable(&app, path, &error);
        assert_eq!(none.class, class, "{error}");
        assert!(none.meaning.contains(meaning) && none.advice.contains(advice), "{error}: {none:?}");
    }
}
