//! What readers get back: the read types of machine and journal, under one roof. Who asks the sequencer
//! needs no other module of ours.

pub use crate::journal::{FoldError, Journal, ReadError, Stop, StoredRecord};
pub use crate::machine::beats::Beats;
pub use crate::machine::facts::{FactBody, FactSet};
pub use crate::machine::guards::Judged;
pub use crate::machine::head::Head;
pub use crate::machine::identities::electorate;
pub use crate::machine::judge::Explanation;
pub use crate::machine::state::{HlcLast, Section, TopPhase};
pub use crate::verify::Headers;
