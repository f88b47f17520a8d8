//! A proposal before head, clock, window and signature are filled in.

use serde::Serialize;

use super::entropy::{self, EntropyError};
use swoosh_types::hash::Hash;
use swoosh_types::ids::{GoalId, IdemKey, KeyUuid, WindowId};
use swoosh_types::json::{Json, JsonError};
use swoosh_types::names::{OpClass, Transition};
use swoosh_types::proposal::{MAX_EVIDENCE, default_project};
use swoosh_types::text::ProjectName;
use swoosh_types::ucxl::EvidenceRef;

/// The goal of keys whose caller names none.
pub const DEFAULT_GOAL: &str = "adhoc";

/// Why something cannot be proposed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DraftError {
    /// The inputs do not serialise at all.
    #[error("the inputs cannot be written as JSON: {0}")]
    Unwritable(String),
    /// The inputs are JSON that a signed document may not hold.
    #[error("the inputs are not strict JSON: {0}")]
    Inputs(#[from] JsonError),
    /// Too many addresses.
    #[error("{0} evidence addresses are more than a proposal carries ({MAX_EVIDENCE})")]
    Evidence(usize),
}

/// The window a proposal names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Window {
    /// The window of now, if the transition needs one.
    Automatic,
    /// This one, or none.
    Fixed(Option<WindowId>),
}

/// The head a proposal names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeadChoice {
    /// The project's, as read before signing.
    Read,
    /// This one at first; the project's, as read, when it is stale.
    First(Hash),
    /// This one and no other.
    Only(Hash),
}

/// Something to propose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    pub(super) project: Option<ProjectName>,
    pub(super) transition: Transition,
    pub(super) inputs: Json,
    pub(super) goal: Option<GoalId>,
    pub(super) beat: Option<u64>,
    pub(super) uuid: Option<KeyUuid>,
    pub(super) head: HeadChoice,
    pub(super) window: Window,
    pub(super) evidence: Vec<EvidenceRef>,
}

impl Draft {
    /// A draft for project `default`. The inputs' form follows from the transition (`statechart.yaml`);
    /// their types are in [`swoosh_types::inputs`].
    pub fn new<T: Serialize + ?Sized>(transition: Transition, inputs: &T) -> Result<Draft, DraftError> {
        let written = serde_json::to_vec(inputs).map_err(|error| DraftError::Unwritable(error.to_string()))?;
        Ok(Draft {
            project: None,
            transition,
            inputs: Json::parse(&written)?,
            goal: None,
            beat: None,
            uuid: None,
            head: HeadChoice::Read,
            window: Window::Automatic,
            evidence: Vec::new(),
        })
    }

    /// Proposes to this project.
    pub fn to(mut self, project: ProjectName) -> Draft {
        self.project = Some(project);
        self
    }

    /// The goal that the key belongs to; `adhoc` if none is named.
    pub fn for_goal(mut self, goal: GoalId) -> Draft {
        self.goal = Some(goal);
        self
    }

    /// The beat that the key names; the schedule's present one if none is named.
    pub fn at_beat(mut self, beat: u64) -> Draft {
        self.beat = Some(beat);
        self
    }

    /// The unique part of the key; a random UUID if none is named. With goal and beat named as well, a
    /// caller that crashed sends the very same key again.
    pub fn with_uuid(mut self, uuid: KeyUuid) -> Draft {
        self.uuid = Some(uuid);
        self
    }

    /// Goal, beat and unique part from an earlier key; its op class is the transition's anyway.
    pub fn with_key(self, key: &IdemKey) -> Draft {
        self.for_goal(key.goal.clone()).at_beat(key.beat).with_uuid(key.uuid.clone())
    }

    /// Names this head first, such as the one of the last receipt, and spares reading it. When it is
    /// stale, the project's head is read and named.
    pub fn from_head(mut self, head: Hash) -> Draft {
        self.head = HeadChoice::First(head);
        self
    }

    /// Names this head and no other: when it is stale, the proposal is rejected.
    pub fn only_on_head(mut self, head: Hash) -> Draft {
        self.head = HeadChoice::Only(head);
        self
    }

    /// Names this window. Otherwise the window of now is named where the transition needs one.
    pub fn in_window(mut self, window: WindowId) -> Draft {
        self.window = Window::Fixed(Some(window));
        self
    }

    /// Names no window, even if the transition needs one.
    pub fn without_window(mut self) -> Draft {
        self.window = Window::Fixed(None);
        self
    }

    /// Addresses that back the proposal, at most 32.
    pub fn with_evidence(mut self, evidence: Vec<EvidenceRef>) -> Result<Draft, DraftError> {
        if evidence.len() > MAX_EVIDENCE {
            return Err(DraftError::Evidence(evidence.len()));
        }
        self.evidence = evidence;
        Ok(self)
    }

    pub fn transition(&self) -> Transition {
        self.transition
    }

    /// The project meant.
    pub fn project(&self) -> ProjectName {
        self.project.clone().unwrap_or_else(default_project)
    }

    /// The key, at this beat unless the draft names one.
    ///
    /// # Panics
    /// Never: `adhoc` is a goal.
    #[expect(clippy::expect_used, reason = "`adhoc` is a goal")]
    pub(super) fn key(&self, beat: u64) -> Result<IdemKey, EntropyError> {
        Ok(IdemKey {
            goal: self.goal.clone().unwrap_or_else(|| DEFAULT_GOAL.parse().expect("`adhoc` is a goal")),
            beat: self.beat.unwrap_or(beat),
            op_class: op_class(self.transition),
            uuid: self.uuid.clone().map_or_else(entropy::uuid, Ok)?,
        })
    }
}

/// The op class of a transition: its region's name, the part before `_`; licenses belong to
/// control (statechart: «the op class is the region's name»).
///
/// # Panics
/// Never: every transition's prefix is a region's name or `License`, which a test proves for all.
#[expect(clippy::expect_used, reason = "every prefix is an op class; a test proves it for all transitions")]
pub fn op_class(transition: Transition) -> OpClass {
    let prefix = transition.as_str().split('_').next().unwrap_or_default().to_ascii_lowercase();
    let name = if prefix == "license" { "control" } else { prefix.as_str() };
    name.parse().expect("every prefix is an op class")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_transition_has_an_op_class() {
        for &transition in Transition::ALL {
            op_class(transition);
        }
        assert_eq!(op_class(Transition::LicenseExpired), OpClass::Control);
        assert_eq!(op_class(Transition::IngestionBytesOk), OpClass::Ingestion);
    }

    #[test]
    fn op_classes_are_the_charts() {
        for &transition in Transition::ALL {
            assert_eq!(op_class(transition), swoosh_machine::chart::spec(transition).op_class, "{transition}");
        }
    }

    #[test]
    fn inputs_that_no_signed_document_may_hold_are_refused() {
        let refused = |inputs: serde_json::Value| match Draft::new(Transition::ControlPause, &inputs).unwrap_err() {
            DraftError::Inputs(error) => error,
            other => panic!("{other}"),
        };
        assert!(matches!(refused(serde_json::json!({"n": 1.5})).fault(), JsonError::Number(_)));
        assert_eq!(*refused(serde_json::json!({"n": null})).fault(), JsonError::Null);
        assert!(refused(serde_json::json!({"n": null})).to_string().starts_with("n: null is not used"));
    }

    #[test]
    fn a_named_key_is_the_same_every_time() {
        let key: IdemKey = "goal-7:42:council:0b8e7a52".parse().unwrap();
        let draft = Draft::new(Transition::CouncilMcpRed, &serde_json::json!({})).unwrap().with_key(&key);
        assert_eq!(draft.key(99).unwrap(), key);
        let free = Draft::new(Transition::CouncilMcpRed, &serde_json::json!({})).unwrap();
        assert_ne!(free.key(99).unwrap(), free.key(99).unwrap());
        assert!(free.key(99).unwrap().to_string().starts_with("adhoc:99:council:"));
    }
}
