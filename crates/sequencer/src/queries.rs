//! Results of reads: the read types of machine and journal in one place. Callers of the sequencer need no other crate
//! of ours for them.

pub use swoosh_journal::{FoldError, Journal, ReadError, Stop, StoredRecord};
pub use swoosh_machine::beats::Beats;
pub use swoosh_machine::chart;
pub use swoosh_machine::facts::{FactBody, FactSet};
pub use swoosh_machine::guards::Judged;
pub use swoosh_machine::head::Head;
pub use swoosh_machine::identities::electorate;
pub use swoosh_machine::judge::Explanation;
pub use swoosh_machine::state::{HlcLast, Section, TopPhase};
pub use swoosh_types::verify::Headers;
