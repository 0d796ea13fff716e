//! What a page tells its reader to type, and what it says will come back.
//!
//! Of a section, `sh` is typed, `text` is what the block before it prints, `ts` is a file whose first line says its name. `…` stands for
//! whatever is there. A block that shows nothing prints nothing.

/// One block of commands.
#[derive(Debug, PartialEq, Eq)]
pub struct Block {
    /// Where it stands in the page.
    pub line: usize,
    pub commands: String,
    pub shown: String,
}

/// A section of a page.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Page {
    pub blocks: Vec<Block>,
    /// Names and texts.
    pub files: Vec<(String, String)>,
}

impl Page {
    /// Of the section with this title.
    pub fn read(text: &str, section: &str) -> Result<Self, String> {
        let title = format!("## {section}");
        let lines = text.lines().enumerate().skip_while(|(_, line)| *line != title).skip(1);
        let mut page = Self::default();
        let mut open: Option<(usize, &str, String)> = None;
        for (at, line) in lines {
            match (&mut open, line.strip_prefix("```")) {
                (None, None) if line.starts_with("## ") => break,
                (None, None) => {}
                (None, Some(kind)) => open = Some((at + 1, kind, String::new())),
                (Some((_, _, body)), None) => {
                    body.push_str(line);
                    body.push('\n');
                }
                (Some((line, kind, body)), Some(_)) => {
                    page.take(*line, kind, std::mem::take(body))?;
                    open = None;
                }
            }
        }
        if let Some((line, ..)) = open {
            return Err(format!("line {line}: the block has no end"));
        }
        if page.blocks.is_empty() { Err(format!("{title} has no commands")) } else { Ok(page) }
    }

    fn take(&mut self, line: usize, kind: &str, body: String) -> Result<(), String> {
        match kind {
            "sh" => self.blocks.push(Block { line, commands: body, shown: String::new() }),
            "text" => match self.blocks.last_mut() {
                Some(block) if block.shown.is_empty() => block.shown = body,
                _ => return Err(format!("line {line}: this is shown after no command")),
            },
            "ts" => {
                let name = body.lines().next().and_then(|first| first.strip_prefix("// "));
                let name = name.ok_or_else(|| format!("line {line}: the file has no name"))?;
                self.files.push((name.to_owned(), body));
            }
            other => return Err(format!("line {line}: nobody tries a block of {other:?}")),
        }
        Ok(())
    }
}

/// Why an output is not what is shown, if it is not.
pub fn differs(shown: &str, output: &str) -> Option<String> {
    let (shown, output): (Vec<_>, Vec<_>) = (shown.lines().collect(), output.lines().collect());
    for (at, line) in output.iter().enumerate() {
        match shown.get(at) {
            Some(wanted) if is_like(wanted, line) => {}
            Some(wanted) => return Some(format!("{wanted:?} is shown, {line:?} came")),
            None => return Some(format!("{line:?} came, and is not shown")),
        }
    }
    shown.get(output.len()).map(|line| format!("{line:?} is shown, and did not come"))
}

/// Whether a line is as shown, where each `…` is one character or more.
fn is_like(shown: &str, line: &str) -> bool {
    let Some((before, after)) = shown.split_once('…') else { return shown == line };
    let Some(rest) = line.strip_prefix(before) else { return false };
    rest.char_indices().any(|(at, one)| is_like(after, &rest[at + one.len_utf8()..]))
}

#[cfg(test)]
mod tests {
    use super::{Page, differs, is_like};

    #[test]
    fn what_differs_each_time_is_left_open_and_nothing_else() {
        assert!(is_like("t…", "t17") && is_like(r#"{"id":"o_…","n":1}"#, r#"{"id":"o_9","n":1}"#));
        assert!(!is_like("t…", "t") && !is_like(r#"{"id":"…","n":1}"#, r#"{"id":"o_9","n":2}"#));
        assert!(is_like("a…b…c", "aXbbXc") && !is_like("a…b", "aXbX"));
        assert_eq!(differs("a\n…\n", "a\nx\n"), None);
        assert!(differs("a\n", "a\nx\n").unwrap().contains("is not shown"));
        assert!(differs("a\nb\n", "a\n").unwrap().contains("did not come"));
        assert!(differs("", "x").is_some(), "what shows nothing prints nothing");
    }

    #[test]
    fn a_section_is_read_to_its_end_and_nothing_of_it_is_left_out() {
        let text = "# P\n```\nx\n```\n## A\n```sh\none\n```\nsays\n```text\n1\n```\n### more\n```ts\n// a.ts\nlet\n```\n\
                    ```sh\ntwo\n```\n## B\n```sh\nthree\n```\n";
        let page = Page::read(text, "A").unwrap();
        let told: Vec<_> = page.blocks.iter().map(|b| (b.line, &*b.commands, &*b.shown)).collect();
        assert_eq!(told, [(6, "one\n", "1\n"), (18, "two\n", "")]);
        assert_eq!(page.files, [("a.ts".to_owned(), "// a.ts\nlet\n".to_owned())]);
        for wrong in
            ["## A\n```\nx\n```\n", "## A\n```text\nx\n```\n", "## A\n```sh\nx\n", "## A\n"]
        {
            assert!(Page::read(wrong, "A").is_err(), "{wrong}");
        }
        assert!(Page::read(text, "C").is_err());
    }
}
