//! Markdown as HTML that runs and loads nothing. Raw HTML is shown as text, but for anchors (`<a id="clock"></a>`), images as their
//! descriptions, and unsafe links as their labels. CommonMark with tables.

use std::collections::BTreeSet;

use pulldown_cmark::{CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};

/// Escapes text for elements and attributes.
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

/// The target of a link, if it is safe: an anchor, a path of this node, or a page of the web.
pub(super) fn safe(target: &str) -> Option<String> {
    let here = target.starts_with('#') || (target.starts_with('/') && !target.starts_with("//"));
    let web = target.starts_with("https://") || target.starts_with("http://");
    (here || web).then(|| target.to_owned())
}

/// Renders a text. Its links are kept if they are [`safe`].
pub(super) fn render(text: &str) -> String {
    render_with(text, &safe)
}

/// Renders a text. `resolve` gives the target of a link; without one, only the label is shown.
pub(super) fn render_with(text: &str, resolve: &dyn Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    html::push_html(&mut out, Inert::of(text, resolve).flatten());
    out
}

/// Renders the spans of a text without paragraphs around them, for cells and headings.
pub(super) fn inline(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let spans = Inert::of(text, &safe).flatten().filter_map(|event| match event {
        Event::End(TagEnd::Paragraph) => Some(Event::SoftBreak),
        Event::Start(Tag::Emphasis | Tag::Strong | Tag::Link { .. }) => Some(event),
        Event::End(TagEnd::Emphasis | TagEnd::Strong | TagEnd::Link) => Some(event),
        Event::Start(_) | Event::End(_) => None,
        other => Some(other),
    });
    html::push_html(&mut out, spans);
    out.truncate(out.trim_end().len());
    out
}

/// The text of the first heading.
pub(super) fn title(text: &str) -> String {
    let in_heading = Parser::new_ext(text, options())
        .skip_while(|event| !matches!(event, Event::Start(Tag::Heading { .. })))
        .take_while(|event| !matches!(event, Event::End(TagEnd::Heading(_))));
    in_heading.filter_map(plain).collect()
}

fn options() -> Options {
    Options::ENABLE_TABLES
}

fn plain(event: Event<'_>) -> Option<String> {
    match event {
        Event::Text(text) | Event::Code(text) => Some(text.into_string()),
        Event::SoftBreak | Event::HardBreak => Some(" ".into()),
        _ => None,
    }
}

/// The events of a text, made inert. Each step gives a few events.
struct Inert<'t, 'r> {
    events: std::vec::IntoIter<Event<'t>>,
    resolve: &'r dyn Fn(&str) -> Option<String>,
    anchors: BTreeSet<String>,
    /// Whether the open link is shown; links do not nest.
    link_is_shown: bool,
    in_heading: bool,
}

impl<'t, 'r> Inert<'t, 'r> {
    fn of(text: &'t str, resolve: &'r dyn Fn(&str) -> Option<String>) -> Inert<'t, 'r> {
        let events: Vec<_> = Parser::new_ext(text, options()).collect();
        let events = events.into_iter();
        Inert { events, resolve, anchors: BTreeSet::new(), link_is_shown: false, in_heading: false }
    }

    /// A heading with its anchor, which links to itself.
    fn heading(&mut self, level: HeadingLevel) -> Vec<Event<'t>> {
        let rest = self.events.as_slice().iter();
        let inside = rest.take_while(|event| !matches!(event, Event::End(TagEnd::Heading(_))));
        let text: String = inside.cloned().filter_map(plain).collect();
        let id = self.anchor(&text);
        let link = format!("<a href=\"#{id}\">");
        self.in_heading = true;
        let tag = Tag::Heading { level, id: Some(id.into()), classes: Vec::new(), attrs: Vec::new() };
        vec![Event::Start(tag), Event::InlineHtml(link.into())]
    }

    /// Raw HTML is text. An anchor stays one, so that links to it lead somewhere.
    fn raw(&mut self, source: CowStr<'t>) -> Vec<Event<'t>> {
        let closes = matches!(self.events.as_slice().first(), Some(Event::InlineHtml(next)) if &**next == "</a>");
        match named_anchor(&source).filter(|_| closes) {
            Some(id) => {
                self.events.next();
                self.anchors.insert(id.to_owned());
                vec![Event::InlineHtml(format!("<a id=\"{id}\"></a>").into())]
            }
            None => vec![Event::Text(source)],
        }
    }

    /// `what-to-do` of «What to do». A second heading of the same text gets a number, as on GitHub.
    fn anchor(&mut self, heading: &str) -> String {
        let first = anchor(heading);
        let mut id = first.clone();
        let mut number = 0;
        while !self.anchors.insert(id.clone()) {
            number += 1;
            id = format!("{first}-{number}");
        }
        id
    }

    /// Where a link leads, if it is shown as one; links in headings are not.
    fn target(&mut self, target: &str) -> Option<CowStr<'t>> {
        let resolved = (self.resolve)(target).filter(|_| !self.in_heading);
        self.link_is_shown = resolved.is_some();
        resolved.map(Into::into)
    }
}

impl<'t> Iterator for Inert<'t, '_> {
    type Item = Vec<Event<'t>>;

    fn next(&mut self) -> Option<Vec<Event<'t>>> {
        Some(match self.events.next()? {
            Event::InlineHtml(source) => self.raw(source),
            Event::Html(source) => vec![Event::Text(source)],
            Event::Start(Tag::HtmlBlock) => vec![Event::Start(Tag::Paragraph)],
            Event::End(TagEnd::HtmlBlock) => vec![Event::End(TagEnd::Paragraph)],
            Event::Start(Tag::Image { .. }) | Event::End(TagEnd::Image) => Vec::new(),
            Event::Start(Tag::Heading { level, .. }) => self.heading(level),
            end @ Event::End(TagEnd::Heading(_)) => {
                self.in_heading = false;
                vec![Event::InlineHtml("</a>".into()), end]
            }
            Event::Start(Tag::Link { link_type, dest_url, title, id }) => match self.target(&dest_url) {
                Some(dest_url) => vec![Event::Start(Tag::Link { link_type, dest_url, title, id })],
                None => Vec::new(),
            },
            Event::End(TagEnd::Link) if !self.link_is_shown => Vec::new(),
            other => vec![other],
        })
    }
}

/// The name of an anchor that is written as `<a id="name">`.
fn named_anchor(source: &str) -> Option<&str> {
    let name = source.strip_prefix("<a id=\"")?.strip_suffix("\">")?;
    let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    (!name.is_empty() && name.bytes().all(is_part)).then_some(name)
}

/// The anchor of a heading, as GitHub forms it: lower case, blanks as hyphens, no punctuation.
fn anchor(heading: &str) -> String {
    let kept = |c: char| match c {
        'a'..='z' | '0'..='9' | '_' | '-' => Some(c),
        'A'..='Z' => Some(c.to_ascii_lowercase()),
        ' ' => Some('-'),
        _ => None,
    };
    heading.chars().filter_map(kept).collect()
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
        let twice = render("# Checks\n\n# Checks\n");
        assert!(twice.contains("id=\"checks\"") && twice.contains("id=\"checks-1\""), "{twice}");
        assert_eq!(title("text\n\n# The `swoosh`\n\n# Other"), "The swoosh");
    }

    /// The anchors of docs/design.md were shown as text, and links to its sections led nowhere.
    #[test]
    fn an_anchor_is_kept_and_any_other_tag_is_text() {
        assert!(render("<a id=\"one-two\"></a>\n## Two\n").starts_with("<p><a id=\"one-two\"></a></p>\n<h2"));
        for text in
            ["<a id=\"x\" onclick=\"y\"></a>", "<a id=\"x\">y</a>", "<a href=\"x\"></a>", "<a id=\"A&quot;\"></a>"]
        {
            assert!(render(text).starts_with("<p>&lt;a "), "{text}: {}", render(text));
        }
    }

    #[test]
    fn paragraphs_lists_and_tables_are_rendered() {
        assert_eq!(render("one\ntwo\n\nthree"), "<p>one\ntwo</p>\n<p>three</p>\n");
        assert_eq!(render("- one\n  more\n- two\n"), "<ul>\n<li>one\nmore</li>\n<li>two</li>\n</ul>\n");
        assert_eq!(render("1. one\n2. two\n"), "<ol>\n<li>one</li>\n<li>two</li>\n</ol>\n");
        let table = render("| code | means |\n|---|---|\n| `a\\|b` | x \\| y |\n");
        assert!(
            table.contains("<th>code</th>") && table.contains("<td><code>a|b</code></td><td>x | y</td>"),
            "{table}"
        );
    }

    #[test]
    fn code_is_shown_as_it_is() {
        let fenced = render("```sh\na < b\n\n# c\n```\nend");
        assert_eq!(fenced, "<pre><code class=\"language-sh\">a &lt; b\n\n# c\n</code></pre>\n<p>end</p>\n");
        assert!(render("a\n\n    b\n      <c>\n\nd").contains("<pre><code>b\n  &lt;c&gt;\n</code></pre>"));
        assert_eq!(render("```\nopen"), "<pre><code>open</code></pre>\n");
    }

    #[test]
    fn spans_are_rendered_and_everything_else_is_escaped() {
        assert_eq!(inline("**a `b`** & <c>"), "<strong>a <code>b</code></strong> &amp; &lt;c&gt;");
        assert_eq!(inline("2 * 3 ` [x]"), "2 * 3 ` [x]");
        assert_eq!(inline("[x](/docs#y)"), "<a href=\"/docs#y\">x</a>");
        assert_eq!(inline("one\n\ntwo_or_three"), "one\ntwo_or_three");
        assert_eq!(escape("<a href=\"&\">"), "&lt;a href=&quot;&amp;&quot;&gt;");
    }

    /// A page whose author is an attacker. Content-Security-Policy would stop it too; this is the first line.
    #[test]
    fn nothing_of_a_page_runs_or_loads() {
        let attacks = [
            "<script>alert(1)</script>",
            "text <img src=x onerror=alert(1)> text",
            "<div onclick=\"x\">\n\n**b**\n\n</div>",
            "[x](javascript:alert(1)) [y](JavaScript:alert(1)) <javascript:alert(1)> [z][r]\n\n[r]: data:text/html,x",
            "![x](http://evil.example/x.png)",
            "[x](//evil.example) [y](http://a\"onclick=\"x)",
            "```\"><script>\nx\n```",
            "# <b onmouseover=x>h</b> [l](javascript:x)",
            "| <script> |\n|---|\n| <iframe src=x> |\n",
            "&lt;script&gt; &#60;script&#62; \\<script>",
            "<!-- <script> -->",
            "[<script>](/docs \"t\\\"><script>\")",
        ];
        for attack in attacks {
            for html in [render(attack), inline(attack)] {
                let tags = html.split('<').skip(1);
                for tag in tags {
                    let (inside, _) = tag.split_once('>').unwrap_or_else(|| panic!("{attack}: {html}"));
                    let name: String = inside.chars().take_while(char::is_ascii_alphanumeric).collect();
                    let allowed = [
                        "", "a", "p", "h1", "code", "pre", "strong", "em", "table", "thead", "tbody", "tr", "th", "td",
                    ];
                    assert!(allowed.contains(&name.as_str()), "{attack}: {html}");
                    let attributes: Vec<&str> = inside.split('"').step_by(2).collect();
                    assert!(attributes.iter().all(|text| !text.contains(" on")), "{attack}: {html}");
                    let target = inside.split_once("href=\"").map_or("#", |(_, target)| target);
                    assert!(target.starts_with(['#', '/', 'h']) && !target.starts_with("//"), "{attack}: {html}");
                }
            }
        }
    }
}
