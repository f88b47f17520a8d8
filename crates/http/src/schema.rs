//! What documents look like, for the OpenAPI description. The types themselves stand in `types`, which
//! knows nothing of HTTP; these describe them.

mod documents;
mod words;

pub(super) use documents::*;
pub(super) use words::*;

#[cfg(test)]
mod tests;
