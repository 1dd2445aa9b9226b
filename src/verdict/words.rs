//! Numbers with their nouns, so that no message says `1 files`.

/// `1 file`, `3 files`.
pub fn count(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// `1 transaction`, `3 transactions`.
pub fn transactions(n: u64) -> String {
    count(n, "transaction", "transactions")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_one_and_everything_else_is_many() {
        assert_eq!([0, 1, 2].map(|n| count(n, "file", "files")), ["0 files", "1 file", "2 files"]);
        assert_eq!(transactions(1), "1 transaction");
    }
}
