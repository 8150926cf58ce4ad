//! Texts that only this sandbox can write, and knows again when they come back: tokens and codes.
//!
//! Their last 342 characters are a seal, as long as an RS256 signature: the number that the text stands for and a
//! keyed digest of it and of what is sealed, again and again. It is cheap to check, and tells nothing without the seed.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// How many bytes a seal has; those of a 2,048-bit signature.
const BYTES: usize = 256;
/// How many characters they are in base64url.
pub const LENGTH: usize = 342;
/// The header of all JSON web tokens.
pub const JWT_HEADER: &[u8] = br#"{"typ":"JWT","alg":"RS256","kid":"presenced-sandbox"}"#;

/// The seal of a number under a text.
#[must_use]
pub fn seal(seed: u64, number: u64, text: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes(seed, number, text))
}

/// The number of a seal, if it was made by [`seal`] with this seed and for this text.
#[must_use]
pub fn opened(seed: u64, text: &str, seal: &str) -> Option<u64> {
    // The decoder needs room for whole groups.
    let mut given = [0; BYTES + 2];
    let length = BASE64_URL_SAFE_NO_PAD.decode_slice(seal, &mut given).ok()?;
    let given = &given[..length];
    let number = u64::from_be_bytes(*given.first_chunk()?);
    (given == bytes(seed, number, text)).then_some(number)
}

/// A text that says nothing but a number: `prefix` and its seal.
#[must_use]
pub fn opaque(seed: u64, prefix: &str, number: u64) -> String {
    format!("{prefix}{}", seal(seed, number, prefix))
}

/// The number of a text of [`opaque`].
#[must_use]
pub fn opaque_number(seed: u64, prefix: &str, text: &str) -> Option<u64> {
    opened(seed, prefix, text.strip_prefix(prefix)?)
}

/// A JSON web token of this payload, sealed with a number.
#[must_use]
pub fn jwt(seed: u64, number: u64, payload: &[u8]) -> String {
    let mut text = BASE64_URL_SAFE_NO_PAD.encode(JWT_HEADER);
    text.push('.');
    BASE64_URL_SAFE_NO_PAD.encode_string(payload, &mut text);
    let seal = seal(seed, number, &text);
    text.push('.');
    text.push_str(&seal);
    text
}

fn bytes(seed: u64, number: u64, text: &str) -> [u8; BYTES] {
    let mut digest = Sha256::new();
    digest.update(seed.to_be_bytes());
    digest.update(number.to_be_bytes());
    digest.update(text);
    let digest = digest.finalize();
    let mut bytes = [0; BYTES];
    let (head, tail) = bytes.split_at_mut(8);
    head.copy_from_slice(&number.to_be_bytes());
    tail.chunks_mut(32).for_each(|chunk| chunk.copy_from_slice(&digest[..chunk.len()]));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_known_again_and_no_other_is() {
        let text = opaque(1, "D-", 17);
        assert_eq!(text.len(), LENGTH + 2);
        assert_eq!(opaque_number(1, "D-", &text), Some(17));
        assert_eq!(opaque_number(2, "D-", &text), None, "another seed");
        assert_eq!(opaque_number(1, "R-", &text.replace("D-", "R-")), None, "another kind");
        assert_eq!(opaque_number(1, "D-", &text[..text.len() - 4]), None);
        assert_eq!(opaque_number(1, "D-", &format!("{text}AAAA")), None);
        let seventeen = opaque(1, "", 17);
        let other = format!("{}{}", &opaque(1, "", 18)[..11], &seventeen[11..]);
        assert_eq!(opaque_number(1, "", &other), None, "another number");
        assert_eq!(opaque_number(1, "", ""), None);
    }
}
