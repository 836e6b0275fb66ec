//! The fenced blocks of a document, and its code spans.

/// A fenced block.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) language: String,
    /// The file that a reader writes it to.
    pub(crate) title: Option<String>,
    pub(crate) text: String,
    /// Of its fence, from 1.
    pub(crate) line: usize,
}

/// The blocks in order.
pub(crate) fn blocks(document: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut open: Option<Block> = None;
    for (number, line) in document.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => {
                let (language, title) = info.split_once(" title=").unzip();
                open = Some(Block {
                    language: language.unwrap_or(info).trim().to_owned(),
                    title: title.map(|name| name.trim().to_owned()),
                    text: String::new(),
                    line: number + 1,
                });
            }
            (Some(_), Some("")) => found.extend(open.take()),
            (Some(block), _) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => (),
        }
    }
    assert_eq!(open, None, "a block that does not end");
    found
}

/// What stands between single backticks outside of blocks, on one line each.
pub(crate) fn spans(document: &str) -> Vec<String> {
    let mut inside = false;
    let prose: Vec<&str> = document
        .lines()
        .filter(|line| {
            let fence = line.trim_start().starts_with("```");
            inside ^= fence;
            !inside && !fence
        })
        .collect();
    let mut found = Vec::new();
    // A span goes over lines, but not over paragraphs.
    for paragraph in prose.split(|line| line.trim().is_empty()) {
        let paragraph = paragraph.join(" ");
        let spans = paragraph.split('`').skip(1).step_by(2);
        let words = spans.map(|span| span.split_whitespace().collect::<Vec<_>>().join(" "));
        found.extend(words.filter(|span| !span.is_empty()));
    }
    found
}

#[test]
fn blocks_and_spans_are_found() {
    let document = "a `b\nc` d\n\n```sh\nx `y`\n```\n```js title=f.js\n1\n```\n`z\n\n e `g`";
    let block = |language: &str, title: Option<&str>, text: &str, line| Block {
        language: language.to_owned(),
        title: title.map(str::to_owned),
        text: text.to_owned(),
        line,
    };
    let wanted = [
        block("sh", None, "x `y`\n", 4),
        block("js", Some("f.js"), "1\n", 7),
    ];
    assert_eq!(blocks(document), wanted);
    assert_eq!(spans(document), ["b c", "z", "g"]);
}
