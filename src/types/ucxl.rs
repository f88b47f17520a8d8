//! UCXL and BUBBLE addresses: parsed and stored, never dereferenced while judging (DESIGN §3).
//!
//! ```text
//! ucxl   = "ucxl://" agent ":" role "@" project [ ":" task ] [ "/" temporal [ "/" path ] ]
//! bubble = "bubble://" authority [ "/" path ]
//! ```
//! agent, role, project, task: 1 to 63 of `A-Z a-z 0-9 . _ -` or `*`; the temporal segment and the path
//! are 0 to 500 visible characters; `…`, which the brief writes for «and so on», counts as visible.

use super::text::checked_text;

fn is_segment(text: &str) -> bool {
    text == "*"
        || ((1..=63).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)))
}

fn is_path(text: &str) -> bool {
    text.len() <= 500 && text.chars().all(|c| !c.is_control() && !c.is_whitespace() && !"\"<>\\^`{|}".contains(c))
}

fn is_ucxl(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("ucxl://") else { return false };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let Some((who, place)) = authority.split_once('@') else { return false };
    let Some((agent, role)) = who.split_once(':') else { return false };
    let (project, task) = place.split_once(':').map_or((place, None), |(project, task)| (project, Some(task)));
    [agent, role, project].into_iter().chain(task).all(is_segment) && is_path(path)
}

fn is_bubble(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("bubble://") else { return false };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    is_segment(authority) && is_path(path)
}

checked_text!(
    /// A UCXL address: `ucxl://agent:role@project[:task]/temporal/path`.
    UcxlAddress, "a UCXL address; write ucxl://agent:role@project[:task]/temporal/path", is_ucxl
);
checked_text!(
    /// Evidence of a proposal: a UCXL or a BUBBLE address.
    EvidenceRef, "a UCXL or BUBBLE address; write ucxl://agent:role@project[:task]/temporal/path or bubble://dr/…",
    |text| is_ucxl(text) || is_bubble(text)
);

impl EvidenceRef {
    /// Whether the address is a UCXL one.
    pub fn is_ucxl(&self) -> bool {
        self.as_str().starts_with("ucxl://")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_addresses_of_the_brief() {
        for text in
            ["ucxl://chorus:spec@council/…", "bubble://dr/…", "ucxl://a:b@c:task/~~latest/src/main.rs", "ucxl://*:*@c"]
        {
            assert!(text.parse::<EvidenceRef>().is_ok(), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_address() {
        for text in [
            "",
            "ucxl://",
            "ucxl://agent@project/x",
            "ucxl://a:b/x",
            "ucxl://a:b@c d/x",
            "https://a:b@c/x",
            "bubble://",
            "ucxl://a:b@c/\u{0}",
        ] {
            assert!(text.parse::<EvidenceRef>().is_err(), "{text}");
        }
    }
}
