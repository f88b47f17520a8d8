//! Words of sentences that people read.

/// A number with its noun: `1 record`, `2 records`.
pub fn count(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counted_nouns_agree() {
        assert_eq!([count(0, "record"), count(1, "record")], ["0 records".to_owned(), "1 record".to_owned()]);
    }
}
