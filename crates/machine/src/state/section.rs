//! The names of the sections.

use std::fmt;

/// A section of the state document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// Chart version and schema hash.
    Meta,
    /// Configuration, license check, identities.
    Boot,
    /// Sources and index.
    Ingestion,
    /// Roles, candidates, members, tooling.
    Council,
    /// Allocation, assets, health.
    Environment,
    Execution,
    /// Flags and the end.
    Control,
    Policy,
    /// A counter per region.
    Epoch,
    /// The last clock reading applied.
    HlcLast,
}

impl Section {
    /// All sections, in the document's order.
    pub const ALL: [Section; 10] = [
        Section::Meta,
        Section::Boot,
        Section::Ingestion,
        Section::Council,
        Section::Environment,
        Section::Execution,
        Section::Control,
        Section::Policy,
        Section::Epoch,
        Section::HlcLast,
    ];

    /// The section's name in the document.
    pub const fn as_str(self) -> &'static str {
        match self {
            Section::Meta => "meta",
            Section::Boot => "boot",
            Section::Ingestion => "ingestion",
            Section::Council => "council",
            Section::Environment => "environment",
            Section::Execution => "execution",
            Section::Control => "control",
            Section::Policy => "policy",
            Section::Epoch => "epoch",
            Section::HlcLast => "hlc_last",
        }
    }

    /// The section of a name in any case.
    pub fn parse(name: &str) -> Option<Section> {
        Section::ALL.into_iter().find(|section| section.as_str().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
