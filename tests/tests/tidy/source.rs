//! The tree, its files, and code without comments and strings.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// A place where a rule is broken.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Violation {
    path: String,
    line: usize,
    what: String,
}

impl Violation {
    /// The same place with these words.
    pub(crate) fn with(self, what: String) -> Self {
        Self { what, ..self }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

/// A file: its path from the root, with slashes, and its text.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    /// A file that exists only in a test.
    #[cfg(test)]
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    pub(crate) fn violation(&self, line: usize, what: impl Into<String>) -> Violation {
        Violation { path: self.path.clone(), line, what: what.into() }
    }

    pub(crate) fn is_rust(&self) -> bool {
        self.has_extension("rs")
    }

    pub(crate) fn has_extension(&self, extension: &str) -> bool {
        Path::new(&self.path).extension().is_some_and(|found| found == extension)
    }

    /// The lines with their numbers, as written.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(i, line)| (i + 1, line))
    }

    /// The lines with their numbers, without comments and without what is in quotes.
    pub(crate) fn code(&self) -> Vec<(usize, String)> {
        blank(&self.text).lines().enumerate().map(|(i, line)| (i + 1, line.to_owned())).collect()
    }

    /// The code up to the unit tests, which stand at a file's end; nothing of a file that is tests.
    pub(crate) fn code_before_tests(&self) -> Vec<(usize, String)> {
        let mut code = self.code();
        code.truncate(self.first_test_line(&code));
        code
    }

    /// The code of tests: a file of them, or what stands after `#[cfg(test)]` and a module.
    pub(crate) fn test_code(&self) -> Vec<(usize, String)> {
        let mut code = self.code();
        let first = self.first_test_line(&code);
        code.split_off(first)
    }

    fn first_test_line(&self, code: &[(usize, String)]) -> usize {
        let is_test_file = self.path.split('/').any(|part| part == "tests" || part == "tests.rs");
        if is_test_file {
            return 0;
        }
        let is_test_module = |i: &usize| {
            code[*i].1.trim() == "#[cfg(test)]"
                && code[i + 1..]
                    .iter()
                    .map(|(_, line)| line.trim())
                    .find(|line| !line.starts_with("#["))
                    .is_some_and(|line| line.split_whitespace().any(|word| word == "mod") && line.ends_with('{'))
        };
        (0..code.len()).find(is_test_module).unwrap_or(code.len())
    }
}

/// All files of the repository that are text of ours.
pub(crate) struct Tree(BTreeMap<String, Source>);

impl Tree {
    /// Reads the tree that this crate is part of.
    pub(crate) fn read() -> Self {
        let mut files = BTreeMap::new();
        collect(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")), "", &mut files);
        Self(files)
    }

    /// A tree that exists only in a test.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        Self(files.iter().map(|(path, text)| ((*path).to_owned(), Source::new(path, text))).collect())
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Source> {
        self.0.values()
    }

    pub(crate) fn rust(&self) -> impl Iterator<Item = &Source> {
        self.all().filter(|source| source.is_rust())
    }

    pub(crate) fn documents(&self) -> impl Iterator<Item = &Source> {
        self.all().filter(|source| source.has_extension("md"))
    }

    pub(crate) fn file(&self, path: &str) -> Option<&Source> {
        self.0.get(path)
    }

    /// Whether there is such a file or folder.
    pub(crate) fn has(&self, path: &str) -> bool {
        let folder = format!("{path}/");
        self.0.contains_key(path) || self.0.keys().any(|file| file.starts_with(&folder))
    }
}

/// What is longer is no text of ours; it counts as a file without content, as does what is no text.
const LARGEST: u64 = 1 << 20;

/// Reads a folder. Build output, what git keeps, and programs that must not compile are left out.
fn collect(folder: &Path, prefix: &str, files: &mut BTreeMap<String, Source>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        if entry.path().is_dir() {
            let hidden = name.starts_with('.') && name != ".ci" && name != ".cargo";
            if !hidden && name != "target" && path != "tests/ui" {
                collect(&entry.path(), &format!("{path}/"), files);
            }
        } else {
            let is_large = entry.metadata().is_ok_and(|metadata| metadata.len() > LARGEST);
            let text = if is_large { None } else { std::fs::read_to_string(entry.path()).ok() };
            files.insert(path.clone(), Source { path, text: text.unwrap_or_default() });
        }
    }
}

/// The text with comments and what is in quotes replaced by blanks; lines stay where they are.
pub(crate) fn blank(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let hidden = hidden_length(rest, out.chars().next_back());
        if hidden == 0 {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            out.extend(rest[..hidden].chars().map(|c| if c == '\n' { c } else { ' ' }));
            rest = &rest[hidden..];
        }
    }
    out
}

/// How many bytes at the beginning of `rest` are a comment or a literal in quotes.
fn hidden_length(rest: &str, before: Option<char>) -> usize {
    let in_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if rest.starts_with("//") {
        rest.find('\n').unwrap_or(rest.len())
    } else if rest.starts_with("/*") {
        block_comment(rest)
    } else if rest.starts_with('"') {
        quoted(rest, '"')
    } else if rest.starts_with('\'') && !in_word && is_char_literal(rest) {
        quoted(rest, '\'')
    } else if rest.starts_with('r') && !in_word || rest.starts_with('r') && before == Some('b') {
        raw_string(rest)
    } else {
        0
    }
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        if !escaped && c == quote {
            return at + quote.len_utf8();
        }
        escaped = !escaped && c == '\\';
    }
    rest.len()
}

/// Tells `'a'` and `'\n'` from the lifetime `'a`.
fn is_char_literal(rest: &str) -> bool {
    let mut chars = rest.chars().skip(1);
    match chars.next() {
        Some('\\') => true,
        Some(_) => chars.next() == Some('\''),
        None => false,
    }
}

fn raw_string(rest: &str) -> usize {
    let hashes = rest[1..].chars().take_while(|&c| c == '#').count();
    if !rest[1 + hashes..].starts_with('"') {
        return 0;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    let body = 2 + hashes;
    rest[body..].find(&end).map_or(rest.len(), |at| body + at + end.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_quotes_are_blanked_and_lines_stay() {
        let text = "let a = \"x // y\"; // z\n/* one /* two */\nthree */ b('\"', '\\'', c)";
        let code = blank(text);
        assert_eq!(code.lines().count(), 3);
        assert_eq!(code.split_whitespace().collect::<Vec<_>>(), ["let", "a", "=", ";", "b(", ",", ",", "c)"]);
    }

    #[test]
    fn raw_strings_end_at_their_own_hashes_and_lifetimes_are_code() {
        assert_eq!(blank("f(r#\"a\"b\"#, g)").split_whitespace().collect::<Vec<_>>(), ["f(", ",", "g)"]);
        assert_eq!(blank("fn f<'a>(x: &'a str)"), "fn f<'a>(x: &'a str)");
        assert_eq!(blank("for r in rows"), "for r in rows");
    }

    #[test]
    fn unit_tests_are_told_from_the_code_before_them() {
        let source = Source::new("a/src/lib.rs", "fn a() {}\n#[cfg(test)]\nmod tests {\nfn b() {}\n}\n");
        assert_eq!(source.code_before_tests().len(), 1);
        assert_eq!(source.test_code().len(), 4);
        let declared = Source::new("a/src/lib.rs", "#[cfg(test)]\nmod tests;\nfn a() {}\n");
        assert_eq!(declared.test_code().len(), 0);
        let file = Source::new("a/tests/it.rs", "fn b() {}\n");
        assert_eq!((file.code_before_tests().len(), file.test_code().len()), (0, 1));
    }
}
