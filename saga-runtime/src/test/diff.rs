//! What differs between two lists of lines.

use std::fmt::Display;

/// Both lists as one: lines that are the same, those only in the first (`-`), those only in the
/// second (`+`).
pub(super) fn diff<A: Display, B: Display>(expected: &[A], found: &[B]) -> String {
    let a: Vec<String> = expected.iter().map(ToString::to_string).collect();
    let b: Vec<String> = found.iter().map(ToString::to_string).collect();
    // The length of the longest common part from each pair of places on.
    let mut common = vec![vec![0_usize; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            common[i][j] = if a[i] == b[j] { common[i + 1][j + 1] + 1 } else { common[i + 1][j].max(common[i][j + 1]) };
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            lines.push(format!("    {}", a[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == b.len() || i < a.len() && common[i + 1][j] >= common[i][j + 1] {
            lines.push(format!("  - {}", a[i]));
            i += 1;
        } else {
            lines.push(format!("  + {}", b[j]));
            j += 1;
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_shows_what_is_missing_and_what_is_too_much() {
        assert_eq!(diff(&["a", "b", "c"], &["a", "c", "d"]), "    a\n  - b\n    c\n  + d");
        assert_eq!(diff::<&str, &str>(&[], &["x"]), "  + x");
    }
}
