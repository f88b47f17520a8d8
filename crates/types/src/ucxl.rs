//! UCXL and BUBBLE addresses: parsed and stored, never dereferenced while judging (docs/design.md#proposals).
//! docs/ucxl.md describes the grammar and the meaning of an address.
//!
//! An address has one spelling: accepted ones print as they were read. Other spellings of the same address are
//! refused; [`normal_form`] returns the right one.

mod grammar;

pub use grammar::{Temporal, Ucxl, UcxlError, normal_form};

use super::text::checked_text;

fn is_ucxl(text: &str) -> bool {
    Ucxl::parse(text).is_ok()
}

fn is_bubble(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("bubble://") else { return false };
    let (authority, path) = rest.split_once('/').map_or((rest, None), |(authority, path)| (authority, Some(path)));
    grammar::is_name(authority) && path.is_none_or(grammar::is_path)
}

checked_text!(
    /// A UCXL address: `ucxl://agent:role@project[:task]/temporal/path`.
    UcxlAddress, "a UCXL address; write ucxl://agent:role@project[:task]/temporal/path (docs/ucxl.md; `swoosh ucxl` tells what is wrong)", is_ucxl
);
checked_text!(
    /// Evidence of a proposal: a UCXL or a BUBBLE address.
    EvidenceRef, "a UCXL or BUBBLE address; write ucxl://agent:role@project[:task]/temporal/path or bubble://dr/… (docs/ucxl.md; `swoosh ucxl` tells what is wrong)",
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
    fn reads_addresses_of_each_form() {
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
            "bubble://dr/",
            "bubble://dr/a//b",
            "bubble://*/a",
            "ucxl://a:b@c/\u{0}",
        ] {
            assert!(text.parse::<EvidenceRef>().is_err(), "{text}");
        }
    }
}
