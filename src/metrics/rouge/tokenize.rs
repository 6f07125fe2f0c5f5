//! Splits a text into tokens: ASCII words are stemmed, scripts without spaces are split by character.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

use super::stem::stem;

/// Longest word that is not stemmed, in letters.
const SHORT_WORD: usize = 3;

/// Splits a text into tokens.
pub(super) fn tokenize(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    for word in separate(&normalize(text)).split_whitespace() {
        if !word.is_ascii() {
            tokens.push(word.to_owned());
            continue;
        }
        let runs = word.split(|c: char| !c.is_ascii_alphanumeric()).filter(|run| !run.is_empty());
        tokens.extend(runs.map(|run| {
            let run = run.to_ascii_lowercase();
            if run.len() > SHORT_WORD { stem(&run) } else { run }
        }));
    }
    tokens
}

/// Lower case in Unicode's compatibility composition (NFKC).
fn normalize(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Owned(text.to_ascii_lowercase());
    }
    Cow::Owned(text.nfkc().collect::<String>().to_lowercase())
}

/// Puts spaces between the tokens of a text: around each character of scripts without spaces, and for punctuation.
fn separate(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text); // `tokenize` splits ASCII words itself
    }
    let mut out = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        let group = character.general_category_group();
        match character {
            // Chinese, Japanese, Korean.
            '\u{4e00}'..='\u{9fff}' | '\u{3040}'..='\u{30ff}' | '\u{ac00}'..='\u{d7af}' => {
                out.extend([' ', character, ' ']);
            }
            // Thai and Lao, Khmer, Burmese: marks stay with the letter before them.
            '\u{0e00}'..='\u{0eff}' | '\u{1780}'..='\u{17ff}' | '\u{1000}'..='\u{109f}' => {
                if group != GeneralCategoryGroup::Mark {
                    out.push(' ');
                }
                out.push(character);
            }
            _ => {
                let is_word = matches!(
                    group,
                    GeneralCategoryGroup::Letter | GeneralCategoryGroup::Number | GeneralCategoryGroup::Mark
                );
                out.push(if is_word { character } else { ' ' });
            }
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_agree_with_the_reference() {
        for (text, tokens) in [
            ("The quick-brown foxes' dens, 3.14!", "the quick brown fox den 3 14"),
            ("snake_case HTTP2 v1.2.3", "snake case http2 v1 2 3"),
            ("café déjà vu", "café déjà vu"),
            ("naïve ﬁne １２３", "naïve fine 123"),
            ("a²b ½cup Ⅷ", "a2b 1 2cup viii"),
            ("สวัสดีครับ", "ส วั ส ดี ค รั บ"),
            ("こんにちは123abc", "こ ん に ち は 123abc"),
            ("Ⓐ ok", "a ok"),
            ("🙂 done…", "done"),
        ] {
            assert_eq!(tokenize(text).join(" "), tokens, "{text}");
        }
    }
}
