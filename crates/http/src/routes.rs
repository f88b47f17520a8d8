//! The list of routes. Router, description, rights of readers and the probes' listener are made of it.
//!
//! A line has the method, the path and the handler. A read says which projects its answer may hold ([`Holds`]), and its
//! callers:
//!
//! - `Closed`: for readers, where the address is not loopback;
//! - `Public`: for all callers;
//! - `Open`: for all callers, on the probes' listener too.

use axum::Router;
use axum::http::Method;
use axum::routing::{get, post};
use utoipa::OpenApi;

use super::readers::Holds;
use super::{
    AppState, brief, bulk, docs, effects, events, explain, facts, feed, health, migration, records, state, statechart,
    transition, windows,
};

/// A read of the list.
pub(super) struct Read {
    /// As the router has it.
    pub path: &'static str,
    pub holds: Holds,
    pub access: Access,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Closed,
    Public,
    Open,
}

macro_rules! routes {
    (
        described { $($get:literal $module:ident::$handler:ident $holds:ident $access:ident;)* }
        posted { $($post:literal $post_module:ident::$post_handler:ident;)* }
        undescribed { $($page:literal $page_module:ident::$page_handler:ident $page_holds:ident $page_access:ident;)* }
    ) => {
        /// The routes that the description has.
        #[derive(OpenApi)]
        #[openapi(paths($($module::$handler,)* $($post_module::$post_handler,)*))]
        pub(super) struct Described;

        /// Every route that reads.
        pub(super) const READS: &[Read] = &[
            $(Read { path: $get, holds: Holds::$holds, access: Access::$access },)*
            $(Read { path: $page, holds: Holds::$page_holds, access: Access::$page_access },)*
        ];

        /// Every route that takes a document; a test compares it with the description.
        #[cfg(test)]
        pub(super) const POSTS: &[&str] = &[$($post,)*];

        pub(super) fn router() -> Router<AppState> {
            Router::new()
                $(.route($get, get($module::$handler)))*
                $(.route($post, post($post_module::$post_handler)))*
                $(.route($page, get($page_module::$page_handler)))*
        }

        /// The routes of the probes' listener.
        pub(super) fn open_router() -> Router<AppState> {
            let mut router = Router::new();
            $(if Access::$access == Access::Open {
                router = router.route($get, get($module::$handler));
            })*
            router
        }
    };
}

routes! {
    described {
        "/state" state::state One Closed;
        "/transitions" explain::transitions One Closed;
        "/statechart" statechart::statechart NoProject Public;
        "/windows" windows::windows One Closed;
        "/health" health::health FilteredByRoute Open;
        "/health/live" health::live NoProject Open;
        "/health/ready" health::ready FilteredByRoute Open;
        "/projects" records::projects FilteredByRoute Closed;
        "/wal" records::wal Named Closed;
        "/wal/feed" feed::feed Everything Closed;
        "/decisions/{*id}" records::decision FilteredByRoute Closed;
        "/records" brief::records Named Closed;
        "/rejections" records::rejections Named Closed;
        "/effects" effects::effects Named Closed;
        "/events" events::events Named Closed;
        "/facts" facts::facts Named Closed;
        "/metrics" records::metrics FilteredByRoute Open;
        "/migration" migration::view Everything Closed;
        "/migration/divergences" migration::divergences Everything Closed;
    }
    posted {
        "/transition" transition::propose;
        "/transitions" bulk::propose_all;
        "/facts" facts::push;
        "/migration/mode" migration::order;
    }
    undescribed {
        "/openapi.json" docs::openapi_json NoProject Closed;
        "/docs" docs::reference NoProject Closed;
        "/docs/{*page}" docs::document NoProject Closed;
        "/" docs::index NoProject Closed;
    }
}

pub(super) fn is_read(method: &Method) -> bool {
    *method == Method::GET || *method == Method::HEAD
}

/// Whether a path is read by all callers.
pub(super) fn is_open(path: &str) -> bool {
    READS.iter().any(|read| read.path == path && read.access != Access::Closed)
}

/// Whether a path is one of probes and scrapers, which other requests do not keep away.
pub(super) fn is_probed(path: &str) -> bool {
    READS.iter().any(|read| read.path == path && read.access == Access::Open)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::openapi::DOCUMENT;

    /// The path is in the list for the router, and at the handler for the description.
    #[test]
    fn the_description_has_the_methods_and_paths_of_the_list() {
        let pages = ["/", "/docs", "/docs/{*page}", "/openapi.json"];
        let reads = READS.iter().filter(|read| !pages.contains(&read.path)).map(|read| ("get", read.path));
        let listed = reads.chain(POSTS.iter().map(|path| ("post", *path)));
        let listed: BTreeSet<(&str, String)> = listed.map(|(method, path)| (method, path.replace("{*", "{"))).collect();
        let paths = DOCUMENT["paths"].as_object().unwrap().iter();
        let described: BTreeSet<(&str, String)> = paths
            .flat_map(|(path, item)| item.as_object().unwrap().keys().map(|method| (method.as_str(), path.clone())))
            .collect();
        assert_eq!(described, listed);
    }

    /// Everything but these needs a right to read, on an address that is not loopback.
    #[test]
    fn health_metrics_and_the_statechart_alone_are_open_to_all() {
        let open: Vec<&str> = READS.iter().map(|read| read.path).filter(|path| is_open(path)).collect();
        assert_eq!(open, ["/statechart", "/health", "/health/live", "/health/ready", "/metrics"]);
        let probed: Vec<&str> = open.iter().copied().filter(|path| is_probed(path)).collect();
        assert_eq!(probed, ["/health", "/health/live", "/health/ready", "/metrics"]);
        for read in READS.iter().filter(|read| read.access != Access::Closed) {
            let holds = read.holds;
            assert!(matches!(holds, Holds::NoProject | Holds::FilteredByRoute), "{} is open to all", read.path);
        }
    }
}
