//! Just enough of Rust's grammar to measure it: comments and literals blanked, braces matched.

/// The source with the insides of comments, strings and characters turned into blanks; lines stay.
pub fn blanked(source: &str) -> String {
    let bytes = source.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let end = match literal_end(bytes, at) {
            Some(end) => end.min(bytes.len()),
            None => {
                out.push(bytes[at]);
                at += 1;
                continue;
            }
        };
        out.extend(bytes[at..end].iter().map(|byte| if *byte == b'\n' { b'\n' } else { b' ' }));
        at = end;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Where the comment or literal that begins here ends, if one does.
fn literal_end(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = &bytes[at..];
    if rest.starts_with(b"//") {
        return Some(at + rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len()));
    }
    if rest.starts_with(b"/*") {
        return Some(at + block_comment(rest));
    }
    let inside_word = at > 0 && is_word(bytes[at - 1]);
    match rest[0] {
        b'"' => Some(at + 1 + string(&rest[1..])),
        b'\'' => character(rest).map(|length| at + length),
        b'r' if !inside_word => raw_string(&rest[1..]).map(|length| at + 1 + length),
        b'b' if !inside_word && rest.get(1) == Some(&b'r') => {
            raw_string(&rest[2..]).map(|length| at + 2 + length)
        }
        _ => None,
    }
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest[at..].starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

/// The length of a string's inside and its closing quote.
fn string(inside: &[u8]) -> usize {
    let mut at = 0;
    while at < inside.len() {
        match inside[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    inside.len()
}

/// `#"…"#` with any number of `#`, the `r` being read.
fn raw_string(rest: &[u8]) -> Option<usize> {
    let hashes = rest.iter().take_while(|byte| **byte == b'#').count();
    if rest.get(hashes) != Some(&b'"') {
        return None;
    }
    let mut close = vec![b'"'];
    close.extend(std::iter::repeat_n(b'#', hashes));
    let inside = &rest[hashes + 1..];
    let end = inside.windows(close.len()).position(|window| window == close);
    Some(hashes + 1 + end.map_or(inside.len(), |end| end + close.len()))
}

/// A character literal, as opposed to a lifetime.
fn character(rest: &[u8]) -> Option<usize> {
    if rest.get(1) == Some(&b'\\') {
        return rest.iter().skip(3).position(|byte| *byte == b'\'').map(|end| end + 4);
    }
    // At most four bytes of UTF-8 between the quotes.
    let end = rest.iter().skip(1).take(5).position(|byte| *byte == b'\'')?;
    let inside = std::str::from_utf8(&rest[1..=end]).ok()?;
    (inside.chars().count() == 1).then_some(end + 2)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// A function of a blanked source.
pub struct Function {
    pub name: String,
    /// Counted from 1.
    pub line: usize,
    pub lines: usize,
}

/// Every function that has a body.
pub fn functions(blanked: &str) -> Vec<Function> {
    let bytes = blanked.as_bytes();
    let mut found = Vec::new();
    for (at, _) in blanked.match_indices("fn ") {
        if at > 0 && is_word(bytes[at - 1]) {
            continue;
        }
        let name: String =
            blanked[at + 3..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let Some(end) = body_end(bytes, at).filter(|_| !name.is_empty()) else { continue };
        let line = 1 + blanked[..at].matches('\n').count();
        found.push(Function { name, line, lines: 1 + blanked[at..end].matches('\n').count() });
    }
    found
}

/// The closing brace of the function that begins here; none when it is only declared.
fn body_end(bytes: &[u8], from: usize) -> Option<usize> {
    let (mut depth, mut nested) = (0_usize, 0_usize);
    for (at, byte) in bytes.iter().enumerate().skip(from) {
        match byte {
            b'(' | b'[' if depth == 0 => nested += 1,
            b')' | b']' if depth == 0 => nested = nested.checked_sub(1)?,
            b';' if depth == 0 && nested == 0 => return None,
            b'{' if nested == 0 => depth += 1,
            b'}' if nested == 0 => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

/// Words and single punctuation marks, `::` being one.
pub fn tokens(blanked: &str) -> Vec<&str> {
    let bytes = blanked.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let begin = at;
        if is_word(bytes[at]) {
            while at < bytes.len() && is_word(bytes[at]) {
                at += 1;
            }
        } else if bytes[at..].starts_with(b"::") {
            at += 2;
        } else if bytes[at].is_ascii_whitespace() || !bytes[at].is_ascii() {
            at += 1;
            continue;
        } else {
            at += 1;
        }
        tokens.push(&blanked[begin..at]);
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::{blanked, functions, tokens};

    #[test]
    fn braces_in_literals_and_comments_do_not_count() {
        let source = "fn a() {\n let x = \"}\"; // }\n let y = '}'; /* } /* } */ */\n let z = r#\"}\"\"#;\n}\nfn b<'a>(x: &'a str) {}\n";
        let found = functions(&blanked(source));
        let seen: Vec<_> = found.iter().map(|f| (f.name.as_str(), f.line, f.lines)).collect();
        assert_eq!(seen, [("a", 1, 5), ("b", 6, 1)]);
    }

    #[test]
    fn a_declaration_is_not_a_function() {
        assert!(functions("trait T { fn a(x: [u8; 2]) -> u8; }").is_empty());
    }

    #[test]
    fn an_escaped_quote_ends_nothing() {
        assert_eq!(blanked(r#"a"\"}"b'\''c"#), "a     b    c");
    }

    #[test]
    fn paths_come_as_words_and_double_colons() {
        assert_eq!(tokens("crate::a::{b}"), ["crate", "::", "a", "::", "{", "b", "}"]);
    }
}
