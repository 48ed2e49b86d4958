//! Which statements a transaction's user may not send: those that end the transaction, and those
//! that change the session for whoever has it next.

/// Why a text is refused, if it is: the first of its statements that is not the user's.
pub(super) fn refusal(sql: &str) -> Option<&'static str> {
    Statements { rest: sql.as_bytes() }.find_map(|words| match words.each_ref().map(String::as_str) {
        ["ROLLBACK", "TO", _]
        | ["ROLLBACK", "WORK" | "TRANSACTION", "TO"]
        | ["SET", "TRANSACTION" | "CONSTRAINTS", _] => None,
        ["COMMIT" | "END" | "ROLLBACK" | "ABORT" | "BEGIN" | "START", ..] | ["PREPARE", "TRANSACTION", _] => Some(ENDS),
        // A setting may be called `local` or begin with it.
        ["SET", "LOCAL", next] if !matches!(next, "." | "=" | "TO") => None,
        ["SET" | "RESET" | "DISCARD" | "LISTEN" | "UNLISTEN" | "LOAD", ..]
        | ["DEALLOCATE", "ALL", _]
        | ["DEALLOCATE", "PREPARE", "ALL"] => Some(OUTLIVES),
        _ => None,
    })
}

const ENDS: &str = "a step's transaction is not its own to begin, commit or roll back: return Ok to commit it, an \
     error to roll it back; savepoints are allowed";
const OUTLIVES: &str = "this would outlive the transaction in a session that others use after it; a setting ends with it \
     if you write SET LOCAL";

/// The first three words of each statement of a text, in capitals. What is no word counts as one, by its first
/// character.
struct Statements<'s> {
    rest: &'s [u8],
}

impl Iterator for Statements<'_> {
    type Item = [String; 3];

    fn next(&mut self) -> Option<[String; 3]> {
        if self.rest.is_empty() {
            return None;
        }
        let mut words = [String::new(), String::new(), String::new()];
        let mut at = 0;
        // What the last token was, if nothing is between it and the next.
        let mut before: &[u8] = b"";
        // Whether the last token was a text with escapes. One that goes on after a line's end has them too.
        let (mut escaped, mut lines) = (false, false);
        while let Some(&byte) = self.rest.get(at) {
            let rest = &self.rest[at..];
            let spaces = spaces(rest);
            if spaces > 0 {
                lines |= rest[..spaces].iter().any(|byte| matches!(byte, b'\n' | b'\r'));
                // Not after a comment of the other kind.
                escaped &= byte != b'/';
                (at, before) = (at + spaces, b"");
                continue;
            }
            let has_escapes = byte == b'\'' && (escaped && lines || before.eq_ignore_ascii_case(b"e"));
            let length = match byte {
                b';' => {
                    at += 1;
                    break;
                }
                b'\'' | b'"' => quoted(rest, has_escapes),
                b'$' => dollar_quoted(rest),
                b'0'..=b'9' => rest.iter().take_while(|byte| byte.is_ascii_digit()).count(),
                _ if begins_word(byte) => rest.iter().take_while(|byte| goes_on(**byte)).count(),
                _ => 1,
            };
            if let Some(word) = words.iter_mut().find(|word| word.is_empty()) {
                let text = if begins_word(byte) { &rest[..length] } else { &rest[..1] };
                *word = String::from_utf8_lossy(text).to_ascii_uppercase();
            }
            (before, escaped, lines) = (&rest[..length], has_escapes, false);
            at += length;
        }
        self.rest = &self.rest[at..];
        Some(words)
    }
}

/// A name or a keyword begins with this. A number does not, and what follows one at once is a word of its own.
fn begins_word(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

fn goes_on(byte: u8) -> bool {
    begins_word(byte) || byte.is_ascii_digit() || byte == b'$'
}

/// The length of the space, or of the comment, that a text begins with.
fn spaces(text: &[u8]) -> usize {
    match text {
        [b'-', b'-', ..] => text.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(text.len()),
        [b'/', b'*', ..] => comment(text),
        _ => text.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b'\x0b' | b'\x0c')).count(),
    }
}

/// The length of a text in quotes, of which a doubled one is no end.
fn quoted(text: &[u8], escapes: bool) -> usize {
    let mut at = 1;
    while let Some(&byte) = text.get(at) {
        at += match byte {
            b'\\' if escapes => 2,
            _ if byte == text[0] && text.get(at + 1) == Some(&byte) => 2,
            _ if byte == text[0] => return at + 1,
            _ => 1,
        };
    }
    text.len()
}

/// The length of a comment, with those in it.
fn comment(text: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0);
    while at < text.len() {
        if text[at..].starts_with(b"/*") {
            (at, depth) = (at + 2, depth + 1);
        } else if text[at..].starts_with(b"*/") {
            (at, depth) = (at + 2, depth - 1);
            if depth == 0 {
                break;
            }
        } else {
            at += 1;
        }
    }
    at.min(text.len())
}

/// The length of a text between `$tag$` and `$tag$`; 1 if this is none, such as `$1`.
fn dollar_quoted(text: &[u8]) -> usize {
    let tag = text[1..].iter().take_while(|byte| begins_word(**byte) || byte.is_ascii_digit()).count();
    if text.get(tag + 1) != Some(&b'$') || text.get(1).is_some_and(u8::is_ascii_digit) {
        return 1;
    }
    let mark = &text[..tag + 2];
    let end = text[mark.len()..].windows(mark.len()).position(|part| part == mark);
    end.map_or(text.len(), |end| end + 2 * mark.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_the_transaction_is_refused_wherever_it_stands() {
        for sql in [
            "COMMIT",
            "  commit;",
            "end",
            "ROLLBACK",
            "rollback and chain",
            "ABORT",
            "BEGIN",
            "START TRANSACTION",
            "PREPARE TRANSACTION 'x'",
            "-- a comment\n/* and /* another */ */ COMMIT",
            "UPDATE a SET b = 1; COMMIT",
            "INSERT INTO a VALUES ('it''s; '); COMMIT",
            r"INSERT INTO a VALUES (E'\'; '); COMMIT",
            "DO $body$ x; $body$; COMMIT",
            "SELECT \"a;\"\"b\" FROM c; COMMIT",
            r"SELECT name'\'; COMMIT AND CHAIN; --'",
            r"SELECT a LIKE b ESCAPE'\'; COMMIT; --'",
            r"SELECT e '\'; COMMIT; --'",
            r"SELECT e/**/'\'; COMMIT; --'",
            "SELECT E'a'\n'\\''; COMMIT; --'",
            "SELECT E'a' -- and\n  '\\''; COMMIT; --'",
            r"DO LANGUAGE E'plpgsql' 'BEGIN NULL; END --\'; COMMIT AND CHAIN; --'",
            "DO LANGUAGE E'plpgsql' /*\n*/ 'BEGIN NULL; END --\\'; COMMIT AND CHAIN; --'",
            "DO LANGUAGE E'plpgsql'\n/**/ 'BEGIN NULL; END --\\'; COMMIT AND CHAIN; --'",
            r"SELECT 1E'\''; COMMIT; --'",
            "-- a comment\rCOMMIT AND CHAIN",
            "SELECT 1$a$'$a$; COMMIT; --'",
            "SELECT a$1$b$; COMMIT; --$b$",
            "SELECT $1$a$'$a$; COMMIT; --'",
            "SELECT \u{e9}$a$; COMMIT; --$a$",
        ] {
            assert_eq!(refusal(sql), Some(ENDS), "{sql}");
        }
    }

    #[test]
    fn what_would_stay_with_the_session_is_refused() {
        for sql in [
            "SET search_path = x",
            "set session role y",
            "RESET ALL",
            "DISCARD ALL",
            "LISTEN z",
            "SET ROLE w",
            "SET \"search_path\" = local, public",
            "SET local.x = 1",
            "SET LOCAL TO 1",
            "DEALLOCATE ALL",
            "deallocate prepare all",
        ] {
            assert_eq!(refusal(sql), Some(OUTLIVES), "{sql}");
        }
    }

    #[test]
    fn all_else_is_the_users() {
        for sql in [
            "",
            ";;",
            "SELECT 'COMMIT'",
            "SELECT 1; SELECT ';COMMIT'",
            "SELECT $1::text, $2 || ';'",
            r"SELECT E'a'
                '\'; COMMIT'",
            r"SELECT a LIKE '%\%' ESCAPE '\', '; COMMIT'",
            "SELECT 1e5, 2.5E-3, 0x1f, a$b$c FROM d",
            "SAVEPOINT a; ROLLBACK TO SAVEPOINT a; RELEASE a",
            "ROLLBACK WORK TO a; ROLLBACK TRANSACTION TO SAVEPOINT a",
            "DEALLOCATE a",
            "(SELECT 1); (SELECT 2)",
            "SET LOCAL lock_timeout = 5",
            "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
            "SET CONSTRAINTS ALL IMMEDIATE",
            "DO $$ BEGIN PERFORM 1; END $$",
            "PREPARE a AS SELECT 1",
            "UPDATE a SET commit = 1 -- ; COMMIT",
            "WITH a AS (SELECT 1) SELECT 1 /* ; COMMIT */",
            "SELECT 'unfinished ; COMMIT",
            "SELECT $a$ unfinished ; COMMIT",
        ] {
            assert_eq!(refusal(sql), None, "{sql}");
        }
    }
}
