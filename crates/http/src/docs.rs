//! Pages for people: the API reference, the rejections, and where to begin. They hold no script and load
//! nothing.

mod curl;
mod reference;

use std::sync::LazyLock;

use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};

use super::fault::Answer;
use super::query::Query;
use super::{json_bytes, markdown, openapi};

const STYLE: &str = include_str!("docs/style.css");
const REJECTIONS: &str = include_str!("../../../docs/rejections.md");
/// A page loads nothing and runs nothing, whatever its content.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

static REFERENCE_PAGE: LazyLock<String> = LazyLock::new(|| page("SWOOSH API", &reference::render(&openapi::DOCUMENT)));
static REJECTIONS_PAGE: LazyLock<String> = LazyLock::new(|| page("SWOOSH rejections", &markdown::render(REJECTIONS)));

/// A whole page around its content.
fn page(title: &str, content: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style></head>\n<body>\n\
         <nav><a href=\"/docs\">API</a> <a href=\"/docs/rejections\">Rejections</a> \
         <a href=\"/openapi.json\">openapi.json</a> <a href=\"/health\">Health</a></nav>\n\
         <main>\n{content}</main>\n</body></html>\n"
    )
}

/// Whether a path is that of a page for people.
pub(super) fn is_page(path: &str) -> bool {
    matches!(path, "/" | "/docs" | "/docs/rejections")
}

fn html(page: &str) -> Response {
    let headers = [(CONTENT_TYPE, "text/html; charset=utf-8"), (CONTENT_SECURITY_POLICY, POLICY)];
    (StatusCode::OK, headers, page.to_owned()).into_response()
}

/// `GET /docs`.
pub(super) async fn reference(uri: Uri) -> Answer {
    Query::read(&uri, &[])?;
    Ok(html(&REFERENCE_PAGE))
}

/// `GET /docs/rejections`: an entry for every code, which problems link to.
pub(super) async fn rejections(uri: Uri) -> Answer {
    Query::read(&uri, &[])?;
    Ok(html(&REJECTIONS_PAGE))
}

/// `GET /openapi.json`.
pub(super) async fn openapi_json(uri: Uri) -> Answer {
    Query::read(&uri, &[])?;
    Ok(json_bytes(StatusCode::OK, openapi::TEXT.clone().into_bytes()))
}

/// `GET /`: where everything is, as plain text.
pub(super) async fn index(uri: Uri) -> Answer {
    Query::read(&uri, &[])?;
    let headers = [(CONTENT_TYPE, "text/plain; charset=utf-8")];
    Ok((headers, reference::overview(&openapi::DOCUMENT)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::codes;

    #[test]
    fn the_anchor_of_every_code_is_on_the_page_of_rejections() {
        for code in codes() {
            assert!(REJECTIONS_PAGE.contains(&format!("id=\"{code}\"")), "{code} has no entry");
        }
    }

    #[test]
    fn the_page_of_rejections_tells_the_status_that_is_answered() {
        for code in codes() {
            let entry = REJECTIONS.split(&format!("\n## {code}\n")).nth(1).unwrap_or_default();
            let status = crate::status::status(code.parse().unwrap()).as_u16();
            assert!(entry.trim_start().starts_with(&format!("**{status}.**")), "{code} is answered with {status}");
        }
    }

    #[test]
    fn pages_load_nothing_and_run_nothing() {
        for page in [&*REFERENCE_PAGE, &*REJECTIONS_PAGE] {
            assert!(page.starts_with("<!doctype html>"));
            ["<script", "<link", "<img", "@import", "url("]
                .iter()
                .for_each(|sign| assert!(!page.contains(sign), "{sign}"));
        }
    }
}
