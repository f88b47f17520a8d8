//! Descriptions of documents for the OpenAPI description. The types themselves are in `types`, which knows nothing of
//! HTTP.

mod documents;
mod inputs;
mod words;

pub(super) use documents::*;
pub(super) use inputs::add_to as add_inputs;
pub(super) use words::*;

#[cfg(test)]
mod tests;
