//! Pages for people: the API reference, and all pages of `docs/` and `runbooks/`. They hold no script and load nothing.

mod curl;
mod pages;
mod reference;
#[cfg(test)]
mod rejections;

use std::sync::LazyLock;

use axum::extract::{Path, State};
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};

use bytes::Bytes;
use swoosh_types::rejection::Code;

use super::fault::{Answer, Fault};
use super::query::Query;
use super::{AppState, console, json_bytes, openapi};

const STYLE: &str = include_str!("docs/style.css");
/// A page loads nothing and runs nothing, whatever its content.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// The index of the pages, and the API reference.
static REFERENCE_PAGE: LazyLock<Bytes> = LazyLock::new(|| {
    let content = pages::index() + &reference::render(&openapi::DOCUMENT);
    page("SWOOSH documentation", &content).into()
});

/// A whole page around its content.
fn page(title: &str, content: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style></head>\n<body>\n\
         <nav><a href=\"/docs\">Documentation</a> <a href=\"/docs#api\">API</a> <a href=\"/docs/rejections\">Rejections</a> \
         <a href=\"/openapi.json\">openapi.json</a> <a href=\"/health\">Health</a></nav>\n\
         <main>\n{content}</main>\n</body></html>\n"
    )
}

/// Whether a path is that of a page for people.
pub(super) fn is_page(path: &str) -> bool {
    matches!(path, "/" | "/docs") || path.strip_prefix("/docs/").is_some_and(|name| pages::find(name).is_some())
}

fn html(page: Bytes) -> Response {
    let headers = [(CONTENT_TYPE, "text/html; charset=utf-8"), (CONTENT_SECURITY_POLICY, POLICY)];
    (StatusCode::OK, headers, page).into_response()
}

/// `GET /docs`.
pub(super) async fn reference(uri: Uri) -> Answer {
    Query::read(&uri, &[])?;
    Ok(html(REFERENCE_PAGE.clone()))
}

/// `GET /docs/NAME`: a page of `docs/`, or a runbook. Problems link to `/docs/rejections`.
pub(super) async fn document(Path(name): Path<String>, uri: Uri) -> Answer {
    Query::read(&uri, &[])?;
    let Some(page) = pages::find(&name) else {
        let name: String = name.chars().take(100).collect();
        return Err(Fault::new(Code::NotFound, format!("there is no page {name:?}; GET /docs lists the pages")));
    };
    Ok(html(page.html()))
}

/// `GET /openapi.json`.
pub(super) async fn openapi_json(uri: Uri) -> Answer {
    Query::read(&uri, &[])?;
    Ok(json_bytes(StatusCode::OK, openapi::TEXT.clone().into_bytes()))
}

/// `GET /`: where everything is, as plain text; browsers are sent to the console.
pub(super) async fn index(State(state): State<AppState>, headers: HeaderMap, uri: Uri) -> Answer {
    Query::read(&uri, &[])?;
    if state.console && console::wants_page(&headers) {
        return Ok(console::redirect());
    }
    let headers = [(CONTENT_TYPE, "text/plain; charset=utf-8")];
    Ok((headers, reference::overview(&openapi::DOCUMENT)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::codes;

    #[test]
    fn the_anchor_of_every_code_is_on_the_page_of_rejections() {
        let page = pages::find("rejections").unwrap().html();
        let html = std::str::from_utf8(&page).unwrap();
        for code in codes() {
            assert!(html.contains(&format!("id=\"{code}\"")), "{code} has no entry");
        }
    }

    #[test]
    fn the_page_of_rejections_tells_the_status_that_is_answered() {
        let source = pages::find("rejections").unwrap().source;
        for code in codes() {
            let entry = source.split(&format!("\n## {code}\n")).nth(1).unwrap_or_default();
            let status = crate::status::status(code.parse().unwrap()).as_u16();
            assert!(entry.trim_start().starts_with(&format!("**{status}.**")), "{code} is answered with {status}");
        }
    }

    #[test]
    fn the_index_loads_nothing_runs_nothing_and_leads_to_the_reference() {
        let page = std::str::from_utf8(&REFERENCE_PAGE).unwrap();
        assert!(page.starts_with("<!doctype html>") && page.contains("id=\"api\""));
        for sign in ["<script", "<link", "<img", "@import", "url("] {
            assert!(!page.contains(sign), "{sign}");
        }
    }
}
