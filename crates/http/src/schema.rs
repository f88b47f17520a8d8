//! Descriptions of documents for the OpenAPI description. The types themselves are in `types`, which knows nothing of
//! HTTP.

mod documents;
mod words;

pub(super) use documents::*;
pub(super) use words::*;

#[cfg(test)]
mod tests;
