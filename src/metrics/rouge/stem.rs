//! Porter's stemmer in NLTK's variant, for lower-case ASCII words.
//!
//! M. F. Porter, "An algorithm for suffix stripping", 1980, with the departures that NLTK makes by default.
//! In each list of rules only the first suffix that matches is tried, even if its condition fails.

/// Words whose stems the rules get wrong.
const IRREGULAR: [(&str, &str); 14] = [
    ("skies", "sky"),
    ("sky", "sky"),
    ("dying", "die"),
    ("lying", "lie"),
    ("tying", "tie"),
    ("news", "news"),
    ("innings", "inning"),
    ("inning", "inning"),
    ("outings", "outing"),
    ("outing", "outing"),
    ("cannings", "canning"),
    ("canning", "canning"),
    ("howe", "howe"),
    ("proceed", "proceed"),
];

/// Further irregular words, which are their own stems.
const UNCHANGED: [&str; 2] = ["exceed", "succeed"];

/// The stem of a lower-case ASCII word.
pub(super) fn stem(word: &str) -> String {
    if let Some((_, stem)) = IRREGULAR.iter().find(|(irregular, _)| *irregular == word) {
        return (*stem).to_owned();
    }
    if word.len() <= 2 || UNCHANGED.contains(&word) {
        return word.to_owned();
    }
    let steps = [step1a, step1b, step1c, step2, step3, step4, step5a, step5b];
    steps.iter().fold(word.to_owned(), |word, step| step(word))
}

fn is_consonant(word: &[u8], index: usize) -> bool {
    match word[index] {
        b'a' | b'e' | b'i' | b'o' | b'u' => false,
        b'y' => {
            // In a run of y they alternate. Looking at the start of the run avoids a recursion of its length.
            let run = word[..index].iter().rev().take_while(|letter| **letter == b'y').count();
            let first = index - run;
            let first_is_consonant = first == 0 || !is_consonant(word, first - 1);
            first_is_consonant == (run % 2 == 0)
        }
        _ => true,
    }
}

/// Number of vowel-to-consonant transitions: Porter's m.
fn measure(stem: &str) -> usize {
    let mut transitions = 0;
    let mut after_vowel = false;
    for index in 0..stem.len() {
        let is_vowel = !is_consonant(stem.as_bytes(), index);
        transitions += usize::from(after_vowel && !is_vowel);
        after_vowel = is_vowel;
    }
    transitions
}

fn has_vowel(stem: &str) -> bool {
    (0..stem.len()).any(|index| !is_consonant(stem.as_bytes(), index))
}

fn ends_in_double_consonant(word: &str) -> bool {
    let bytes = word.as_bytes();
    let n = bytes.len();
    n >= 2 && bytes[n - 1] == bytes[n - 2] && is_consonant(bytes, n - 1)
}

/// Porter's *o: ends in consonant, vowel, consonant, the last not w, x or y; NLTK also has words of vowel, consonant.
fn ends_short(word: &str) -> bool {
    let bytes = word.as_bytes();
    let n = bytes.len();
    let consonant = |index| is_consonant(bytes, index);
    (n >= 3
        && consonant(n - 3)
        && !consonant(n - 2)
        && consonant(n - 1)
        && !matches!(bytes[n - 1], b'w' | b'x' | b'y'))
        || (n == 2 && !consonant(0) && consonant(1))
}

/// Replaces the first suffix of `rules` that the word ends in, if its stem meets the condition.
fn replace_first(word: String, rules: &[(&str, &str)], condition: impl Fn(&str) -> bool) -> String {
    for (suffix, replacement) in rules {
        if let Some(stem) = word.strip_suffix(suffix) {
            return if condition(stem) { format!("{stem}{replacement}") } else { word };
        }
    }
    word
}

fn step1a(word: String) -> String {
    if word.len() == 4 && word.ends_with("ies") {
        return word.replacen("ies", "ie", 1);
    }
    replace_first(word, &[("sses", "ss"), ("ies", "i"), ("ss", "ss"), ("s", "")], |_| true)
}

fn step1b(word: String) -> String {
    if let Some(stem) = word.strip_suffix("ied") {
        return if word.len() == 4 { format!("{stem}ie") } else { format!("{stem}i") };
    }
    if let Some(stem) = word.strip_suffix("eed") {
        return if measure(stem) > 0 { format!("{stem}ee") } else { word };
    }
    let stem =
        ["ed", "ing"].iter().find_map(|suffix| word.strip_suffix(suffix)).filter(|stem| has_vowel(stem));
    let Some(stem) = stem else { return word };
    for (suffix, replacement) in [("at", "ate"), ("bl", "ble"), ("iz", "ize")] {
        if let Some(rest) = stem.strip_suffix(suffix) {
            return format!("{rest}{replacement}");
        }
    }
    if ends_in_double_consonant(stem) {
        let keeps = stem.ends_with(['l', 's', 'z']);
        return if keeps { stem.to_owned() } else { stem[..stem.len() - 1].to_owned() };
    }
    if measure(stem) == 1 && ends_short(stem) { format!("{stem}e") } else { stem.to_owned() }
}

fn step1c(word: String) -> String {
    replace_first(word, &[("y", "i")], |stem| stem.len() > 1 && is_consonant(stem.as_bytes(), stem.len() - 1))
}

fn step2(word: String) -> String {
    if let Some(stem) = word.strip_suffix("alli").filter(|stem| measure(stem) > 0) {
        return step2(format!("{stem}al"));
    }
    if let Some(stem) = word.strip_suffix("logi") {
        return if measure(&word[..word.len() - 3]) > 0 { format!("{stem}log") } else { word };
    }
    const RULES: [(&str, &str); 21] = [
        ("ational", "ate"),
        ("tional", "tion"),
        ("enci", "ence"),
        ("anci", "ance"),
        ("izer", "ize"),
        ("bli", "ble"),
        ("alli", "al"),
        ("entli", "ent"),
        ("eli", "e"),
        ("ousli", "ous"),
        ("ization", "ize"),
        ("ation", "ate"),
        ("ator", "ate"),
        ("alism", "al"),
        ("iveness", "ive"),
        ("fulness", "ful"),
        ("ousness", "ous"),
        ("aliti", "al"),
        ("iviti", "ive"),
        ("biliti", "ble"),
        ("fulli", "ful"),
    ];
    replace_first(word, &RULES, |stem| measure(stem) > 0)
}

fn step3(word: String) -> String {
    const RULES: [(&str, &str); 7] = [
        ("icate", "ic"),
        ("ative", ""),
        ("alize", "al"),
        ("iciti", "ic"),
        ("ical", "ic"),
        ("ful", ""),
        ("ness", ""),
    ];
    replace_first(word, &RULES, |stem| measure(stem) > 0)
}

fn step4(word: String) -> String {
    const SUFFIXES: [&str; 19] = [
        "al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ion", "ou", "ism",
        "ate", "iti", "ous", "ive", "ize",
    ];
    let Some(suffix) = SUFFIXES.iter().find(|suffix| word.ends_with(**suffix)) else {
        return word;
    };
    let stem = &word[..word.len() - suffix.len()];
    let fits = measure(stem) > 1 && (*suffix != "ion" || stem.ends_with(['s', 't']));
    if fits { stem.to_owned() } else { word }
}

fn step5a(word: String) -> String {
    replace_first(word, &[("e", "")], |stem| measure(stem) > 1 || (measure(stem) == 1 && !ends_short(stem)))
}

fn step5b(word: String) -> String {
    let drops = word.ends_with("ll") && measure(&word[..word.len() - 1]) > 1;
    if drops { word[..word.len() - 1].to_owned() } else { word }
}

#[cfg(test)]
mod tests {
    use super::stem;

    #[test]
    fn stems_agree_with_the_reference() {
        let pairs = "caresses caress ponies poni ties tie dies die spied spi agreed agre motoring motor \
            conflated conflat sized size hopping hop falling fall filing file happy happi enjoyment enjoy \
            flies fli fully fulli usefully use geology geolog radically radic relational relat operator oper \
            controlling control rate rate cease ceas generously gener agency agenc oed o";
        let words: Vec<_> = pairs.split_whitespace().collect();
        for pair in words.chunks(2) {
            assert_eq!(stem(pair[0]), pair[1], "{}", pair[0]);
        }
    }

    #[test]
    fn long_runs_of_y_are_no_deep_recursion() {
        assert!(!stem(&"y".repeat(100_000)).is_empty());
    }
}
