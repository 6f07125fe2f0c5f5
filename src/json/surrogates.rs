//! Repairs escapes that Rust strings cannot hold.

/// Replaces `\uD800`-style escapes that have no partner by `\uFFFD`, in place.
///
/// Python and JavaScript write half an emoji when they cut a text for a preview. Rust strings cannot hold it, and one
/// such escape must not make the whole document unreadable. Both escapes have six bytes, so offsets stay valid.
pub fn repair_lone_surrogates(text: &mut [u8]) {
    let mut at = 0;
    while let Some(found) = memchr::memmem::find(&text[at..], b"\\u") {
        let start = at + found;
        let backslashes = text[..start].iter().rev().take_while(|byte| **byte == b'\\').count();
        at = start + 2;
        if backslashes % 2 == 1 {
            continue; // an escaped backslash before a plain `u`
        }
        match escape_at(text, start) {
            Some(0xD800..=0xDBFF) => match escape_at(text, start + 6) {
                Some(0xDC00..=0xDFFF) => at = start + 12,
                _ => text[start + 2..start + 6].copy_from_slice(b"fffd"),
            },
            Some(0xDC00..=0xDFFF) => text[start + 2..start + 6].copy_from_slice(b"fffd"),
            _ => {}
        }
    }
}

/// The code unit of the `\uXXXX` escape at `start`, if there is one.
fn escape_at(text: &[u8], start: usize) -> Option<u32> {
    let escape = text.get(start..start + 6)?;
    let digits = escape.strip_prefix(b"\\u")?;
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lone_surrogates_are_replaced_and_pairs_are_kept() {
        for (before, after) in [
            (r#""a\ud83d""#, r#""a\ufffd""#),
            (r#""\ud83d\ude00""#, r#""\ud83d\ude00""#),
            (r#""\ude00x""#, r#""\ufffdx""#),
            (r#""\\ud83d""#, r#""\\ud83d""#),
            (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
        ] {
            let mut text = before.as_bytes().to_vec();
            repair_lone_surrogates(&mut text);
            assert_eq!(String::from_utf8(text).unwrap(), after);
        }
    }
}
