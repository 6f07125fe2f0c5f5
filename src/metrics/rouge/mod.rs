//! ROUGE-1: the F-measure of the words that two texts share.
//!
//! C.-Y. Lin, "ROUGE: A Package for Automatic Evaluation of Summaries", 2004. Texts are split into tokens as in the
//! reference.

mod stem;
mod tokenize;

use std::collections::HashMap;

use tokenize::tokenize;

/// ROUGE-1 F-measure of two texts, in 0..=1; 0 when they share no token.
pub fn rouge1_f_measure(candidate: &str, reference: &str) -> f64 {
    let (candidate, reference) = (tokenize(candidate), tokenize(reference));
    let mut wanted: HashMap<&str, usize> = HashMap::new();
    for token in &reference {
        *wanted.entry(token).or_default() += 1;
    }
    let mut overlap = 0;
    for token in &candidate {
        if let Some(left) = wanted.get_mut(&**token).filter(|left| **left > 0) {
            *left -= 1;
            overlap += 1;
        }
    }
    let precision = overlap as f64 / candidate.len().max(1) as f64;
    let recall = overlap as f64 / reference.len().max(1) as f64;
    if precision + recall == 0.0 { 0.0 } else { 2.0 * precision * recall / (precision + recall) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_agree_with_the_reference() {
        for (candidate, reference, score) in [
            ("The cats are running", "the cat runs", 0.8571428571428571),
            ("the the the", "the cat", 0.4),
            ("你好世界", "你好", 2.0 / 3.0),
            ("Yes, 17 is a prime number.", "17 is prime", 2.0 / 3.0),
            ("", "", 0.0),
            ("a", "", 0.0),
        ] {
            let got = rouge1_f_measure(candidate, reference);
            assert!((got - score).abs() < 1e-15, "{candidate} / {reference}: {got}");
        }
    }
}
