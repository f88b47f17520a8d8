//! The pages of `tools/list`, within bounds. Pure.

use std::collections::BTreeSet;

use rmcp::model::ListToolsResult;

/// Most tools whose names are kept; the listing ends there.
pub const MOST_TOOLS: usize = 1_000;
/// Most pages of one listing.
pub const MOST_PAGES: usize = 100;
/// Most characters of a server's own text in an error.
const SHOWN: usize = 24;

/// Why a listing does not end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndlessListing {
    /// A page leads back to one that was read.
    #[error("page {page} of tools/list repeats the cursor {cursor:?}, so the pages never end")]
    Repeats {
        /// The page that repeats it, from 1.
        page: usize,
        /// The cursor, shortened.
        cursor: String,
    },
    /// There are too many pages.
    #[error("tools/list has more than {MOST_PAGES} pages")]
    Pages,
}

/// The tools that a server lists, page by page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    tools: Vec<String>,
    cursors: BTreeSet<String>,
    pages: usize,
    is_cut: bool,
}

impl Listing {
    /// Adds a page. Returns the cursor of the next one; none at the end of the listing.
    ///
    /// An empty cursor ends the listing, because servers send it where there is no further page.
    pub fn add(&mut self, page: ListToolsResult) -> Result<Option<String>, EndlessListing> {
        self.pages += 1;
        let next = page.next_cursor.filter(|cursor| !cursor.is_empty());
        let room = MOST_TOOLS - self.tools.len();
        let is_full = page.tools.len() > room || (page.tools.len() == room && next.is_some());
        self.tools.extend(page.tools.into_iter().take(room).map(|tool| tool.name.into_owned()));
        if is_full {
            self.is_cut = true;
            return Ok(None);
        }
        let Some(cursor) = next else { return Ok(None) };
        if !self.cursors.insert(cursor.clone()) {
            let cursor = cursor.chars().take(SHOWN).collect();
            return Err(EndlessListing::Repeats { page: self.pages, cursor });
        }
        if self.pages >= MOST_PAGES {
            return Err(EndlessListing::Pages);
        }
        Ok(Some(cursor))
    }

    /// How many pages were read.
    pub fn pages(&self) -> usize {
        self.pages
    }

    /// Whether the server has more tools than are kept.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// The names, in the server's order.
    pub fn into_tools(self) -> Vec<String> {
        self.tools
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(tools: usize, cursor: Option<&str>) -> ListToolsResult {
        let tool = |number| serde_json::json!({"name": format!("t{number}"), "inputSchema": {"type": "object"}});
        let tools: Vec<_> = (0..tools).map(tool).collect();
        let mut page = serde_json::json!({"tools": tools});
        if let Some(cursor) = cursor {
            page["nextCursor"] = cursor.into();
        }
        serde_json::from_value(page).unwrap()
    }

    #[test]
    fn a_listing_ends_without_a_cursor_or_with_an_empty_one() {
        for last in [None, Some("")] {
            let mut listing = Listing::default();
            assert_eq!(listing.add(page(2, Some("a"))), Ok(Some("a".to_owned())));
            assert_eq!(listing.add(page(1, last)), Ok(None));
            assert!(!listing.is_cut());
            assert_eq!((listing.pages(), listing.into_tools().len()), (2, 3));
        }
    }

    /// A cursor that never moves, and two that lead to each other.
    #[test]
    fn a_listing_that_leads_back_to_a_page_is_refused_there() {
        let mut still = Listing::default();
        still.add(page(1, Some("same"))).unwrap();
        let error = still.add(page(1, Some("same"))).unwrap_err();
        assert_eq!(error.to_string(), "page 2 of tools/list repeats the cursor \"same\", so the pages never end");
        let mut circle = Listing::default();
        circle.add(page(1, Some("a"))).unwrap();
        circle.add(page(1, Some("b"))).unwrap();
        assert!(matches!(circle.add(page(1, Some("a"))), Err(EndlessListing::Repeats { page: 3, .. })));
    }

    #[test]
    fn a_listing_of_new_cursors_ends_at_the_page_limit() {
        let mut listing = Listing::default();
        let mut add = |number: usize| listing.add(page(0, Some(&number.to_string())));
        assert!((1..MOST_PAGES).all(|number| add(number).unwrap().is_some()));
        assert_eq!(add(MOST_PAGES), Err(EndlessListing::Pages));
    }

    #[test]
    fn a_listing_ends_at_1_000_tools_and_says_that_there_are_more() {
        for (tools, cursor, is_cut) in [(1_000, None, false), (1_001, None, true), (1_000, Some("a"), true)] {
            let mut listing = Listing::default();
            assert_eq!(listing.add(page(tools, cursor)), Ok(None), "{tools} {cursor:?}");
            assert_eq!((listing.is_cut(), listing.into_tools().len()), (is_cut, 1_000), "{tools} {cursor:?}");
        }
    }
}
