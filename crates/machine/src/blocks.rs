//! The reasons that hold a project up, read from its state, so that operators can count such projects.

use super::state::{LicenseStatus, State};
use swoosh_types::names::{ControlState, PolicyState};

/// One thing that holds projects up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Block {
    Paused,
    Recovery,
    LicenseGrace,
    LicenseExpired,
    Quarantined,
}

impl Block {
    pub const ALL: [Block; 5] =
        [Block::Paused, Block::Recovery, Block::LicenseGrace, Block::LicenseExpired, Block::Quarantined];

    /// The name, as the journal and the metrics have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Block::Paused => "paused",
            Block::Recovery => "recovery",
            Block::LicenseGrace => "license_grace",
            Block::LicenseExpired => "license_expired",
            Block::Quarantined => "quarantined",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }

    fn holds(self, state: &State) -> bool {
        let control = &state.control;
        match self {
            Block::Paused => control.paused,
            Block::Recovery => control.recovery,
            Block::LicenseGrace => control.license == LicenseStatus::Grace,
            Block::LicenseExpired => control.license == LicenseStatus::Expired,
            Block::Quarantined => state.policy.phase == PolicyState::Quarantined,
        }
    }
}

/// Everything that holds one project up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Blocks(u8);

impl Blocks {
    /// The reasons that hold up the project of a state. A project that ended has none.
    pub fn of(state: &State) -> Blocks {
        if state.control.phase == ControlState::Terminated {
            return Blocks::default();
        }
        let bits = Block::ALL.into_iter().filter(|block| block.holds(state)).map(Block::bit);
        Blocks(bits.fold(0, |all, bit| all | bit))
    }

    /// Whether this is among them.
    pub const fn has(self, block: Block) -> bool {
        self.0 & block.bit() != 0
    }

    /// Whether nothing holds the project up.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The names, separated by blanks.
    pub fn text(self) -> String {
        let names: Vec<&str> = Block::ALL.into_iter().filter(|block| self.has(*block)).map(Block::as_str).collect();
        names.join(" ")
    }

    /// The same back; `None` where a name is unknown.
    pub fn parse(text: &str) -> Option<Blocks> {
        text.split_ascii_whitespace().try_fold(Blocks::default(), |all, name| {
            let block = Block::ALL.into_iter().find(|block| block.as_str() == name)?;
            Some(Blocks(all.0 | block.bit()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_combination_has_a_text_that_leads_back() {
        for bits in 0..1 << Block::ALL.len() {
            let blocks = Blocks(bits);
            assert_eq!(Blocks::parse(&blocks.text()), Some(blocks));
            assert_eq!(blocks.is_empty(), blocks.text().is_empty());
        }
        assert_eq!(Blocks::parse("paused banana"), None);
    }
}
