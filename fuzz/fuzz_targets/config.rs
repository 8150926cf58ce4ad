//! Any text as a config, and the files that it includes behind lines of `%%%`. It is admitted or refused with problems
//! that stand where they say, and show no secret; what is admitted is the same config when it is read again, and with a
//! comment behind it.
#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use presenced::config::Sources;
use presenced_fuzz::{read, with_secret};

fn sources(text: &str, more: &str) -> Sources {
    let mut files = text.split("\n%%%\n");
    let main = files.next().unwrap_or_default();
    let sources = Sources::new("config.toml", format!("{main}{more}"));
    (1..).zip(files).fold(sources, |sources, (at, file)| sources.with(format!("conf.d/{at}.toml"), file))
}

fuzz_target!(|input: &str| -> Corpus {
    let Some(text) = with_secret(input) else { return Corpus::Reject };
    let loaded = read(sources(&text, ""));
    if let Ok(loaded) = loaded {
        let commented = read(sources(&text, "\n# A comment.")).expect("a comment changes nothing");
        assert_eq!(commented.settings.hash, loaded.settings.hash, "a comment makes another config");
    }
    Corpus::Keep
});
