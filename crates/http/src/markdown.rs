//! A small Markdown renderer for pages of ours: headings, paragraphs, lists, tables, code (fenced or indented
//! by four), and inline code, bold and links. All other text of a page is shown as it is.

use std::iter::Peekable;

/// Text that is safe between tags and in attributes.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            _ => out.push(c),
        }
    }
    out
}

/// The anchor of a heading: `stale_head` of «`stale_head`», `what-to-do` of «What to do».
fn anchor(heading: &str) -> String {
    let kept = |c: char| match c {
        'a'..='z' | '0'..='9' | '_' | '-' => Some(c),
        'A'..='Z' => Some(c.to_ascii_lowercase()),
        ' ' => Some('-'),
        _ => None,
    };
    heading.chars().filter_map(kept).collect()
}

/// Renders inline code, bold and links.
pub(super) fn inline(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['`', '*', '[']) {
        let (before, from) = rest.split_at(at);
        out.push_str(&escape(before));
        match span(from) {
            Some((html, after)) => {
                out.push_str(&html);
                rest = after;
            }
            None => {
                out.push_str(&escape(&from[..1]));
                rest = &from[1..];
            }
        }
    }
    out.push_str(&escape(rest));
    out
}

/// The span that begins here, and what follows it.
fn span(from: &str) -> Option<(String, &str)> {
    if let Some(after) = from.strip_prefix('`') {
        let (code, rest) = after.split_once('`')?;
        return Some((format!("<code>{}</code>", escape(code)), rest));
    }
    if let Some(after) = from.strip_prefix("**") {
        let (bold, rest) = after.split_once("**").filter(|(bold, _)| !bold.is_empty())?;
        return Some((format!("<strong>{}</strong>", inline(bold)), rest));
    }
    let (label, after) = from.strip_prefix('[')?.split_once("](")?;
    let (target, rest) = after.split_once(')')?;
    let relative = target.starts_with(['#', '/', '.']);
    let plain = !label.contains('[') && (relative || target.starts_with("https://") || target.starts_with("http://"));
    plain.then(|| (format!("<a href=\"{}\">{}</a>", escape(target), inline(label)), rest))
}

/// Indentation of code without a fence.
const INDENT: &str = "    ";

pub(super) fn render(page: &str) -> String {
    let mut out = String::new();
    let mut lines = page.lines().peekable();
    while let Some(line) = lines.next() {
        let text = line.trim();
        if text.is_empty() {
        } else if let Some(language) = text.strip_prefix("```") {
            fence(language, &mut lines, &mut out);
        } else if let Some(code) = line.strip_prefix(INDENT) {
            indented(code, &mut lines, &mut out);
        } else if let Some(heading) = heading(text) {
            out.push_str(&heading);
        } else {
            let continues = |next: &str| kind(next) == kind(text);
            let mut block = vec![line];
            while let Some(next) = lines.next_if(|next| !next.trim().is_empty() && is_inside(text, next, &continues)) {
                block.push(next);
            }
            match kind(text) {
                Kind::Table => table(&block, &mut out),
                Kind::Bullets => list("ul", &block, &mut out),
                Kind::Numbers => list("ol", &block, &mut out),
                Kind::Paragraph => {
                    let joined = block.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ");
                    out.push_str(&format!("<p>{}</p>\n", inline(&joined)));
                }
                Kind::Other => {}
            }
        }
    }
    out
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Table,
    Bullets,
    Numbers,
    Paragraph,
    /// Begins a block of its own.
    Other,
}

fn kind(line: &str) -> Kind {
    let text = line.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if text.starts_with('|') {
        Kind::Table
    } else if text.starts_with("- ") || text.starts_with("* ") {
        Kind::Bullets
    } else if digits > 0 && text[digits..].starts_with(". ") {
        Kind::Numbers
    } else if text.starts_with("```") || heading(text).is_some() {
        Kind::Other
    } else {
        Kind::Paragraph
    }
}

/// Whether a line goes on with the block that `first` began; items of lists may be wrapped.
fn is_inside(first: &str, next: &str, continues: &impl Fn(&str) -> bool) -> bool {
    let wrapped = matches!(kind(first), Kind::Bullets | Kind::Numbers) && kind(next) == Kind::Paragraph;
    continues(next) || wrapped
}

fn heading(text: &str) -> Option<String> {
    let level = text.bytes().take_while(|&byte| byte == b'#').count();
    let title = text[level..].strip_prefix(' ').filter(|_| (1..=6).contains(&level))?.trim();
    let id = anchor(title);
    Some(format!("<h{level} id=\"{id}\"><a href=\"#{id}\">{}</a></h{level}>\n", inline(title)))
}

fn fence<'a>(language: &str, lines: &mut impl Iterator<Item = &'a str>, out: &mut String) {
    let code: Vec<_> = lines.take_while(|line| line.trim() != "```").collect();
    let class = if language.is_empty() { String::new() } else { format!(" class=\"{}\"", escape(language)) };
    out.push_str(&format!("<pre><code{class}>{}</code></pre>\n", escape(&code.join("\n"))));
}

fn indented<'a>(first: &'a str, lines: &mut Peekable<impl Iterator<Item = &'a str>>, out: &mut String) {
    let mut code = vec![first];
    while let Some(line) = lines.next_if(|line| line.starts_with(INDENT)) {
        code.push(&line[INDENT.len()..]);
    }
    out.push_str(&format!("<pre><code>{}</code></pre>\n", escape(&code.join("\n"))));
}

fn list(tag: &str, block: &[&str], out: &mut String) {
    let mut items: Vec<String> = Vec::new();
    for line in block {
        let text = line.trim();
        match kind(line) {
            Kind::Paragraph => items.last_mut().into_iter().for_each(|item| *item = format!("{item} {text}")),
            _ => items.push(text.split_once(' ').map_or("", |(_, item)| item).to_owned()),
        }
    }
    let items: String = items.iter().map(|item| format!("<li>{}</li>\n", inline(item.trim()))).collect();
    out.push_str(&format!("<{tag}>\n{items}</{tag}>\n"));
}

/// The cells of a row; `\|` and bars in inline code do not part them.
fn cells(row: &str) -> Vec<String> {
    let inner = row.trim().trim_start_matches('|');
    let inner = inner.strip_suffix('|').unwrap_or(inner);
    let (mut cells, mut code, mut escaped) = (vec![String::new()], false, false);
    for c in inner.chars() {
        let Some(cell) = cells.last_mut() else { break };
        match c {
            '\\' if !escaped => {
                escaped = true;
                continue;
            }
            '|' if !escaped && !code => cells.push(String::new()),
            _ => {
                code ^= c == '`';
                if escaped && c != '|' {
                    cell.push('\\');
                }
                cell.push(c);
            }
        }
        escaped = false;
    }
    cells.iter().map(|cell| cell.trim().to_owned()).collect()
}

fn table(block: &[&str], out: &mut String) {
    let rule = |row: &Vec<String>| row.iter().all(|cell| !cell.is_empty() && cell.bytes().all(|b| b":-".contains(&b)));
    let rows: Vec<_> = block.iter().map(|row| cells(row)).collect();
    let headed = rows.get(1).is_some_and(rule);
    out.push_str("<table>\n");
    for (n, row) in rows.iter().enumerate().filter(|(n, _)| !(headed && *n == 1)) {
        let tag = if headed && n == 0 { "th" } else { "td" };
        let row: String = row.iter().map(|cell| format!("<{tag}>{}</{tag}>", inline(cell))).collect();
        out.push_str(&format!("<tr>{row}</tr>\n"));
    }
    out.push_str("</table>\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_have_the_anchors_that_problems_name() {
        assert_eq!(
            render("### `stale_head`\n"),
            "<h3 id=\"stale_head\"><a href=\"#stale_head\"><code>stale_head</code></a></h3>\n"
        );
        assert!(render("## What to do?").starts_with("<h2 id=\"what-to-do\">"));
        assert_eq!(render("#hash"), "<p>#hash</p>\n");
    }

    #[test]
    fn paragraphs_and_lists_may_be_wrapped() {
        assert_eq!(render("one\ntwo\n\nthree"), "<p>one two</p>\n<p>three</p>\n");
        assert_eq!(render("- one\n  more\n- two\n"), "<ul>\n<li>one more</li>\n<li>two</li>\n</ul>\n");
        assert_eq!(render("1. one\n2. two\n"), "<ol>\n<li>one</li>\n<li>two</li>\n</ol>\n");
        assert_eq!(render("text\n- one"), "<p>text</p>\n<ul>\n<li>one</li>\n</ul>\n");
    }

    #[test]
    fn tables_have_a_head_and_keep_bars_in_code() {
        let page = "| code | means |\n|---|:--|\n| `a|b` | x \\| y |\n";
        let expected = "<table>\n<tr><th>code</th><th>means</th></tr>\n\
                        <tr><td><code>a|b</code></td><td>x | y</td></tr>\n</table>\n";
        assert_eq!(render(page), expected);
    }

    #[test]
    fn code_is_shown_as_it_is() {
        assert_eq!(
            render("```sh\na < b\n\n# c\n```\nend"),
            "<pre><code class=\"sh\">a &lt; b\n\n# c</code></pre>\n<p>end</p>\n"
        );
        assert_eq!(
            render("a\n\n    b\n      <c>\n\nd"),
            "<p>a</p>\n<pre><code>b\n  &lt;c&gt;</code></pre>\n<p>d</p>\n"
        );
        assert_eq!(render("```\nopen"), "<pre><code>open</code></pre>\n");
    }

    #[test]
    fn spans_are_rendered_and_everything_else_is_escaped() {
        assert_eq!(inline("**a `b`** & <c>"), "<strong>a <code>b</code></strong> &amp; &lt;c&gt;");
        assert_eq!(inline("2 * 3 ` [x]"), "2 * 3 ` [x]");
        assert_eq!(inline("[x](/docs#y)"), "<a href=\"/docs#y\">x</a>");
        assert_eq!(inline("[x](javascript:y)"), "[x](javascript:y)");
        assert_eq!(inline("<script>\"é"), "&lt;script&gt;&quot;é");
    }
}
