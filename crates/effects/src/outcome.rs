//! The outcome of an effect, as the proposal that answers it.

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization as _;

use swoosh_machine::chart;
use swoosh_types::canonical::{from_slice, to_json};
use swoosh_types::ids::EffectId;
use swoosh_types::inputs::{AssetOutcomes, Rationale, ServersSeen, UnreachableServers};
use swoosh_types::inputs::{Assets, CheckOutcomes, Count, Failure, FetchedSources, Hash, ResolvedSources};
use swoosh_types::json::{Json, JsonError};
use swoosh_types::names::{EffectName, Transition};
use swoosh_types::text::Detail;

const DETAIL_BYTES: usize = 500;

/// A transition that answers an effect, with its inputs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    pub transition: Transition,
    pub inputs: Json,
}

impl Outcome {
    /// The assets that an outcome reports and a release must remove, for the failure that replaces it.
    pub(super) fn made(&self) -> Report {
        let assets = match &self.inputs {
            Json::Object(members) if self.transition == Transition::EnvironmentInstalled => members.get("assets"),
            _ => None,
        };
        let assets: Option<Assets> = assets.and_then(|assets| from_slice(&assets.canonical()).ok());
        Report { assets, ..Report::default() }
    }
}

/// An executor's report; members that the transition does not have stay empty.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolved: Option<ResolvedSources>,
    /// Commits and trees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fetched: Option<FetchedSources>,
    /// Outcomes of checks, or of assets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcomes: Option<Outcomes>,
    /// The hash of the content manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_hash: Option<Hash>,
    /// Servers that answered as pinned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub servers: Option<ServersSeen>,
    /// Servers that did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreachable: Option<UnreachableServers>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assets: Option<Assets>,
    /// The hash of the assets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifest_hash: Option<Hash>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Why it quarantines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rationale: Option<Rationale>,
    /// The policy bundle that it was judged by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bundle_serial: Option<Count>,
}

/// Outcomes of either kind.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Outcomes {
    Checks(CheckOutcomes),
    Assets(AssetOutcomes),
}

impl Report {
    /// The outcome that tells it.
    pub fn into_outcome(self, id: &EffectId, transition: Transition) -> Result<Outcome, JsonError> {
        #[derive(Serialize)]
        struct Inputs<'a> {
            effect: &'a EffectId,
            #[serde(flatten)]
            report: Report,
        }
        Ok(Outcome { transition, inputs: to_json(&Inputs { effect: id, report: self })? })
    }
}

/// The outcome that says that an effect failed, or that whether it did is unknown. It names no more assets than a
/// state can hold, so that the failure is recorded however much was made; a release takes down the others as well.
pub fn failed(id: &EffectId, text: &str, unknown: bool, mut report: Report) -> Outcome {
    let transition = failed_transition(id.effect);
    let unnamed = report.assets.as_mut().map_or(0, |assets| cut(assets, chart::bounds::ASSETS));
    let named = format!("{unnamed} of the assets that were made are not named here; {text}");
    let text = if unnamed > 0 { named.as_str() } else { text };
    if has_input(transition, "failure") {
        report.failure = Some(Failure { detail: detail(text), unknown });
    }
    if has_input(transition, "unreachable") {
        // It names servers, and has no place for a failure of the whole.
        report.unreachable.get_or_insert_default();
    }
    let inputs = report.into_outcome(id, transition);
    // If the report's own parts exceed the bounds, only the failure is reported.
    inputs.or_else(|_| bare(id, text, unknown)).unwrap_or(Outcome { transition, inputs: Json::empty_object() })
}

fn has_input(transition: Transition, member: &str) -> bool {
    chart::spec(transition).inputs.iter().any(|(name, _)| *name == member)
}

/// Takes out what is beyond the first `most` assets by name; how many that are.
fn cut(assets: &mut Assets, most: usize) -> usize {
    let unnamed = assets.len().saturating_sub(most);
    if unnamed > 0 {
        *assets = assets.iter().take(most).map(|(name, hash)| (name.clone(), *hash)).collect();
    }
    unnamed
}

fn bare(id: &EffectId, text: &str, unknown: bool) -> Result<Outcome, JsonError> {
    let failure = Some(Failure { detail: detail(text), unknown });
    Report { failure, ..Report::default() }.into_outcome(id, failed_transition(id.effect))
}

/// The transition that says that an effect failed.
pub fn failed_transition(effect: EffectName) -> Transition {
    chart::effect(effect).unknown
}

/// Any text as one line that a proposal can carry.
#[expect(
    clippy::expect_used,
    reason = "the text is one line, not blank, in form C and short enough; a test tries others"
)]
pub fn detail(text: &str) -> Detail {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).nfc().collect();
    let mut line = line.trim().to_owned();
    if line.len() > DETAIL_BYTES {
        let end = (0..=DETAIL_BYTES - 3).rev().find(|end| line.is_char_boundary(*end)).unwrap_or(0);
        line.truncate(end);
        line = format!("{}…", line.trim_end());
    }
    let parsed = line.parse();
    parsed.unwrap_or_else(|_| "no reason was given".parse().expect("it is a detail"))
}
