//! The blocks of a PEM file: what they are called, and where each begins and ends. Decoding them is for others.

/// From `-----BEGIN X-----` to `-----END X-----`.
pub(super) struct Block<'t> {
    /// What it is called, such as `CERTIFICATE`.
    pub(super) label: &'t str,
    /// With both lines.
    pub(super) text: &'t [u8],
}

impl Block<'_> {
    /// Whether it is a private key, of whatever kind.
    pub(super) fn is_key(&self) -> bool {
        self.label.ends_with("PRIVATE KEY")
    }

    /// Whether a passphrase is needed to read it. Source: RFC 7468, section 11, and RFC 1421, section 4.6.1.1.
    pub(super) fn is_encrypted(&self) -> bool {
        const HEADER: &[u8] = b"Proc-Type: 4,ENCRYPTED";
        self.label == "ENCRYPTED PRIVATE KEY" || self.text.windows(HEADER.len()).any(|part| part == HEADER)
    }
}

/// All blocks of a text, in order; one that has no end reaches to that of the text. What stands between them, as
/// OpenSSL's "Bag Attributes", is passed over.
pub(super) fn blocks(text: &[u8]) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut open: Option<(&str, usize)> = None;
    let mut at = 0;
    for line in text.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
        let begin = at;
        at += line.len();
        let line = line.trim_ascii();
        match open {
            None => open = boundary(line, "-----BEGIN ").map(|label| (label, begin)),
            Some((label, begin)) if boundary(line, "-----END ") == Some(label) => {
                blocks.push(Block { label, text: &text[begin..at] });
                open = None;
            }
            Some(_) => {}
        }
    }
    blocks.extend(open.map(|(label, begin)| Block { label, text: &text[begin..] }));
    blocks
}

fn boundary<'l>(line: &'l [u8], begin: &str) -> Option<&'l str> {
    std::str::from_utf8(line).ok()?.strip_prefix(begin)?.strip_suffix("-----")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_among_other_text_whatever_ends_their_lines() {
        let text = "Bag Attributes\n  friendlyName: x\n-----BEGIN A-----\nYQ==\n-----END A-----\nkey:\n\
                    -----BEGIN B PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nYg==\n-----END B PRIVATE KEY-----";
        for (ends, text) in [("LF", text.to_owned()), ("CRLF", text.replace('\n', "\r\n"))] {
            let found = blocks(text.as_bytes());
            let labels: Vec<_> =
                found.iter().map(|block| (block.label, block.is_key(), block.is_encrypted())).collect();
            assert_eq!(labels, [("A", false, false), ("B PRIVATE KEY", true, true)], "{ends}");
            assert!(found.iter().all(|block| block.text.starts_with(b"-----BEGIN")));
            assert!(found[0].text.trim_ascii_end().ends_with(b"-----END A-----"), "{ends}");
        }
        assert!(blocks(b"").is_empty() && blocks(b"-----BEGIN A---").is_empty());
        assert_eq!(blocks(b"-----BEGIN A-----\nYQ==\n-----END B-----")[0].label, "A", "it has no end");
    }
}
