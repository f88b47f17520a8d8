//! Holds the log of another node, checked record by record.

mod fork;
mod lag;
mod page;
mod run;

use swoosh_types::incarnation::Incarnation;
use swoosh_types::keys::PublicKey;
use swoosh_types::text::ClusterId;

pub use lag::Lag;
pub use run::{AtOnce, Follower};

/// The node whose log is followed.
#[derive(Clone, Debug)]
pub struct Source {
    pub node: PublicKey,
    pub cluster: ClusterId,
    pub incarnations: Vec<Incarnation>,
}
